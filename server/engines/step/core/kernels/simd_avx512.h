// 16 lanes as one AVX-512 register; int8 products by VNNI (unsigned activation times signed weight).
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

namespace {

constexpr int kOffset = 128;
constexpr int kRowTile = 8;      // 16 accumulators; with more rows their addresses no longer fit the integer registers
constexpr int kQueryTile = 8;
constexpr int value_vectors(int queries) { return queries <= 6 ? 4 : 3; }
constexpr int score_blocks(int queries) { return queries <= 2 ? 4 : 2; }

using vf = __m512;
using vi = __m512i;
using vw = __m512i;
using va = __m512i;

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
inline vf vi_minus_to_float(vi a, const int32_t* b) {
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(a, _mm512_loadu_si512(b)));
}
inline vw vw_load(const int8_t* p) { return _mm512_loadu_si512(p); }
inline va va_spread(const uint8_t* p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return _mm512_set1_epi32(four);
}
inline vi vi_dot(vi sum, va a, vw w) { return _mm512_dpbusd_epi32(sum, a, w); }
inline void va_store(uint8_t* p, vf rounded) {
  const __m512i v = _mm512_add_epi32(_mm512_cvtps_epi32(rounded), _mm512_set1_epi32(kOffset));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v));
}

}  // namespace
