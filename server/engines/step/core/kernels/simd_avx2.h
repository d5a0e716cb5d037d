// 16 lanes as two AVX2 registers. Int8 products use VNNI (unsigned weight times signed activation) if the including
// file is built with it. Without VNNI, a pair of unsigned-times-signed products can exceed 16 bits, so the sign moves
// to the weight: |a| * sign(w, a) sums to at most 2 * 127 * 127, which fits. Weights are never -128 (checked at load).
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

// The same instruction has two encodings: Alder Lake's, and that of AVX-512 processors, on which tests can run it.
#if defined(__AVXVNNI__)
#define HEARTH_DPBUSD _mm256_dpbusd_avx_epi32
#elif defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define HEARTH_DPBUSD _mm256_dpbusd_epi32
#endif

namespace {

#if defined(HEARTH_DPBUSD)
constexpr int kWeightOffset = 128;
constexpr int kTilesLookedUp = 8;
#else
constexpr int kWeightOffset = 0;
constexpr int kTilesLookedUp = 4;
#endif
constexpr int kRowTile = 2;  // 8 sums of 16 registers; the totals go to the first-level cache
constexpr int kQueryTile = 3;
constexpr int value_vectors(int) { return 2; }
constexpr int score_blocks(int queries) { return queries <= 2 ? 2 : 1; }

struct vf {
  __m256 a, b;
};
struct vi {
  __m256i a, b;
};
struct vw {
  __m256i a, b;
};
#if defined(HEARTH_DPBUSD)
using va = __m256i;
#else
struct va {
  __m256i magnitude, sign;
};
#endif

inline vf vf_set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline vf vf_zero() { return vf_set(0.f); }
inline vf vf_load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void vf_store(float* p, vf v) {
  _mm256_storeu_ps(p, v.a);
  _mm256_storeu_ps(p + 8, v.b);
}
inline vf vf_fma(vf x, vf y, vf z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
inline vf vf_add(vf x, vf y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline vf vf_sub(vf x, vf y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline vf vf_mul(vf x, vf y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline vf vf_div(vf x, vf y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline vf vf_max(vf x, vf y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
inline vf vf_min(vf x, vf y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
inline vf vf_abs(vf x) {
  const __m256 sign = _mm256_set1_ps(-0.f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
inline vf vf_round(vf x) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(x.a, kNearest), _mm256_round_ps(x.b, kNearest)};
}
inline float vf_sum(vf x) {
  float lanes[8];
  _mm256_storeu_ps(lanes, _mm256_add_ps(x.a, x.b));
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}
inline float vf_hmax(vf x) {
  const __m256 eight = _mm256_max_ps(x.a, x.b);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
inline __m256 lanes_of(unsigned mask) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i all = _mm256_set1_epi32(static_cast<int>(mask & 255u));
  return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(all, bit), bit));
}
inline vf vf_first(vf x, int n) {
  const unsigned mask = (1u << n) - 1;
  return {_mm256_and_ps(x.a, lanes_of(mask)), _mm256_and_ps(x.b, lanes_of(mask >> 8))};
}
template <int kCompare>
inline unsigned vf_compare(vf x, vf y) {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(x.a, y.a, kCompare))) |
         static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(x.b, y.b, kCompare))) << 8;
}
inline unsigned vf_below(vf x, vf y) { return vf_compare<_CMP_LT_OQ>(x, y); }
inline unsigned vf_at_least(vf x, vf y) { return vf_compare<_CMP_GE_OQ>(x, y); }
inline unsigned vf_nan(vf x) { return vf_compare<_CMP_UNORD_Q>(x, x); }
inline vf vf_pick(unsigned mask, vf yes, vf no) {
  return {_mm256_blendv_ps(no.a, yes.a, lanes_of(mask)), _mm256_blendv_ps(no.b, yes.b, lanes_of(mask >> 8))};
}
inline __m256 pow2_half(__m256 n) {
  const __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}
inline vf vf_pow2(vf n) { return {pow2_half(n.a), pow2_half(n.b)}; }
inline vf vf_load_half(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
inline void vf_store_half(uint16_t* p, vf v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT));
}

inline vi vi_zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline vi vi_add(vi x, vi y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
inline vi vi_set(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline vf vi_to_float(vi x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
inline vi vf_to_int(vf x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
inline vw vw_load(const int8_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
inline void vw_store(int8_t* p, vw w) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), w.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), w.b);
}
inline __m256 eight_bytes(const int8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
inline vf vf_load_bytes(const int8_t* p) { return {eight_bytes(p), eight_bytes(p + 8)}; }
// A table of 16 bytes for vw_look_up, which reads 64 bytes and looks up their low halves and their high halves.
using vn = __m256i;
inline vn vn_load(const int8_t* p) {
  const __m128i offset = _mm_set1_epi8(static_cast<char>(kWeightOffset));
  return _mm256_broadcastsi128_si256(_mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), offset));
}
inline void vw_look_up(vn table, const int8_t* p, vw& low, vw& high) {
  const __m256i half = _mm256_set1_epi8(15);
  const vw both = vw_load(p);
  low = {_mm256_shuffle_epi8(table, _mm256_and_si256(both.a, half)),
         _mm256_shuffle_epi8(table, _mm256_and_si256(both.b, half))};
  high = {_mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(both.a, 4), half)),
          _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(both.b, 4), half))};
}
inline __m256i spread(const int8_t* p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return _mm256_set1_epi32(four);
}
#if defined(HEARTH_DPBUSD)
inline va va_spread(const int8_t* p) { return spread(p); }
inline __m256i dot_half(__m256i sum, va a, __m256i w) { return HEARTH_DPBUSD(sum, w, a); }
#else
inline va va_spread(const int8_t* p) {
  const __m256i x = spread(p);
  return {_mm256_abs_epi8(x), x};
}
inline __m256i dot_half(__m256i sum, va a, __m256i w) {
  const __m256i pairs = _mm256_maddubs_epi16(a.magnitude, _mm256_sign_epi8(w, a.sign));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#endif
inline vi vi_dot(vi sum, va a, vw w) { return {dot_half(sum.a, a, w.a), dot_half(sum.b, a, w.b)}; }
// The sum of 16 signed bytes.
inline int32_t sum_of(__m128i bytes) {
  const __m128i halves = _mm_sad_epu8(_mm_xor_si128(bytes, _mm_set1_epi8(-128)), _mm_setzero_si128());
  return _mm_cvtsi128_si32(halves) + _mm_cvtsi128_si32(_mm_unpackhi_epi64(halves, halves)) - 16 * 128;
}
// Stores the lanes as bytes and returns their sum.
inline int32_t va_store(int8_t* p, vi x) {
  const __m256i words = _mm256_packs_epi32(x.a, x.b);
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
  const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  return sum_of(bytes);
}

}  // namespace
