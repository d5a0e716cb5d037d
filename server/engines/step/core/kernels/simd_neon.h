// 16 lanes as four NEON registers; int8 products by the dot product extension of Armv8.2.
#pragma once
#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

namespace {

constexpr int kWeightOffset = 0;
constexpr int kRowTile = 3;  // 24 sums of 32 registers; the totals go to the first-level cache
constexpr int kTilesLookedUp = 3;
constexpr int kQueryTile = 3;
constexpr int value_vectors(int) { return 2; }
constexpr int score_blocks(int queries) { return queries <= 2 ? 2 : 1; }

struct vf {
  float32x4_t r[4];
};
struct vi {
  int32x4_t r[4];
};
struct vw {
  int8x16_t r[4];
};
using va = int8x16_t;

template <typename Function>
inline vf quarters(Function f) {
  return {{f(0), f(1), f(2), f(3)}};
}

inline vf vf_set(float x) {
  return quarters([&](int) { return vdupq_n_f32(x); });
}
inline vf vf_zero() { return vf_set(0.f); }
inline vf vf_load(const float* p) {
  return quarters([&](int i) { return vld1q_f32(p + 4 * i); });
}
inline void vf_store(float* p, vf v) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, v.r[i]);
}
inline vf vf_fma(vf a, vf b, vf c) {
  return quarters([&](int i) { return vfmaq_f32(c.r[i], a.r[i], b.r[i]); });
}
inline vf vf_add(vf a, vf b) {
  return quarters([&](int i) { return vaddq_f32(a.r[i], b.r[i]); });
}
inline vf vf_sub(vf a, vf b) {
  return quarters([&](int i) { return vsubq_f32(a.r[i], b.r[i]); });
}
inline vf vf_mul(vf a, vf b) {
  return quarters([&](int i) { return vmulq_f32(a.r[i], b.r[i]); });
}
inline vf vf_div(vf a, vf b) {
  return quarters([&](int i) { return vdivq_f32(a.r[i], b.r[i]); });
}
inline vf vf_max(vf a, vf b) {
  return quarters([&](int i) { return vmaxq_f32(a.r[i], b.r[i]); });
}
inline vf vf_min(vf a, vf b) {
  return quarters([&](int i) { return vminq_f32(a.r[i], b.r[i]); });
}
inline vf vf_abs(vf a) {
  return quarters([&](int i) { return vabsq_f32(a.r[i]); });
}
inline vf vf_round(vf a) {
  return quarters([&](int i) { return vrndnq_f32(a.r[i]); });
}
inline float vf_sum(vf a) { return vaddvq_f32(vaddq_f32(vaddq_f32(a.r[0], a.r[2]), vaddq_f32(a.r[1], a.r[3]))); }
inline float vf_hmax(vf a) { return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.r[0], a.r[2]), vmaxq_f32(a.r[1], a.r[3]))); }
inline unsigned mask_of(uint32x4_t m, int i) {
  const uint32x4_t bit = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(m, bit)) << (4 * i);
}
inline uint32x4_t lanes_of(unsigned mask, int i) {
  const uint32x4_t bit = {1, 2, 4, 8};
  return vtstq_u32(vdupq_n_u32(mask >> (4 * i)), bit);
}
inline vf vf_pick(unsigned mask, vf yes, vf no) {
  return quarters([&](int i) { return vbslq_f32(lanes_of(mask, i), yes.r[i], no.r[i]); });
}
inline vf vf_first(vf a, int n) { return vf_pick((1u << n) - 1, a, vf_zero()); }
inline unsigned vf_below(vf a, vf b) {
  unsigned m = 0;
  for (int i = 0; i < 4; ++i) m |= mask_of(vcltq_f32(a.r[i], b.r[i]), i);
  return m;
}
inline unsigned vf_at_least(vf a, vf b) {
  unsigned m = 0;
  for (int i = 0; i < 4; ++i) m |= mask_of(vcgeq_f32(a.r[i], b.r[i]), i);
  return m;
}
inline unsigned vf_nan(vf a) {
  unsigned m = 0;
  for (int i = 0; i < 4; ++i) m |= mask_of(vmvnq_u32(vceqq_f32(a.r[i], a.r[i])), i);
  return m;
}
inline vf vf_pow2(vf n) {
  return quarters([&](int i) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n.r[i]), vdupq_n_s32(127)), 23));
  });
}
inline vf vf_load_half(const uint16_t* p) {
  return quarters([&](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))); });
}
inline void vf_store_half(uint16_t* p, vf v) {
  for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(v.r[i])));
}

inline vi vi_zero() { return {{vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)}}; }
inline vi vi_add(vi a, vi b) {
  for (int i = 0; i < 4; ++i) a.r[i] = vaddq_s32(a.r[i], b.r[i]);
  return a;
}
inline vi vi_set(int32_t x) { return {{vdupq_n_s32(x), vdupq_n_s32(x), vdupq_n_s32(x), vdupq_n_s32(x)}}; }
inline vf vi_to_float(vi a) {
  return quarters([&](int i) { return vcvtq_f32_s32(a.r[i]); });
}
inline vi vf_to_int(vf a) {
  return {{vcvtq_s32_f32(a.r[0]), vcvtq_s32_f32(a.r[1]), vcvtq_s32_f32(a.r[2]), vcvtq_s32_f32(a.r[3])}};
}
inline vw vw_load(const int8_t* p) { return {{vld1q_s8(p), vld1q_s8(p + 16), vld1q_s8(p + 32), vld1q_s8(p + 48)}}; }
inline void vw_store(int8_t* p, vw w) {
  for (int i = 0; i < 4; ++i) vst1q_s8(p + 16 * i, w.r[i]);
}
inline vf vf_load_bytes(const int8_t* p) {
  const int8x16_t bytes = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
}
// A table of 16 bytes for vw_look_up, which reads 64 bytes and looks up their low halves and their high halves.
using vn = int8x16_t;
inline vn vn_load(const int8_t* p) { return vld1q_s8(p); }
inline void vw_look_up(vn table, const int8_t* p, vw& low, vw& high) {
  for (int i = 0; i < 4; ++i) {
    const uint8x16_t both = vreinterpretq_u8_s8(vld1q_s8(p + 16 * i));
    low.r[i] = vqtbl1q_s8(table, vandq_u8(both, vdupq_n_u8(15)));
    high.r[i] = vqtbl1q_s8(table, vshrq_n_u8(both, 4));
  }
}
inline va va_spread(const int8_t* p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}
inline vi vi_dot(vi sum, va a, vw w) {
  for (int i = 0; i < 4; ++i) sum.r[i] = vdotq_s32(sum.r[i], w.r[i], a);
  return sum;
}
// Stores the lanes as bytes and returns their sum, which kernels without a weight offset do not use.
inline int32_t va_store(int8_t* p, vi a) {
  const int16x8_t low = vcombine_s16(vqmovn_s32(a.r[0]), vqmovn_s32(a.r[1]));
  const int16x8_t high = vcombine_s16(vqmovn_s32(a.r[2]), vqmovn_s32(a.r[3]));
  vst1q_s8(p, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
  return vaddvq_s32(vaddq_s32(vaddq_s32(a.r[0], a.r[1]), vaddq_s32(a.r[2], a.r[3])));
}

}  // namespace
