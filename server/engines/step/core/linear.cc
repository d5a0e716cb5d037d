#include "linear.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "errors.h"

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

}  // namespace

Linear::Linear(Arena& arena, int outputs, int inputs, bool biased, const Kernels& kernels, Store store,
               Activation activation)
    : inputs_(inputs),
      inputs4_(round_up(inputs, kScaleInputs) / 4),
      panels_(round_up(outputs, kPanel) / kPanel),
      offset_(kernels.weight_offset),
      store_(store),
      activation_(activation) {
  const auto padded = static_cast<std::size_t>(panels_) * kPanel;
  packed_ = arena.take<std::int8_t>(bytes());
  inverse_scale_ = arena.take<float>(padded);
  if (biased) bias_ = arena.take<float>(padded);
}

template <typename Place>
void Linear::pack(const ModelFile& file, const std::string& scope, Place place) {
  const auto& variable = need(file, scope + "/weight");
  const auto scales = file.floats(need(file, scope + "/weight_scale"), 0);
  const auto* bias = file.find(scope + "/bias");
  const auto biases = bias != nullptr ? file.floats(*bias, 0) : Aligned<float>();
  const int outputs = static_cast<int>(variable.shape[0]);
  const int inputs = static_cast<int>(variable.shape[1]);
  // Read some rows at a time, because a copy of the largest matrix would be a large part of a small model.
  const auto length = static_cast<std::size_t>(inputs);
  std::vector<std::int8_t> rows(kPanel * length);
  for (int first = 0; first < outputs; first += kPanel) {
    const int count = std::min(kPanel, outputs - first);
    file.int8s(variable, static_cast<std::size_t>(first) * length, static_cast<std::size_t>(count) * length,
               rows.data());
    for (int o = first; o < first + count; ++o) {
      const int to = place(o);
      if (!pack_row(rows.data() + static_cast<std::size_t>(o - first) * length, to))
        throw ModelError("model.bin: '" + scope + "/weight' holds -128, which no converter writes");
      const float scale = scales[static_cast<std::size_t>(o)];
      if (!(std::isfinite(scale) && scale > 0.f))
        throw ModelError("model.bin: '" + scope + "/weight_scale' is not a positive number");
      inverse_scale_[to] = 1.f / scale;
      if (bias != nullptr) bias_[to] = biases[static_cast<std::size_t>(o)];
    }
  }
}

bool Linear::pack_row(const std::int8_t* row, int output) {
  std::int8_t least = 0;
  for (int i = 0; i < inputs_; ++i) least = std::min(least, row[i]);  // its own loop, so that compilers vectorise it
  if (least == -128) return false;
  std::int8_t* to = packed_ + place_of(inputs4_, output, 0);
  // An offset of 128 flips the sign bit. Padded inputs are zero, so their weights do not matter.
  const std::uint32_t turn = static_cast<std::uint32_t>(offset_) * 0x01010101u;
  for (int i = 0; i < inputs_; i += 4, to += 4 * kPanel) {
    std::uint32_t four = 0;
    std::memcpy(&four, row + i, static_cast<std::size_t>(std::min(4, inputs_ - i)));
    four ^= turn;
    std::memcpy(to, &four, 4);
  }
  return true;
}

Linear::Linear(Arena& arena, const ModelFile& file, const std::string& scope, const Kernels& kernels, Store store,
               Activation activation)
    : Linear(arena, static_cast<int>(need(file, scope + "/weight").shape.at(0)),
             static_cast<int>(need(file, scope + "/weight").shape.at(1)), file.has(scope + "/bias"), kernels, store,
             activation) {
  pack(file, scope, [](int o) { return o; });
}

Linear Linear::gated(Arena& arena, const ModelFile& file, const std::string& gate, const std::string& up,
                     const Kernels& kernels, Activation activation) {
  const auto& shape = need(file, gate + "/weight").shape;
  const int outputs = round_up(static_cast<int>(shape.at(0)), kLane) * 2;
  const bool biased = file.has(gate + "/bias") || file.has(up + "/bias");
  Linear both(arena, outputs, static_cast<int>(shape.at(1)), biased, kernels, Store::kGated, activation);
  const auto in_turn = [](int o) { return o / kLane * kPanel + o % kLane; };
  both.pack(file, gate, in_turn);
  both.pack(file, up, [&](int o) { return in_turn(o) + kLane; });
  return both;
}

LinearView Linear::view() const {
  return {packed_, inverse_scale_, bias_, inputs4_ * 4 / kScaleInputs, panels_, activation_, store_};
}

Picked Linear::pick(const std::vector<std::int32_t>& outputs) const {
  const int panels = round_up(static_cast<int>(outputs.size()), kPanel) / kPanel;
  const auto padded = static_cast<std::size_t>(panels) * kPanel;
  Picked p;
  p.packed = Aligned<std::int8_t>(static_cast<std::size_t>(panels) * panel_bytes());
  p.inverse_scale = Aligned<float>(padded);
  if (bias_ != nullptr) p.bias = Aligned<float>(padded);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const int from = outputs[i], to = static_cast<int>(i);
    const std::int8_t* four = packed_ + place_of(inputs4_, from, 0);
    std::int8_t* place = p.packed.data() + place_of(inputs4_, to, 0);
    for (int k = 0; k < inputs4_; ++k, four += 4 * kPanel, place += 4 * kPanel) std::memcpy(place, four, 4);
    p.inverse_scale[i] = inverse_scale_[from];
    if (bias_ != nullptr) p.bias[i] = bias_[from];
  }
  p.view = {p.packed.data(),
            p.inverse_scale.data(),
            bias_ != nullptr ? p.bias.data() : nullptr,
            inputs4_ * 4 / kScaleInputs,
            panels,
            activation_,
            store_};
  return p;
}

void Linear::row(int output, float factor, float* to) const {
  const float scale = inverse_scale_[output];
  for (int i = 0; i < inputs_; i += 4) {
    const std::int8_t* four = packed_ + place_of(inputs4_, output, i);
    for (int j = 0; j < 4 && i + j < inputs_; ++j)
      to[i + j] = static_cast<float>(static_cast<std::int8_t>(four[j] ^ offset_)) * scale * factor;
  }
}

}  // namespace hearth::step
