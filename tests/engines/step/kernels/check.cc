// Compares the kernel tables that this program was built with against the portable one, and checks that a row's bits do
// not depend on its neighbours. For processors that no developer's machine has: see elsewhere.py.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels.h"

using namespace hearth::step;

namespace {

std::mt19937 source(7);
int wrong = 0;

std::vector<float> floats(std::size_t n, float most) {
  std::uniform_real_distribution<float> draw(-most, most);
  std::vector<float> out(n);
  for (auto& x : out) x = draw(source);
  return out;
}

void expect(const std::string& what, const std::vector<float>& got, const std::vector<float>& want, float tolerance) {
  float largest = 1e-6f, worst = 0.f;
  for (const float x : want) largest = std::max(largest, std::fabs(x));
  for (std::size_t i = 0; i < want.size(); ++i)
    if (!(std::fabs(got[i] - want[i]) <= worst)) worst = std::fabs(got[i] - want[i]);  // NaN counts as worse
  const bool good = worst <= tolerance * largest;
  if (!good) ++wrong;
  if (!good) std::printf("WRONG %s: off by %g where the largest is %g\n", what.c_str(), worst, largest);
}

struct Product {
  int outputs, inputs, rows;
  bool biased;
  Activation activation;
  Store store;
};

// A layer of small whole numbers, packed by the layout that kernels.h states; activations quantised by the table.
std::vector<float> multiply(const Kernels& k, const Product& p, int rows_a_call) {
  source.seed(11);
  const int inputs4 = (p.inputs + 15) / 16 * 4, panels = (p.outputs + kPanel - 1) / kPanel;
  std::vector<std::int8_t> packed(static_cast<std::size_t>(panels) * inputs4 * kPanel * 4);
  std::vector<float> scale(static_cast<std::size_t>(panels) * kPanel), bias = floats(scale.size(), 1.f);
  std::uniform_int_distribution<int> weight(-127, 127);
  for (int o = 0; o < p.outputs; ++o) {
    for (int i = 0; i < p.inputs; ++i) {
      const int w = weight(source);
      packed[((static_cast<std::size_t>(o / kPanel) * inputs4 + i / 4) * kPanel + o % kPanel) * 4 + i % 4] =
          static_cast<std::int8_t>(w ^ k.weight_offset);
    }
    scale[o] = 0.001f * static_cast<float>(1 + o % 7);
  }
  const int padded = inputs4 * 4;
  const std::size_t stride = padded / kScaleInputs, out_stride = static_cast<std::size_t>(panels) * kPanel;
  std::vector<ActivationBlock> quantised(stride * p.rows);
  std::vector<float> out = floats(out_stride * p.rows, 1.f);
  for (int r = 0; r < p.rows; ++r) {
    auto x = floats(padded, 3.f);
    std::fill(x.begin() + p.inputs, x.end(), 0.f);
    k.quantize(x.data(), padded, quantised.data() + stride * r);
  }
  const LinearView view{packed.data(), scale.data(), p.biased ? bias.data() : nullptr, inputs4 / 4, panels,
                        p.activation,  p.store};
  const ActivationView rows{quantised.data(), stride};
  for (int r = 0; r < p.rows; r += rows_a_call)
    k.gemm(view, rows, r, std::min(rows_a_call, p.rows - r), 0, panels, out.data(), out_stride);
  return out;
}

// The same for four-bit weights.
std::vector<float> multiply_four_bits(const Kernels& k, const Product& p, int rows_a_call) {
  source.seed(23);
  const int groups = (p.inputs + kGroupInputs - 1) / kGroupInputs, panels = (p.outputs + kPanel - 1) / kPanel;
  std::vector<std::int8_t> packed(four_bit_panel(groups) * panels);
  std::uniform_int_distribution<int> byte(-128, 127);
  for (auto& each : packed) each = static_cast<std::int8_t>(byte(source));
  std::vector<float> scale(static_cast<std::size_t>(panels) * kPanel, 1e-4f), bias = floats(scale.size(), 1.f);
  const int padded = groups * kGroupInputs;
  const std::size_t stride = padded / kScaleInputs, out_stride = scale.size();
  std::vector<ActivationBlock> quantised(stride * p.rows);
  std::vector<float> out = floats(out_stride * p.rows, 1.f);
  std::vector<float> unpacked(static_cast<std::size_t>(groups) * kUnpackedGroupBytes / sizeof(float));
  for (int r = 0; r < p.rows; ++r) {
    auto x = floats(padded, 3.f);
    std::fill(x.begin() + p.inputs, x.end(), 0.f);
    k.quantize_groups(x.data(), padded, quantised.data() + stride * r);
  }
  const FourBitView view{packed.data(), scale.data(), p.biased ? bias.data() : nullptr, groups, panels,
                         p.activation,  p.store};
  for (int r = 0; r < p.rows; r += rows_a_call)
    k.gemm_four(view, {quantised.data(), stride}, r, std::min(rows_a_call, p.rows - r), 0, panels, out.data(),
                out_stride, reinterpret_cast<std::int8_t*>(unpacked.data()));
  return out;
}

// A weight's place in a panel, its group's scale and the table: one product in whole numbers, by the text of kernels.h.
void check_four_bit_layout(const Kernels& k) {
  const int groups = 3;
  bool good = true;
  for (const int output : {0, 15, 16, 31, 33})
    for (const int input : {0, 5, 31, 32, 70, 95}) {
      std::vector<std::int8_t> packed(four_bit_panel(groups) * 2, 0x55);
      const int group = input / kGroupInputs, inside = input % kGroupInputs, at = output % kPanel;
      auto* panel = packed.data() + four_bit_panel(groups) * (output / kPanel);
      for (int g = 0; g < groups; ++g) std::fill_n(panel + four_bit_scales(g), kPanel, static_cast<std::int8_t>(0));
      panel[four_bit_scales(group) + at] = -3;
      panel[four_bit_weights(group) + inside / 4 * 64 + at % kLane * 4 + inside % 4] =
          static_cast<std::int8_t>(at < kLane ? 0x5C : 0xC5);
      std::vector<float> x(groups * kGroupInputs), out(2 * kPanel), scale(2 * kPanel, 0.5f);
      std::vector<float> unpacked(static_cast<std::size_t>(groups) * kUnpackedGroupBytes / sizeof(float));
      std::vector<ActivationBlock> row(2 * groups);
      x[input] = 127.f;
      k.quantize_groups(x.data(), static_cast<int>(x.size()), row.data());
      const FourBitView view{packed.data(), scale.data(), nullptr, groups, 2, Activation::kNone, Store::kWrite};
      k.gemm_four(view, {row.data(), row.size()}, 0, 1, 0, 2, out.data(), out.size(),
                  reinterpret_cast<std::int8_t*>(unpacked.data()));
      good &= out[output] == 127.f * kFours[0xC] * -3 * 0.5f;
    }
  if (!good) ++wrong, std::printf("WRONG %s four-bit layout\n", k.name);
}

// Queries that stand behind each other in one sequence, some with a window.
std::vector<float> attend(const Kernels& k, int dim, int count, int length, int window, float cap, int queries_a_call) {
  source.seed(13);
  const int blocks = (length + kBlockTokens - 1) / kBlockTokens;
  const std::size_t stride = static_cast<std::size_t>(2) * kBlockTokens * dim;
  std::vector<std::uint16_t> cache(stride * blocks);
  std::vector<std::int32_t> order(blocks);
  for (int b = 0; b < blocks; ++b) order[b] = blocks - 1 - b;
  for (int t = 0; t < length; ++t) {
    const auto key = floats(dim, 2.f), value = floats(dim, 2.f);
    k.store_kv(key.data(), value.data(), dim, cache.data() + stride * order[t / kBlockTokens], t % kBlockTokens);
  }
  const auto q = floats(static_cast<std::size_t>(dim) * count, 2.f);
  std::vector<float> out(q.size());
  const std::size_t scores_stride = static_cast<std::size_t>(blocks + 2) * kBlockTokens;
  std::vector<float> scores(scores_stride * k.query_tile);
  for (int first = 0; first < count; first += queries_a_call) {
    std::vector<Query> queries;
    for (int i = first; i < std::min(count, first + queries_a_call); ++i) {
      const int end = length - count + i + 1;
      queries.push_back({q.data() + i * dim, out.data() + i * dim, window > 0 ? std::max(0, end - window) : 0, end});
    }
    k.attend({queries.data(), static_cast<int>(queries.size()), order.data(), cache.data(), stride, dim, 0.3f, cap,
              scores.data(), scores_stride});
  }
  return out;
}

std::vector<float> rows_of(const Kernels& k) {
  source.seed(17);
  std::vector<float> all;
  for (const bool centred : {false, true}) {
    for (const int size : {16, 40, 96}) {
      const int padded = (size + 15) / 16 * 16;
      auto x = floats(padded, 4.f), gamma = floats(padded, 1.f), beta = floats(padded, 1.f);
      for (auto* v : {&x, &gamma, &beta}) std::fill(v->begin() + size, v->end(), 0.f);
      std::vector<float> out(padded);
      k.norm({gamma.data(), centred ? beta.data() : nullptr, 1e-5f, size}, x.data(), out.data());
      all.insert(all.end(), out.begin(), out.end());
    }
  }
  for (const bool interleaved : {false, true}) {
    auto x = floats(80, 2.f);
    const auto cosine = floats(40, 1.f), sine = floats(40, 1.f);
    k.rotate(x.data(), cosine.data(), sine.data(), 40, interleaved);
    all.insert(all.end(), x.begin(), x.end());
  }
  auto logits = floats(640, 9.f);
  const Scan scanned = k.scan(logits.data(), 640);
  all.push_back(scanned.max);
  all.push_back(scanned.has_nan ? 1.f : 0.f);
  std::vector<float> sums(3), levels(3 * kLevels);
  k.exp_sums(logits.data(), 640, scanned.max, 0.7f, sums.data());
  all.insert(all.end(), sums.begin(), sums.end());
  const float from[kLevels] = {-100.f, -5.f, 0.f, 3.f, 6.f, 8.f, 8.9f, 9.1f};
  k.exp_sums_from(logits.data(), 640, scanned.max, 0.7f, from, levels.data());
  all.insert(all.end(), levels.begin(), levels.end());
  std::vector<std::int32_t> ids(640);
  for (const float below : {8.5f, 100.f}) {
    const int found = k.collect(logits.data(), 640, 8.f, below, 640, ids.data());
    all.push_back(static_cast<float>(found));
    for (int i = 0; i < found; ++i) all.push_back(static_cast<float>(ids[i]));
  }
  all.push_back(k.collect(logits.data(), 640, -100.f, 100.f, 20, ids.data()) > 20 ? 1.f : 0.f);
  k.softcap(logits.data(), 640, 5.f);
  all.insert(all.end(), logits.begin(), logits.end());
  logits[321] = std::nanf("");
  all.push_back(k.scan(logits.data(), 640).has_nan ? 1.f : 0.f);
  return all;
}

// Whatever stands in one block, the others are as without it, steps are within 127 and `start` is what takes back the
// weights' offset.
void check_blocks(const Kernels& k) {
  source.seed(19);
  auto x = floats(3 * kScaleInputs, 2.f);
  std::vector<ActivationBlock> usual(3), found(3);
  k.quantize(x.data(), static_cast<int>(x.size()), usual.data());
  bool good = true;
  for (const float special : {0.f, 1e-41f, 1e-30f, 3e38f, -INFINITY, NAN}) {
    for (const int count : {1, kScaleInputs}) {
      auto changed = x;
      std::fill_n(changed.begin() + kScaleInputs, count, special);
      k.quantize(changed.data(), static_cast<int>(changed.size()), found.data());
      good &= std::memcmp(&found[0], &usual[0], sizeof usual[0]) == 0 &&
              std::memcmp(&found[2], &usual[2], sizeof usual[2]) == 0;
      int sum = 0;
      for (const int step : found[1].values) sum += step, good &= step >= -127 && step <= 127;
      good &= found[1].start == -k.weight_offset * sum;
    }
  }
  if (!good) ++wrong, std::printf("WRONG %s blocks\n", k.name);
}

void check(const Kernels& k, const Kernels& plain) {
  const std::string name = k.name;
  const int before = wrong;
  for (const auto store : {Store::kWrite, Store::kAdd, Store::kGated})
    for (const auto activation : {Activation::kNone, Activation::kSwish, Activation::kGeluTanh, Activation::kGelu})
      for (const auto& [rows, inputs] : {std::pair{1, 52}, {2, 100}, {3, 32}, {5, 300}, {9, 52}, {17, 66}}) {
        if (store == Store::kAdd && activation != Activation::kNone) continue;
        const Product p{96, inputs, rows, rows % 2 == 1, activation, store};
        const auto got = multiply(k, p, rows);
        expect(name + " gemm", got, multiply(plain, p, rows), 1e-5f);
        for (const int part : {1, 2, 4}) expect(name + " gemm in parts", multiply(k, p, part), got, 0.f);
      }
  // Many rows, so that panels are unpacked before and in parts are not.
  for (const auto store : {Store::kWrite, Store::kAdd, Store::kGated})
    for (const auto& [rows, inputs] : {std::pair{1, 52}, {2, 100}, {3, 32}, {9, 300}, {130, 66}}) {
      const auto activation = store == Store::kGated ? Activation::kSwish : Activation::kNone;
      const Product p{96, inputs, rows, rows % 2 == 1, activation, store};
      const auto got = multiply_four_bits(k, p, rows);
      expect(name + " gemm_four", got, multiply_four_bits(plain, p, rows), 1e-5f);
      for (const int part : {1, 2, 4, 7})
        expect(name + " gemm_four in parts", multiply_four_bits(k, p, part), got, 0.f);
    }
  check_four_bit_layout(k);
  for (const int dim : {16, 48, 64, 80, 128})
    for (const int window : {0, 20})
      for (const int length : {9, 50, 130}) {
        const int count = std::min(k.query_tile, 9);
        const float cap = dim == 64 ? 4.f : 0.f;
        const auto got = attend(k, dim, count, length, window, cap, count);
        expect(name + " attend", got, attend(plain, dim, count, length, window, cap, plain.query_tile), 2e-5f);
        expect(name + " attend one by one", attend(k, dim, count, length, window, cap, 1), got, 0.f);
      }
  expect(name + " rows", rows_of(k), rows_of(plain), 2e-5f);
  check_blocks(k);
  std::printf("%s: %s\n", k.name, wrong == before ? "agrees with portable" : "WRONG");
}

}  // namespace

int main() {
  int checked = 0;
  for (const auto* k : {avx512_kernels(), avxvnni_kernels(), avx2_kernels(), neon_kernels()})
    if (k != nullptr) check(*k, *portable_kernels()), ++checked;
  if (checked == 0) std::printf("WRONG: no table was built\n");
  return wrong != 0 || checked == 0;
}
