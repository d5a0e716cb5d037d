// 16 lanes as one AVX-512 register; int8 products by VNNI (unsigned weight times signed activation).
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

namespace {

constexpr int kWeightOffset = 128;
constexpr int kRowTile = 6;         // 12 sums and 12 totals of 32 registers
constexpr int kTilesLookedUp = 16;  // look-ups cost little beside products, which are the limit
constexpr int kQueryTile = 8;
constexpr int value_vectors(int queries) { return queries <= 6 ? 4 : 3; }
constexpr int score_blocks(int queries) { return queries <= 2 ? 4 : 2; }

using vf = __m512;
using vi = __m512i;
using vw = __m512i;
using va = __m512i;
using vn = __m512i;

inline vf vf_zero() { return _mm512_setzero_ps(); }
inline vf vf_set(float x) { return _mm512_set1_ps(x); }
inline vf vf_load(const float* p) { return _mm512_loadu_ps(p); }
inline void vf_store(float* p, vf v) { _mm512_storeu_ps(p, v); }
inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
inline vf vf_abs(vf a) { return _mm512_abs_ps(a); }
inline vf vf_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline float vf_sum(vf a) { return _mm512_reduce_add_ps(a); }
inline float vf_hmax(vf a) { return _mm512_reduce_max_ps(a); }
inline vf vf_first(vf a, int n) { return _mm512_maskz_mov_ps(static_cast<__mmask16>((1u << n) - 1), a); }
inline unsigned vf_below(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
inline unsigned vf_at_least(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
inline unsigned vf_nan(vf a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
inline vf vf_pick(unsigned mask, vf yes, vf no) { return _mm512_mask_mov_ps(no, static_cast<__mmask16>(mask), yes); }
inline vf vf_pow2(vf n) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
}
inline vf vf_load_half(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline void vf_store_half(uint16_t* p, vf v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

inline vi vi_zero() { return _mm512_setzero_si512(); }
inline vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
inline vi vi_set(int32_t x) { return _mm512_set1_epi32(x); }
inline vf vi_to_float(vi a) { return _mm512_cvtepi32_ps(a); }
inline vi vf_to_int(vf a) { return _mm512_cvtps_epi32(a); }
inline vw vw_load(const int8_t* p) { return _mm512_loadu_si512(p); }
inline va va_spread(const int8_t* p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return _mm512_set1_epi32(four);
}
inline void vw_store(int8_t* p, vw w) { _mm512_storeu_si512(p, w); }
inline vf vf_load_bytes(const int8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
// A table of 16 bytes for vw_look_up, which reads 64 bytes and looks up their low halves and their high halves.
inline vn vn_load(const int8_t* p) {
  const __m128i offset = _mm_set1_epi8(static_cast<char>(kWeightOffset));
  return _mm512_broadcast_i32x4(_mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), offset));
}
inline void vw_look_up(vn table, const int8_t* p, vw& low, vw& high) {
  const __m512i both = _mm512_loadu_si512(p), half = _mm512_set1_epi8(15);
  low = _mm512_shuffle_epi8(table, _mm512_and_si512(both, half));
  high = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(both, 4), half));
}
inline vi vi_dot(vi sum, va a, vw w) { return _mm512_dpbusd_epi32(sum, w, a); }
// The sum of 16 signed bytes.
inline int32_t sum_of(__m128i bytes) {
  const __m128i halves = _mm_sad_epu8(_mm_xor_si128(bytes, _mm_set1_epi8(-128)), _mm_setzero_si128());
  return _mm_cvtsi128_si32(halves) + _mm_cvtsi128_si32(_mm_unpackhi_epi64(halves, halves)) - 16 * 128;
}
// Stores the lanes as bytes and returns their sum.
inline int32_t va_store(int8_t* p, vi v) {
  const __m128i bytes = _mm512_cvtepi32_epi8(v);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  return sum_of(bytes);
}

}  // namespace
