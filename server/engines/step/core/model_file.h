// A CTranslate2 model.bin, binary version 6: an index of named variables, whose payloads are read on demand.
//
// Layout, little endian, no padding: u32 version; string specification; u32 revision; u32 count; then each variable:
// string name, u8 rank, u32 dimensions[rank], u8 type, u32 bytes, the payload; u32 aliases; then each: string alias,
// string name. A string is u16 length including a final zero byte. An alias also names its variable's `_scale` and
// `_group_scale`.
//
// The reader trusts nothing in the file. It checks every length against the rest of the file before it uses it, and
// allocates memory only for a payload that is in the file. It knows no architecture.
#pragma once
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "aligned.h"

namespace hearth::step {

enum class Type : std::uint8_t { kFloat32 = 0, kInt8 = 1, kInt16 = 2, kInt32 = 3, kFloat16 = 4, kBFloat16 = 5 };

struct Variable {
  Type type;
  std::vector<std::uint32_t> shape;  // empty for a scalar
  std::uint64_t offset;              // of the payload in the file
  std::uint64_t bytes;
};

// Whether a matrix has four-bit weights: [outputs][groups][16], beside a `_group_scale` of [outputs][groups]. The low
// half of byte i is the place of input i of the group in kFours, the high half that of input i + 16.
inline bool has_four_bits(const Variable& weight) { return weight.shape.size() == 3; }

class ModelFile {
 public:
  // Reads the index. Throws ModelError.
  explicit ModelFile(const std::string& path);

  const std::string& specification() const { return specification_; }
  std::uint32_t revision() const { return revision_; }
  const std::map<std::string, Variable>& variables() const { return variables_; }

  // The variable of this name, or null if the file has none.
  const Variable* find(const std::string& name) const;
  bool has(const std::string& name) const { return find(name) != nullptr; }

  // A scalar of any type as a number, or `otherwise` if the file has none.
  double scalar(const std::string& name, double otherwise) const;

  // The payload as floats, followed by zeros up to `padded_size`; half-precision types are widened.
  Aligned<float> floats(const Variable& variable, std::size_t padded_size) const;
  // Reads `count` values of an int8 payload from `first` on. The range must be inside the payload.
  void int8s(const Variable& variable, std::size_t first, std::size_t count, std::int8_t* to) const;

 private:
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  void read_at(std::uint64_t offset, void* to, std::size_t bytes) const;

  std::unique_ptr<std::FILE, Close> file_;
  std::string path_;
  std::string specification_;
  std::uint32_t revision_ = 0;
  std::map<std::string, Variable> variables_;
};

}  // namespace hearth::step
