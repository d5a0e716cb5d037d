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

Linear::Linear(Arena& arena, int outputs, const Variable& weight, bool biased, const Kernels& kernels, Store store,
               Activation activation)
    : groups_(has_four_bits(weight) ? static_cast<int>(weight.shape[1]) : 0),
      panels_(round_up(outputs, kPanel) / kPanel),
      offset_(kernels.weight_offset),
      store_(store),
      activation_(activation) {
  inputs_ = is_four_bit() ? groups_ * kGroupInputs : static_cast<int>(weight.shape.at(1));
  inputs4_ = round_up(inputs_, kScaleInputs) / 4;
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
  // Read some rows at a time, because a copy of the largest matrix would be a large part of a small model.
  const auto length = static_cast<std::size_t>(is_four_bit() ? inputs_ / 2 : inputs_);
  const auto groups = static_cast<std::size_t>(groups_);
  std::vector<std::int8_t> rows(kPanel * length), group_scales(kPanel * groups);
  for (int first = 0; first < outputs; first += kPanel) {
    const auto begin = static_cast<std::size_t>(first);
    const auto count = static_cast<std::size_t>(std::min(kPanel, outputs - first));
    file.int8s(variable, begin * length, count * length, rows.data());
    if (is_four_bit())
      file.int8s(need(file, scope + "/weight_group_scale"), begin * groups, count * groups, group_scales.data());
    for (std::size_t i = 0; i < count; ++i) {
      const int to = place(first + static_cast<int>(i));
      if (is_four_bit()) pack_four_bit_row(rows.data() + i * length, group_scales.data() + i * groups, to);
      else if (!pack_row(rows.data() + i * length, to))
        throw ModelError("model.bin: '" + scope + "/weight' holds -128, which no converter writes");
      const float scale = scales[begin + i];
      if (!(std::isfinite(scale) && scale > 0.f))
        throw ModelError("model.bin: '" + scope + "/weight_scale' is not a positive number");
      inverse_scale_[to] = 1.f / scale;
      if (bias != nullptr) bias_[to] = biases[begin + i];
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

void Linear::pack_four_bit_row(const std::int8_t* row, const std::int8_t* scales, int output) {
  const int at = output % kPanel;
  std::int8_t* panel = packed_ + static_cast<std::size_t>(output / kPanel) * panel_bytes();
  const unsigned shift = at < kLane ? 0 : 4;
  for (int g = 0; g < groups_; ++g, row += kGroupInputs / 2) {
    panel[four_bit_scales(g) + static_cast<std::size_t>(at)] = scales[g];
    std::int8_t* to = panel + four_bit_weights(g) + at % kLane * 4;
    for (int i = 0; i < kGroupInputs; ++i) {
      const auto half = static_cast<std::uint8_t>(row[i % 16]) >> (i < 16 ? 0 : 4) & 15u;
      std::int8_t& byte = to[i / 4 * 64 + i % 4];
      byte = static_cast<std::int8_t>(static_cast<std::uint8_t>(byte) | half << shift);
    }
  }
}

Linear::Linear(Arena& arena, const ModelFile& file, const std::string& scope, const Kernels& kernels, Store store,
               Activation activation)
    : Linear(arena, static_cast<int>(need(file, scope + "/weight").shape.at(0)), need(file, scope + "/weight"),
             file.has(scope + "/bias"), kernels, store, activation) {
  pack(file, scope, [](int o) { return o; });
}

Linear Linear::gated(Arena& arena, const ModelFile& file, const std::string& gate, const std::string& up,
                     const Kernels& kernels, Activation activation) {
  const auto& weight = need(file, gate + "/weight");
  if (has_four_bits(weight) != has_four_bits(need(file, up + "/weight")))
    throw ModelError("model.bin: only one of '" + gate + "' and '" + up + "' has four-bit weights");
  const int outputs = round_up(static_cast<int>(weight.shape.at(0)), kLane) * 2;
  const bool biased = file.has(gate + "/bias") || file.has(up + "/bias");
  Linear both(arena, outputs, weight, biased, kernels, Store::kGated, activation);
  const auto in_turn = [](int o) { return o / kLane * kPanel + o % kLane; };
  both.pack(file, gate, in_turn);
  both.pack(file, up, [&](int o) { return in_turn(o) + kLane; });
  return both;
}

LinearView Linear::view() const { return {packed_, inverse_scale_, bias_, blocks(), panels_, activation_, store_}; }

FourBitView Linear::four_bit_view() const {
  return {packed_, inverse_scale_, bias_, groups_, panels_, activation_, store_};
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
            blocks(),
            panels,
            activation_,
            store_};
  return p;
}

void Linear::row(int output, float factor, float* to) const {
  if (is_four_bit()) return four_bit_row(output, factor, to);
  const float scale = inverse_scale_[output];
  for (int i = 0; i < inputs_; i += 4) {
    const std::int8_t* four = packed_ + place_of(inputs4_, output, i);
    for (int j = 0; j < 4 && i + j < inputs_; ++j)
      to[i + j] = static_cast<float>(static_cast<std::int8_t>(four[j] ^ offset_)) * scale * factor;
  }
}

void Linear::four_bit_row(int output, float factor, float* to) const {
  const int at = output % kPanel;
  const std::int8_t* panel = packed_ + static_cast<std::size_t>(output / kPanel) * panel_bytes();
  const unsigned shift = at < kLane ? 0 : 4;
  for (int g = 0; g < groups_; ++g) {
    const auto scale = static_cast<float>(panel[four_bit_scales(g) + static_cast<std::size_t>(at)]);
    const std::int8_t* from = panel + four_bit_weights(g) + at % kLane * 4;
    for (int i = 0; i < kGroupInputs; ++i) {
      const auto half = static_cast<std::uint8_t>(from[i / 4 * 64 + i % 4]) >> shift & 15u;
      *to++ = static_cast<float>(kFours[half]) * scale * inverse_scale_[output] * factor;
    }
  }
}

}  // namespace hearth::step
