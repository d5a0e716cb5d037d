#include "linear.h"

#include <cmath>
#include <cstdint>

#include "errors.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace hearth::step {
namespace {

const Variable& need(const ModelFile& file, const std::string& name) {
  const auto* v = file.find(name);
  if (v == nullptr) throw ModelError("model.bin: '" + name + "' is missing");
  return *v;
}

std::size_t place_of(int inputs4, int output, int input) {
  const auto panel = static_cast<std::size_t>(output / kPanel);
  const auto four = panel * static_cast<std::size_t>(inputs4) + static_cast<std::size_t>(input / 4);
  return (four * kPanel + static_cast<std::size_t>(output % kPanel)) * 4 + static_cast<std::size_t>(input % 4);
}

// Asks for huge pages around memory that is in use already. Most matrices of a small model are smaller than a huge page;
// several share one, and with small pages a token of such a model takes half as long again (measured on Zen 4). Only a
// wish: it is refused by old kernels and harmless for what else lies there.
void gather_pages(const void* begin, std::size_t bytes) {
#if defined(__linux__)
  constexpr std::uintptr_t kHuge = 2u << 20;
  constexpr int kCollapse = 25;   // MADV_COLLAPSE, which older headers lack
  const auto from = reinterpret_cast<std::uintptr_t>(begin) / kHuge * kHuge;
  const auto to = (reinterpret_cast<std::uintptr_t>(begin) + bytes + kHuge - 1) / kHuge * kHuge;
  madvise(reinterpret_cast<void*>(from), to - from, kCollapse);
#else
  static_cast<void>(begin), static_cast<void>(bytes);
#endif
}

}  // namespace

Linear::Linear(int outputs, int inputs, Store store, Activation activation)
    : inputs_(inputs),
      inputs4_(round_up(inputs, 16) / 4),
      panels_(round_up(outputs, kPanel) / kPanel),
      store_(store),
      activation_(activation) {
  const auto padded = static_cast<std::size_t>(panels_) * kPanel;
  packed_ = Aligned<std::int8_t>(padded * static_cast<std::size_t>(inputs4_) * 4);
  inverse_scale_ = Aligned<float>(padded);
  correction_ = Aligned<std::int32_t>(padded);
}

template <typename Place>
void Linear::pack(const ModelFile& file, const std::string& scope, int offset, Place place) {
  const auto& variable = need(file, scope + "/weight");
  const auto weights = file.int8s(variable);
  const auto scales = file.floats(need(file, scope + "/weight_scale"), 0);
  const auto* bias = file.find(scope + "/bias");
  const auto biases = bias != nullptr ? file.floats(*bias, 0) : Aligned<float>();
  const int outputs = static_cast<int>(variable.shape[0]);
  const int inputs = static_cast<int>(variable.shape[1]);
  if (bias != nullptr) bias_.reserve(inverse_scale_.size());
  for (int o = 0; o < outputs; ++o) {
    const int to = place(o);
    const std::int8_t* row = weights.data() + static_cast<std::size_t>(o) * static_cast<std::size_t>(inputs);
    std::int32_t sum = 0;
    for (int i = 0; i < inputs; ++i) {
      if (row[i] == -128) throw ModelError("model.bin: '" + scope + "/weight' holds -128, which no converter writes");
      sum += row[i];
    }
    for (int i = 0; i < inputs; i += 4) {
      std::int8_t* four = packed_.data() + place_of(inputs4_, to, i);
      for (int j = 0; j < 4 && i + j < inputs; ++j) four[j] = row[i + j];
    }
    const float scale = scales[static_cast<std::size_t>(o)];
    if (!(std::isfinite(scale) && scale > 0.f))
      throw ModelError("model.bin: '" + scope + "/weight_scale' is not a positive number");
    inverse_scale_[static_cast<std::size_t>(to)] = 1.f / scale;
    correction_[static_cast<std::size_t>(to)] = offset * sum;
    if (bias != nullptr) bias_[static_cast<std::size_t>(to)] = biases[static_cast<std::size_t>(o)];
  }
  gather_pages(packed_.data(), packed_.size());
}

Linear::Linear(const ModelFile& file, const std::string& scope, const Kernels& kernels, Store store,
               Activation activation)
    : Linear(static_cast<int>(need(file, scope + "/weight").shape.at(0)),
             static_cast<int>(need(file, scope + "/weight").shape.at(1)), store, activation) {
  pack(file, scope, kernels.activation_offset, [](int o) { return o; });
}

Linear Linear::gated(const ModelFile& file, const std::string& gate, const std::string& up, const Kernels& kernels,
                     Activation activation) {
  const auto& shape = need(file, gate + "/weight").shape;
  const int outputs = round_up(static_cast<int>(shape.at(0)), kLane) * 2;
  Linear both(outputs, static_cast<int>(shape.at(1)), Store::kGated, activation);
  const auto in_turn = [](int o) { return o / kLane * kPanel + o % kLane; };
  both.pack(file, gate, kernels.activation_offset, in_turn);
  both.pack(file, up, kernels.activation_offset, [&](int o) { return in_turn(o) + kLane; });
  return both;
}

LinearView Linear::view() const {
  return {packed_.data(), inverse_scale_.data(), correction_.data(), bias_.size() != 0 ? bias_.data() : nullptr,
          inputs4_,       panels_,               activation_,        store_};
}

void Linear::row(int output, float factor, float* to) const {
  const float scale = inverse_scale_[static_cast<std::size_t>(output)];
  for (int i = 0; i < inputs_; i += 4) {
    const std::int8_t* four = packed_.data() + place_of(inputs4_, output, i);
    for (int j = 0; j < 4 && i + j < inputs_; ++j) to[i + j] = static_cast<float>(four[j]) * scale * factor;
  }
}

}  // namespace hearth::step
