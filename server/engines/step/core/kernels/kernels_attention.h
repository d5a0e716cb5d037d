// Attention computed directly on the cache blocks. Include after simd_*.h and kernels_math.h.
//
// A score is one chain of multiply-adds over the head's dimensions, a softmax sum is one over the positions of a lane,
// and an output is one over positions in order. A tile of several queries shares the loads of keys and values, but a
// query's chains are the same in any tile. Positions outside a query's range get probability exactly 0, and adding
// 0 * value changes nothing.
#pragma once

namespace {

// With few queries a block is finished before memory has delivered the next block, so prefetch it early.
template <int Q>
constexpr bool kAhead = Q <= 4;

template <int Q, int B>
inline void scores_tile(const AttendJob& job, int first_block, int base_block, int last_block) {
  const int dim = job.head_dim;
  const uint16_t* keys[B];
  for (int b = 0; b < B; ++b) keys[b] = job.cache + static_cast<size_t>(job.blocks[first_block + b]) * job.block_stride;
  const uint16_t* next[B];
  for (int b = 0; b < B; ++b) {
    const int ahead = first_block + B + b;
    next[b] = keys[b];
    if (kAhead<Q> && ahead < last_block)
      next[b] = job.cache + static_cast<size_t>(job.blocks[ahead]) * job.block_stride;
  }
  vf sums[Q][B];
  for (int q = 0; q < Q; ++q)
    for (int b = 0; b < B; ++b) sums[q][b] = vf_zero();
  for (int d = 0; d < dim; ++d) {
    if (kAhead<Q> && d % 2 == 0)
      for (int b = 0; b < B; ++b) __builtin_prefetch(next[b] + static_cast<size_t>(d) * kBlockTokens);
    vf k[B];
    for (int b = 0; b < B; ++b) k[b] = vf_load_half(keys[b] + static_cast<size_t>(d) * kBlockTokens);
    for (int q = 0; q < Q; ++q) {
      const vf x = vf_set(job.queries[q].q[d]);
      for (int b = 0; b < B; ++b) sums[q][b] = vf_fma(x, k[b], sums[q][b]);
    }
  }
  const vf scale = vf_set(job.scale);
  for (int q = 0; q < Q; ++q)
    for (int b = 0; b < B; ++b) {
      const vf score = vf_mul(sums[q][b], scale);
      vf_store(job.scores + static_cast<size_t>(q) * job.scores_stride +
                   static_cast<size_t>(first_block + b - base_block) * kBlockTokens,
               job.softcap == 0.f ? score : vf_softcap(score, job.softcap));
    }
}

// Softmax without the division. Returns the sum.
inline float exponentials(float* scores, int begin, int end, int padded) {
  for (int t = 0; t < begin; ++t) scores[t] = -__builtin_inff();
  for (int t = end; t < padded; ++t) scores[t] = -__builtin_inff();
  vf most = vf_set(-__builtin_inff());
  for (int t = 0; t < padded; t += kLane) most = vf_max(vf_load(scores + t), most);
  const vf max = vf_set(vf_hmax(most));
  vf sum = vf_zero();
  for (int t = 0; t < padded; t += kLane) {
    const vf e = vf_exp(vf_sub(vf_load(scores + t), max));
    vf_store(scores + t, e);
    sum = vf_add(sum, e);
  }
  return vf_sum(sum);
}

template <int Q, int V>
inline void values_tile(const AttendJob& job, int base, int end, int dim0, const float* inverse) {
  const auto dim = static_cast<size_t>(job.head_dim);
  vf sums[Q][V];
  for (int q = 0; q < Q; ++q)
    for (int v = 0; v < V; ++v) sums[q][v] = vf_zero();
  for (int t0 = base; t0 < end; t0 += kBlockTokens) {
    const uint16_t* values =
        job.cache + static_cast<size_t>(job.blocks[t0 / kBlockTokens]) * job.block_stride + dim * kBlockTokens + dim0;
    const uint16_t* next = values;
    if (kAhead<Q> && t0 + kBlockTokens < end)
      next = job.cache + static_cast<size_t>(job.blocks[t0 / kBlockTokens + 1]) * job.block_stride +
             dim * kBlockTokens + dim0;
    const int here = end - t0 < kBlockTokens ? end - t0 : kBlockTokens;
    for (int t = 0; t < here; ++t) {
      if constexpr (kAhead<Q>)
        for (int v = 0; v < V; v += 2) __builtin_prefetch(next + static_cast<size_t>(t) * dim + v * kLane);
      vf x[V];
      for (int v = 0; v < V; ++v) x[v] = vf_load_half(values + static_cast<size_t>(t) * dim + v * kLane);
      for (int q = 0; q < Q; ++q) {
        const vf p =
            vf_set(job.scores[static_cast<size_t>(q) * job.scores_stride + static_cast<size_t>(t0 + t - base)]);
        for (int v = 0; v < V; ++v) sums[q][v] = vf_fma(p, x[v], sums[q][v]);
      }
    }
  }
  for (int q = 0; q < Q; ++q)
    for (int v = 0; v < V; ++v) vf_store(job.queries[q].out + dim0 + v * kLane, vf_mul(sums[q][v], vf_set(inverse[q])));
}

template <int Q>
inline void attend_tile(const AttendJob& job) {
  int begin = job.queries[0].begin, end = job.queries[0].end;
  for (int q = 1; q < Q; ++q) {
    begin = job.queries[q].begin < begin ? job.queries[q].begin : begin;
    end = job.queries[q].end > end ? job.queries[q].end : end;
  }
  const int first = begin / kBlockTokens;
  const int last = (end + kBlockTokens - 1) / kBlockTokens;
  const int base = first * kBlockTokens;
  constexpr int kBlocks = score_blocks(Q);
  int b = first;
  for (; b + kBlocks <= last; b += kBlocks) scores_tile<Q, kBlocks>(job, b, first, last);
  for (; b < last; ++b) scores_tile<Q, 1>(job, b, first, last);
  float inverse[Q];
  for (int q = 0; q < Q; ++q)
    inverse[q] =
        1.f / exponentials(job.scores + static_cast<size_t>(q) * job.scores_stride, job.queries[q].begin - base,
                           job.queries[q].end - base, (last - first) * kBlockTokens);
  constexpr int kVectors = value_vectors(Q);
  int d = 0;
  for (; d + kVectors * kLane <= job.head_dim; d += kVectors * kLane)
    values_tile<Q, kVectors>(job, base, end, d, inverse);
  if constexpr (kVectors > 2) {
    if (job.head_dim - d == 3 * kLane) return values_tile<Q, 3>(job, base, end, d, inverse);
    if (job.head_dim - d == 2 * kLane) return values_tile<Q, 2>(job, base, end, d, inverse);
  }
  for (; d < job.head_dim; d += kLane) values_tile<Q, 1>(job, base, end, d, inverse);
}

template <int Q>
inline void attend_of(const AttendJob& job) {
  if constexpr (Q > 1) {
    if (job.count < Q) return attend_of<Q - 1>(job);
  }
  attend_tile<Q>(job);
}

void attend(const AttendJob& job) { attend_of<kQueryTile>(job); }

// Writes the keys transposed. Numbers beyond the range of half precision are clamped and do not become infinite.
void store_kv(const float* key, const float* value, int head_dim, uint16_t* block, int slot) {
  const vf most = vf_set(65504.f);
  const vf least = vf_set(-65504.f);
  uint16_t* values = block + static_cast<size_t>(head_dim) * kBlockTokens + static_cast<size_t>(slot) * head_dim;
  for (int d = 0; d < head_dim; d += kLane) {
    uint16_t halves[kLane];
    vf_store_half(halves, vf_max(vf_min(vf_load(key + d), most), least));
    for (int i = 0; i < kLane; ++i) block[static_cast<size_t>(d + i) * kBlockTokens + slot] = halves[i];
    vf_store_half(values + d, vf_max(vf_min(vf_load(value + d), most), least));
  }
}

}  // namespace
