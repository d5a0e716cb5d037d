#include "model_file.h"

#include <bit>
#include <cstring>
#include <filesystem>

#include "errors.h"

namespace hearth::step {
namespace {

static_assert(std::endian::native == std::endian::little, "model files are little endian and read as they are");

constexpr std::uint32_t kVersion = 6;
constexpr std::uint32_t kMostVariables = 1u << 20;  // real models have some thousands
constexpr unsigned kMostRank = 8;

std::size_t item_bytes(Type type) {
  switch (type) {
    case Type::kInt8: return 1;
    case Type::kInt16:
    case Type::kFloat16:
    case Type::kBFloat16: return 2;
    case Type::kFloat32:
    case Type::kInt32: return 4;
  }
  return 0;
}

// Reads forward and never past the end of the file.
class Cursor {
 public:
  Cursor(std::FILE* file, std::uint64_t size) : file_(file), left_(size), size_(size) {}

  void take(void* to, std::size_t bytes) {
    need(bytes);
    if (std::fread(to, 1, bytes, file_) != bytes) throw ModelError("model.bin could not be read");
    left_ -= bytes;
  }
  void skip(std::uint64_t bytes) {
    need(bytes);
    if (std::fseek(file_, static_cast<long>(position() + bytes), SEEK_SET) != 0)
      throw ModelError("model.bin could not be read");
    left_ -= bytes;
  }
  template <typename T>
  T number() {
    T value;
    take(&value, sizeof value);
    return value;
  }
  std::string string() {
    const auto length = number<std::uint16_t>();
    if (length == 0) throw ModelError("model.bin: a name has length zero");
    std::string text(length, '\0');
    take(text.data(), length);
    if (text.back() != '\0') throw ModelError("model.bin: a name is not terminated");
    text.pop_back();
    return text;
  }
  std::uint64_t position() const { return size_ - left_; }

 private:
  void need(std::uint64_t bytes) const {
    if (bytes > left_)
      throw ModelError("model.bin is cut off: " + std::to_string(bytes) + " bytes are needed at byte " +
                       std::to_string(position()) + " and " + std::to_string(left_) + " are left");
  }
  std::FILE* file_;
  std::uint64_t left_;
  std::uint64_t size_;
};

Variable read_variable(Cursor& in, const std::string& name) {
  Variable v;
  const unsigned rank = in.number<std::uint8_t>();
  if (rank > kMostRank) throw ModelError("model.bin: '" + name + "' has rank " + std::to_string(rank));
  std::uint64_t items = 1;
  for (unsigned i = 0; i < rank; ++i) {
    v.shape.push_back(in.number<std::uint32_t>());
    // The payload's size is a u32, so a larger product is wrong. Stopping here also avoids overflow.
    items *= v.shape.back();
    if (items > UINT32_MAX) throw ModelError("model.bin: '" + name + "' has an impossible shape");
  }
  const unsigned type = in.number<std::uint8_t>();
  if (type > static_cast<unsigned>(Type::kBFloat16))
    throw ModelError("model.bin: '" + name + "' has unknown type " + std::to_string(type));
  v.type = static_cast<Type>(type);
  v.bytes = in.number<std::uint32_t>();
  if (v.bytes != items * item_bytes(v.type))
    throw ModelError("model.bin: '" + name + "' has " + std::to_string(v.bytes) + " bytes, its shape says " +
                     std::to_string(items * item_bytes(v.type)));
  v.offset = in.position();
  in.skip(v.bytes);
  return v;
}

float widen(Type type, const std::uint8_t* at) {
  std::uint16_t half;
  std::memcpy(&half, at, sizeof half);
  if (type == Type::kBFloat16) return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t magnitude = static_cast<std::uint32_t>(half & 0x7FFFu) << 13;
  const float scaled = std::bit_cast<float>(magnitude) * 0x1p112f;  // moves the exponent's bias
  auto bits = std::bit_cast<std::uint32_t>(scaled);
  if ((half & 0x7C00u) == 0x7C00u) bits |= 0x7F800000u;
  return std::bit_cast<float>(bits | sign);
}

}  // namespace

ModelFile::ModelFile(const std::string& path) : path_(path) {
  std::error_code wrong;
  const auto size = std::filesystem::file_size(path, wrong);
  if (!wrong) file_.reset(std::fopen(path.c_str(), "rb"));
  if (!file_) throw ModelError("model.bin could not be opened: " + path);
  Cursor in(file_.get(), size);
  const auto version = in.number<std::uint32_t>();
  if (version != kVersion) throw Unsupported("model.bin has binary version " + std::to_string(version) + ", not 6");
  specification_ = in.string();
  revision_ = in.number<std::uint32_t>();
  const auto count = in.number<std::uint32_t>();
  if (count > kMostVariables) throw ModelError("model.bin claims " + std::to_string(count) + " variables");
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string name = in.string();
    Variable v = read_variable(in, name);
    if (!variables_.emplace(name, std::move(v)).second) throw ModelError("model.bin has '" + name + "' twice");
  }
  const auto aliases = in.number<std::uint32_t>();
  if (aliases > kMostVariables) throw ModelError("model.bin claims " + std::to_string(aliases) + " aliases");
  for (std::uint32_t i = 0; i < aliases; ++i) {
    const std::string alias = in.string();
    const std::string name = in.string();
    const auto* target = find(name);
    if (target == nullptr) throw ModelError("model.bin: alias '" + alias + "' of '" + name + "', which is not there");
    variables_.insert_or_assign(alias, Variable(*target));
    for (const char* end : {"_scale", "_group_scale"})
      if (const auto* scale = find(name + end)) variables_.insert_or_assign(alias + end, Variable(*scale));
  }
}

const Variable* ModelFile::find(const std::string& name) const {
  const auto it = variables_.find(name);
  return it == variables_.end() ? nullptr : &it->second;
}

double ModelFile::scalar(const std::string& name, double otherwise) const {
  const auto* v = find(name);
  if (v == nullptr) return otherwise;
  if (v->bytes != item_bytes(v->type)) throw ModelError("model.bin: '" + name + "' is not a single number");
  std::uint8_t raw[4] = {};
  read_at(v->offset, raw, v->bytes);
  switch (v->type) {
    case Type::kInt8: return static_cast<std::int8_t>(raw[0]);
    case Type::kInt16: {
      std::int16_t n;
      std::memcpy(&n, raw, sizeof n);
      return n;
    }
    case Type::kInt32: {
      std::int32_t n;
      std::memcpy(&n, raw, sizeof n);
      return n;
    }
    case Type::kFloat32: {
      float n;
      std::memcpy(&n, raw, sizeof n);
      return static_cast<double>(n);
    }
    case Type::kFloat16:
    case Type::kBFloat16: return static_cast<double>(widen(v->type, raw));
  }
  return otherwise;
}

Aligned<float> ModelFile::floats(const Variable& v, std::size_t padded_size) const {
  const std::size_t items = v.bytes / item_bytes(v.type);
  Aligned<float> out(padded_size < items ? items : padded_size);
  if (v.type == Type::kFloat32) {
    read_at(v.offset, out.data(), v.bytes);
  } else if (v.type == Type::kFloat16 || v.type == Type::kBFloat16) {
    std::vector<std::uint8_t> raw(v.bytes);
    read_at(v.offset, raw.data(), v.bytes);
    for (std::size_t i = 0; i < items; ++i) out[i] = widen(v.type, raw.data() + 2 * i);
  } else {
    throw ModelError("model.bin: a float variable holds integers");
  }
  return out;
}

void ModelFile::int8s(const Variable& v, std::size_t first, std::size_t count, std::int8_t* to) const {
  if (v.type != Type::kInt8) throw ModelError("model.bin: an int8 variable holds another type");
  if (count > v.bytes || first > v.bytes - count) throw ModelError("model.bin: a variable is shorter than its shape");
  read_at(v.offset + first, to, count);
}

void ModelFile::read_at(std::uint64_t offset, void* to, std::size_t bytes) const {
  if (std::fseek(file_.get(), static_cast<long>(offset), SEEK_SET) != 0 ||
      std::fread(to, 1, bytes, file_.get()) != bytes)
    throw ModelError("model.bin could not be read: " + path_);
}

}  // namespace hearth::step
