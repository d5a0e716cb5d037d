// Reads the variables of a model file, checks their shapes and types, and refuses variables that were never asked for.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "errors.h"
#include "kernels/kernels.h"
#include "model_file.h"

namespace hearth::step {

// No sound model has larger sizes. The limits also keep every product below within its integer.
inline constexpr int kMostLayers = 1024;
inline constexpr int kMostWidth = 1 << 16;  // also keeps int8 dot products within 32 bits
inline constexpr int kMostVocabulary = 1 << 22;
inline constexpr int kMostHeadDim = 512;

inline std::string shape_text(const std::vector<std::uint32_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + ")";
}
inline std::string shape_text(const Variable& v) { return shape_text(v.shape); }

// The largest integer that is read from a model's file. The sum of two still fits in an int.
constexpr int kLargest = 1 << 30;

// Remembers the variables it was asked for, so that refuse_the_rest() can refuse all others.
class Reader {
 public:
  // With `four_bits`, matrices may have four-bit weights.
  explicit Reader(const ModelFile& file, bool four_bits = false) : file_(file), four_bits_(four_bits) {}

  double number(const std::string& name, double otherwise) {
    asked_.insert(name);
    return file_.scalar(name, otherwise);
  }
  int integer(const std::string& name, int otherwise) {
    const double value = number(name, otherwise);
    if (!(value >= -1 && value <= kLargest)) throw ModelError("model.bin: '" + name + "' is out of range");
    return static_cast<int>(value);
  }
  bool has(const std::string& name) {
    asked_.insert(name);
    return file_.has(name);
  }
  const Variable& need(const std::string& name, std::size_t rank) {
    asked_.insert(name);
    const auto* v = file_.find(name);
    if (v == nullptr) throw ModelError("model.bin: '" + name + "' is missing");
    if (v->shape.size() != rank) throw ModelError("model.bin: '" + name + "' has shape " + shape_text(*v));
    for (const auto n : v->shape)
      if (n == 0 || n > static_cast<std::uint32_t>(kMostVocabulary))
        throw ModelError("model.bin: '" + name + "' has shape " + shape_text(*v));
    return *v;
  }
  void vector(const std::string& name, int size) {
    const auto& v = need(name, 1);
    if (v.shape[0] != static_cast<std::uint32_t>(size))
      throw ModelError("model.bin: '" + name + "' has shape " + shape_text(v) + ", not (" + std::to_string(size) + ")");
    if (v.type == Type::kInt8 || v.type == Type::kInt16 || v.type == Type::kInt32)
      throw ModelError("model.bin: '" + name + "' is not of a float type");
  }
  // Reads a vector of a float type.
  std::vector<float> floats(const std::string& name, int size) {
    vector(name, size);
    const auto found = file_.floats(*file_.find(name), 0);
    return {found.data(), found.data() + size};
  }
  // The weight of a matrix: [outputs][inputs] in int8, or [outputs][groups][16] in four bits.
  const Variable& weight(const std::string& scope) {
    const auto* v = file_.find(scope + "/weight");
    return need(scope + "/weight", v != nullptr && four_bits_ && has_four_bits(*v) ? 3 : 2);
  }
  // Checks a matrix with a scale for each row, and its bias if it has one.
  void linear(const std::string& scope, int outputs, int inputs) {
    matrix(scope, outputs, inputs);
    if (has(scope + "/bias")) vector(scope + "/bias", outputs);
  }
  void matrix(const std::string& scope, int outputs, int inputs) {
    const auto& v = weight(scope);
    const auto rows = static_cast<std::uint32_t>(outputs);
    std::vector<std::uint32_t> shape = {rows, static_cast<std::uint32_t>(inputs)};
    if (has_four_bits(v)) {
      const auto groups = static_cast<std::uint32_t>((inputs + kGroupInputs - 1) / kGroupInputs);
      shape = {rows, groups, kGroupInputs / 2};
      const auto& scales = need(scope + "/weight_group_scale", 2);
      if (scales.type != Type::kInt8 || scales.shape != std::vector<std::uint32_t>{rows, groups})
        throw ModelError("model.bin: '" + scope + "/weight_group_scale' has shape " + shape_text(scales));
    }
    if (v.shape != shape)
      throw ModelError("model.bin: '" + scope + "/weight' has shape " + shape_text(v) + ", not " + shape_text(shape));
    if (v.type != Type::kInt8)
      throw Unsupported("its weights are not int8 (" + scope + "); convert with --quantization int8_float32");
    if (!has(scope + "/weight_scale")) throw ModelError("model.bin: '" + scope + "/weight_scale' is missing");
    vector(scope + "/weight_scale", outputs);
  }
  void refuse_the_rest() const {
    for (const auto& [name, variable] : file_.variables())
      if (!asked_.contains(name)) throw Unsupported("it holds '" + name + "', which this engine does not know");
  }

 private:
  const ModelFile& file_;
  bool four_bits_;
  std::set<std::string> asked_;
};

inline void check(bool fine, const std::string& why) {
  if (!fine) throw Unsupported(why);
}

inline Activation read_activation(int code) {
  switch (static_cast<Activation>(code)) {
    case Activation::kRelu:
    case Activation::kGeluTanh:
    case Activation::kSwish:
    case Activation::kGelu:
    case Activation::kGeluSigmoid: return static_cast<Activation>(code);
    default: throw Unsupported("its activation function (" + std::to_string(code) + ") is not known to this engine");
  }
}

}  // namespace hearth::step
