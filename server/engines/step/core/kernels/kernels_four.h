// The product of activations with four-bit weights. Include after kernels_gemm.h.
//
// A group of 32 inputs has one scale for the activations of a row and one for the weights of an output. Its integer sum
// is exact, is multiplied by both scales, and is added to the output's float total; groups are added in their order. So
// it does not matter whether a tile looks each weight up as it goes, which reads the fewest bytes, or reads a panel
// that was unpacked to int8 before, which saves the look-ups if many rows follow: both give the same bits.
#pragma once

namespace {

struct LookedUp {
  const int8_t* panel;
  const int8_t* at = panel;
  const int8_t* scales = panel;
  const vn table = vn_load(kFours);
  void group(int g) {
    at = panel + four_bit_weights(g);
    scales = panel + four_bit_scales(g);
    for (int line = 0; line < kGroupBytes; line += 64) __builtin_prefetch(at + kReadAhead + line);
  }
  vf scale(int block) const { return vf_load_bytes(scales + block * kLane); }
  void step(vw& low, vw& high) {
    vw_look_up(table, at, low, high);
    at += kPanel * 2;
  }
};

// A panel as unpack() writes it: for each group the scales as floats, then the weights as in a LinearView.
struct Unpacked {
  const int8_t* panel;
  const int8_t* at = panel;
  const float* scales = nullptr;
  void group(int g) {
    at = panel + static_cast<size_t>(g) * kUnpackedGroupBytes;
    scales = reinterpret_cast<const float*>(at);
    at += kPanel * sizeof(float);
  }
  vf scale(int block) const { return vf_load(scales + block * kLane); }
  void step(vw& low, vw& high) {
    low = vw_load(at);
    high = vw_load(at + kLane * 4);
    at += kPanel * 4;
  }
};

// Multiplies R rows by one group of inputs and adds to the totals.
template <int R, int U, typename Weights>
inline void add_group(Weights& weights, const ActivationBlock* block, size_t stride, vf (&totals)[R][2]) {
  vi sums[U][R][2];
  for (int r = 0; r < R; ++r) {
    const int32_t start = block[r * stride].start + block[r * stride + 1].start;
    sums[0][r][0] = sums[0][r][1] = vi_set(kWeightOffset != 0 ? start : 0);
  }
  for (int u = 1; u < U; ++u)
    for (int r = 0; r < R; ++r) sums[u][r][0] = sums[u][r][1] = vi_zero();
  for (int half = 0; half < 2; ++half) {
    const ActivationBlock* inputs = block + half;
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
    for (int k = 0; k < kScaleInputs / 4; k += U) {
#if defined(__GNUC__)
#pragma GCC unroll 8
#endif
      for (int u = 0; u < U; ++u) {
        vw low, high;
        weights.step(low, high);
#if defined(__GNUC__)
#pragma GCC unroll 16
#endif
        for (int r = 0; r < R; ++r) {
          const va x = va_spread(inputs[r * stride].values + (k + u) * 4);
          sums[u][r][0] = vi_dot(sums[u][r][0], x, low);
          sums[u][r][1] = vi_dot(sums[u][r][1], x, high);
        }
      }
    }
  }
  const vf by[2] = {weights.scale(0), weights.scale(1)};
#if defined(__GNUC__)
#pragma GCC unroll 16
#endif
  for (int r = 0; r < R; ++r) {
    const vf scale = vf_set(block[r * stride].scale);
    for (int b = 0; b < 2; ++b) {
      for (int u = 1; u < U; ++u) sums[0][r][b] = vi_add(sums[0][r][b], sums[u][r][b]);
      totals[r][b] = vf_fma(vi_to_float(sums[0][r][b]), vf_mul(scale, by[b]), totals[r][b]);
    }
  }
}

// Not inlined: in one large function the compiler would keep a small tile's sums in memory.
template <int R, int U, typename Weights>
__attribute__((noinline)) void tile_four(const FourBitView& w, Weights weights, const ActivationView& a, int row,
                                         int panel, const Destination& to) {
  const ActivationBlock* block = a.data + static_cast<size_t>(row) * a.stride;
  vf totals[R][2];
  for (int r = 0; r < R; ++r) totals[r][0] = totals[r][1] = vf_zero();
  for (int g = 0; g < w.groups; ++g, block += 2) {
    weights.group(g);
    add_group<R, U>(weights, block, a.stride, totals);
  }
  const int output = panel * kPanel;
  for (int r = 0; r < R; ++r)
    store_pair(w, to.out + static_cast<size_t>(row + r) * to.stride + to.column, finish(w, totals[r][0], output),
               finish(w, totals[r][1], output + kLane));
}

// Calls the tile of exactly `rows` rows, 1 <= rows <= R.
template <int R, typename Weights>
inline void tile_four_of(int rows, const FourBitView& w, Weights weights, const ActivationView& a, int row, int panel,
                         const Destination& to) {
  if constexpr (R > 1) {
    if (rows < R) return tile_four_of<R - 1>(rows, w, weights, a, row, panel, to);
  }
  constexpr int kSplit = kRowTile < 4 ? 1 : R <= 3 ? 2 : 1;
  tile_four<R, kSplit>(w, weights, a, row, panel, to);
}

inline void unpack(const int8_t* panel, int groups, int8_t* to) {
  LookedUp weights{panel};
  for (int g = 0; g < groups; ++g) {
    weights.group(g);
    for (int b = 0; b < 2; ++b) vf_store(reinterpret_cast<float*>(to) + b * kLane, weights.scale(b));
    to += kPanel * sizeof(float);
    for (int k = 0; k < kGroupInputs / 4; ++k, to += kPanel * 4) {
      vw low, high;
      weights.step(low, high);
      vw_store(to, low);
      vw_store(to + kLane * 4, high);
    }
  }
}

void gemm_four(const FourBitView& w, const ActivationView& a, int row0, int rows, int panel0, int panels, float* out,
               size_t out_stride, int8_t* unpacked) {
  const int tiles = (rows + kRowTile - 1) / kRowTile;
  for (int p = panel0; p < panel0 + panels; ++p) {
    const Destination to{out, out_stride, w.store == Store::kGated ? p * kLane : p * kPanel};
    const int8_t* packed = w.packed + static_cast<size_t>(p) * four_bit_panel(w.groups);
    const bool ahead = tiles > kTilesLookedUp;
    if (ahead) unpack(packed, w.groups, unpacked);
    for (int t = 0; t < tiles; ++t) {
      const int r = rows * t / tiles, count = rows * (t + 1) / tiles - r;
      if (ahead) tile_four_of<kRowTile>(count, w, Unpacked{unpacked}, a, row0 + r, p, to);
      else tile_four_of<kRowTile>(count, w, LookedUp{packed}, a, row0 + r, p, to);
    }
  }
}

void quantize_groups(const float* x, int n, ActivationBlock* out) {
  for (int i = 0; i < n; i += kGroupInputs, out += 2) {
    const vf low = vf_load(x + i), high = vf_load(x + i + kLane);
    const float magnitude = vf_hmax(vf_max(vf_abs(high), vf_max(vf_abs(low), vf_zero())));  // NaN counts as zero
    quantize_block(low, magnitude, out);
    quantize_block(high, magnitude, out + 1);
  }
}

}  // namespace
