// The int8 product: rows of activations against panels of packed weights. Include after one simd_*.h.
//
// One tile is R rows by 32 outputs. Its integer sums stay in registers over a block of inputs that share a scale. After
// each block they are converted, scaled and added to float totals, which stay in registers or in the first-level cache.
// An output is written once, and scale, bias, activation, gate and residual are fused into that store. Integer sums are
// exact in any order, and a row's blocks are added in a fixed order, so tiles of any height give the same bits. The
// caller goes through all rows of a panel before the next panel, so weights come from memory once and then from the
// second-level cache.
#pragma once

namespace {

struct Destination {
  float* out;
  size_t stride;
  int column;  // in floats, of this panel's first output
};

template <typename View>
inline vf finish(const View& w, vf total, int output) {
  const vf y = vf_mul(total, vf_load(w.inverse_scale + output));
  return w.bias != nullptr ? vf_add(y, vf_load(w.bias + output)) : y;
}

template <typename View>
inline void store_pair(const View& w, float* out, vf low, vf high) {
  switch (w.store) {
    case Store::kWrite:
      vf_store(out, vf_activate(w.activation, low));
      vf_store(out + kLane, vf_activate(w.activation, high));
      return;
    case Store::kAdd:
      vf_store(out, vf_add(vf_load(out), low));
      vf_store(out + kLane, vf_add(vf_load(out + kLane), high));
      return;
    case Store::kGated: vf_store(out, vf_mul(vf_activate(w.activation, low), high)); return;
  }
}

// Weights are prefetched this many bytes ahead. With several rows the work on a block is too long for the processor to
// see the next loads by itself. A prefetch reads nothing, so it may go beyond the last panel.
constexpr int kReadAhead = 8 << 10;
constexpr int kBlockWeights = kScaleInputs * kPanel;

// Multiplies R rows by one block of inputs and adds to the totals. With few rows, one accumulator for each sum would
// wait for its own latency, so the inputs are divided among U accumulators. Two are enough. With four, GCC's code for
// one row read memory at less than half the speed (measured on Zen 4).
template <int R, int U>
inline void add_block(const int8_t* weights, const ActivationBlock* block, size_t stride, vf (&totals)[R][2]) {
  vi sums[U][R][2];
  for (int r = 0; r < R; ++r) sums[0][r][0] = sums[0][r][1] = vi_set(kWeightOffset != 0 ? block[r * stride].start : 0);
  for (int u = 1; u < U; ++u)
    for (int r = 0; r < R; ++r) sums[u][r][0] = sums[u][r][1] = vi_zero();
  for (int line = 0; line < kBlockWeights; line += 64) __builtin_prefetch(weights + kReadAhead + line);
  for (int k = 0; k < kScaleInputs / 4; k += U) {
#if defined(__GNUC__)
#pragma GCC unroll 8
#endif
    for (int u = 0; u < U; ++u) {
      const vw low = vw_load(weights);
      const vw high = vw_load(weights + kLane * 4);
      weights += kPanel * 4;
#if defined(__GNUC__)
#pragma GCC unroll 16
#endif
      for (int r = 0; r < R; ++r) {
        const va x = va_spread(block[r * stride].values + (k + u) * 4);
        sums[u][r][0] = vi_dot(sums[u][r][0], x, low);
        sums[u][r][1] = vi_dot(sums[u][r][1], x, high);
      }
    }
  }
#if defined(__GNUC__)
#pragma GCC unroll 16
#endif
  for (int r = 0; r < R; ++r) {
    const vf scale = vf_set(block[r * stride].scale);
    for (int b = 0; b < 2; ++b) {
      for (int u = 1; u < U; ++u) sums[0][r][b] = vi_add(sums[0][r][b], sums[u][r][b]);
      totals[r][b] = vf_fma(vi_to_float(sums[0][r][b]), scale, totals[r][b]);
    }
  }
}

template <int R, int U>
inline void tile(const LinearView& w, const ActivationView& a, int row, int panel, const Destination& to) {
  const int8_t* weights = w.packed + static_cast<size_t>(panel) * static_cast<size_t>(w.blocks) * kBlockWeights;
  const ActivationBlock* block = a.data + static_cast<size_t>(row) * a.stride;
  vf totals[R][2];
  for (int r = 0; r < R; ++r) totals[r][0] = totals[r][1] = vf_zero();
  for (int b = 0; b < w.blocks; ++b, ++block, weights += kBlockWeights)
    add_block<R, U>(weights, block, a.stride, totals);
  const int output = panel * kPanel;
  for (int r = 0; r < R; ++r)
    store_pair(w, to.out + static_cast<size_t>(row + r) * to.stride + to.column, finish(w, totals[r][0], output),
               finish(w, totals[r][1], output + kLane));
}

// Calls the tile of exactly `rows` rows, 1 <= rows <= R.
template <int R>
inline void tile_of(int rows, const LinearView& w, const ActivationView& a, int row, int panel, const Destination& to) {
  if constexpr (R > 1) {
    if (rows < R) return tile_of<R - 1>(rows, w, a, row, panel, to);
  }
  constexpr int kSplit = kRowTile < 4 ? 1 : R <= 3 ? 2 : 1;
  tile<R, kSplit>(w, a, row, panel, to);
}

void gemm(const LinearView& w, const ActivationView& a, int row0, int rows, int panel0, int panels, float* out,
          size_t out_stride) {
  for (int p = panel0; p < panel0 + panels; ++p) {
    const Destination to{out, out_stride, w.store == Store::kGated ? p * kLane : p * kPanel};
    // Tiles of nearly equal height: 9 rows are 5 and 4, not 8 and 1.
    const int tiles = (rows + kRowTile - 1) / kRowTile;
    for (int t = 0; t < tiles; ++t) {
      const int r = rows * t / tiles;
      tile_of<kRowTile>(rows * (t + 1) / tiles - r, w, a, row0 + r, p, to);
    }
  }
}

inline void quantize_block(vf values, float magnitude, ActivationBlock* out) {
  const vf by = vf_set(magnitude > 0.f ? 127.f / magnitude : 0.f);
  const vf steps = vf_max(vf_min(vf_round(vf_mul(values, by)), vf_set(127.f)), vf_set(-127.f));
  const int32_t sum = va_store(out->values, vf_to_int(steps));
  out->scale = magnitude * (1.f / 127.f);
  out->start = -kWeightOffset * sum;
}

void quantize(const float* x, int n, ActivationBlock* out) {
  for (int i = 0; i < n; i += kLane, ++out) {
    const vf values = vf_load(x + i);
    quantize_block(values, vf_hmax(vf_max(vf_abs(values), vf_zero())), out);  // in this order NaN counts as zero
  }
}

}  // namespace
