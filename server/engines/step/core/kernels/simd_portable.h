// 16 lanes as plain arrays, for any processor and compiler. The loops of 16 have no dependence between lanes, so
// compilers can vectorise them. The result is the same if they do not.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

namespace {

constexpr int kWeightOffset = 0;
constexpr int kRowTile = 2;
constexpr int kTilesLookedUp = 1;
constexpr int kQueryTile = 2;
constexpr int value_vectors(int) { return 2; }
constexpr int score_blocks(int) { return 1; }

struct vf {
  float v[16];
};
struct vi {
  int32_t v[16];
};
struct vw {
  int8_t v[64];
};
struct va {
  int8_t v[4];
};

template <typename Function>
inline vf lanes(Function f) {
  vf r;
  for (int i = 0; i < 16; ++i) r.v[i] = f(i);
  return r;
}
template <typename Function>
inline unsigned bits(Function f) {
  unsigned r = 0;
  for (int i = 0; i < 16; ++i) r |= static_cast<unsigned>(f(i)) << i;
  return r;
}

inline vf vf_set(float x) {
  return lanes([&](int) { return x; });
}
inline vf vf_zero() { return vf_set(0.f); }
inline vf vf_load(const float* p) {
  vf r;
  memcpy(r.v, p, sizeof r.v);
  return r;
}
inline void vf_store(float* p, const vf& x) { memcpy(p, x.v, sizeof x.v); }
inline vf vf_fma(const vf& x, const vf& y, const vf& z) {
  return lanes([&](int i) { return x.v[i] * y.v[i] + z.v[i]; });
}
inline vf vf_add(const vf& x, const vf& y) {
  return lanes([&](int i) { return x.v[i] + y.v[i]; });
}
inline vf vf_sub(const vf& x, const vf& y) {
  return lanes([&](int i) { return x.v[i] - y.v[i]; });
}
inline vf vf_mul(const vf& x, const vf& y) {
  return lanes([&](int i) { return x.v[i] * y.v[i]; });
}
inline vf vf_div(const vf& x, const vf& y) {
  return lanes([&](int i) { return x.v[i] / y.v[i]; });
}
inline vf vf_max(const vf& x, const vf& y) {
  return lanes([&](int i) { return x.v[i] > y.v[i] ? x.v[i] : y.v[i]; });
}
inline vf vf_min(const vf& x, const vf& y) {
  return lanes([&](int i) { return x.v[i] < y.v[i] ? x.v[i] : y.v[i]; });
}
inline vf vf_abs(const vf& x) {
  return lanes([&](int i) { return fabsf(x.v[i]); });
}
inline vf vf_round(const vf& x) {
  return lanes([&](int i) { return nearbyintf(x.v[i]); });
}
inline float vf_sum(const vf& x) {
  float t[8];
  for (int i = 0; i < 8; ++i) t[i] = x.v[i] + x.v[i + 8];
  return ((t[0] + t[4]) + (t[1] + t[5])) + ((t[2] + t[6]) + (t[3] + t[7]));
}
inline float vf_hmax(const vf& x) {
  float most = x.v[0];
  for (int i = 1; i < 16; ++i) most = x.v[i] > most ? x.v[i] : most;
  return most;
}
inline vf vf_first(const vf& x, int n) {
  return lanes([&](int i) { return i < n ? x.v[i] : 0.f; });
}
inline unsigned vf_below(const vf& x, const vf& y) {
  return bits([&](int i) { return x.v[i] < y.v[i]; });
}
inline unsigned vf_at_least(const vf& x, const vf& y) {
  return bits([&](int i) { return x.v[i] >= y.v[i]; });
}
inline unsigned vf_nan(const vf& x) {
  return bits([&](int i) { return x.v[i] != x.v[i]; });
}
inline vf vf_pick(unsigned mask, const vf& yes, const vf& no) {
  return lanes([&](int i) { return (mask >> i & 1u) != 0 ? yes.v[i] : no.v[i]; });
}
inline vf vf_pow2(const vf& n) {
  return lanes([&](int i) {
    const uint32_t e = static_cast<uint32_t>(static_cast<int32_t>(n.v[i]) + 127) << 23;
    float r;
    memcpy(&r, &e, sizeof r);
    return r;
  });
}

// Converts to half precision without hardware: rounds to nearest even, as hardware does. Callers clamp values before.
inline uint16_t to_half(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  const uint32_t sign = u >> 16 & 0x8000u;
  u &= 0x7FFFFFFFu;
  if (u > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u);
  if (u < 0x38800000u) {  // below the smallest normal half: let float addition do the rounding
    float magnitude, magic = 0.5f;
    memcpy(&magnitude, &u, sizeof u);
    magnitude += magic;
    uint32_t r, m;
    memcpy(&r, &magnitude, sizeof r);
    memcpy(&m, &magic, sizeof m);
    return static_cast<uint16_t>(sign | (r - m));
  }
  u += 0xC8000FFFu + (u >> 13 & 1u);
  return static_cast<uint16_t>(sign | u >> 13);
}
inline float from_half(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  uint32_t u = static_cast<uint32_t>(h & 0x7FFFu) << 13;
  float x;
  memcpy(&x, &u, sizeof x);
  x *= 5.192296858534828e33f;  // 2^112 moves the exponent's bias, and normalises small values
  memcpy(&u, &x, sizeof u);
  if ((h & 0x7C00u) == 0x7C00u) u |= 0x7F800000u;
  u |= sign;
  memcpy(&x, &u, sizeof x);
  return x;
}
inline vf vf_load_half(const uint16_t* p) {
  return lanes([&](int i) { return from_half(p[i]); });
}
inline void vf_store_half(uint16_t* p, const vf& x) {
  for (int i = 0; i < 16; ++i) p[i] = to_half(x.v[i]);
}

inline vi vi_zero() {
  vi r;
  memset(r.v, 0, sizeof r.v);
  return r;
}
inline vi vi_add(vi x, const vi& y) {
  for (int i = 0; i < 16; ++i) x.v[i] += y.v[i];
  return x;
}
inline vi vi_set(int32_t x) {
  vi r;
  for (auto& lane : r.v) lane = x;
  return r;
}
inline vf vi_to_float(const vi& x) {
  return lanes([&](int i) { return static_cast<float>(x.v[i]); });
}
inline vi vf_to_int(const vf& x) {
  vi r;
  for (int i = 0; i < 16; ++i) r.v[i] = static_cast<int32_t>(x.v[i]);
  return r;
}
inline vw vw_load(const int8_t* p) {
  vw w;
  memcpy(w.v, p, sizeof w.v);
  return w;
}
inline void vw_store(int8_t* p, const vw& w) { memcpy(p, w.v, sizeof w.v); }
inline vf vf_load_bytes(const int8_t* p) {
  return lanes([&](int i) { return static_cast<float>(p[i]); });
}
// A table of 16 bytes for vw_look_up, which reads 64 bytes and looks up their low halves and their high halves.
using vn = const int8_t*;
inline vn vn_load(const int8_t* p) { return p; }
inline void vw_look_up(vn table, const int8_t* p, vw& low, vw& high) {
  for (int i = 0; i < 64; ++i) {
    const auto both = static_cast<uint8_t>(p[i]);
    low.v[i] = table[both & 15];
    high.v[i] = table[both >> 4];
  }
}
inline va va_spread(const int8_t* p) {
  va r;
  memcpy(r.v, p, 4);
  return r;
}
inline vi vi_dot(vi sum, const va& a, const vw& w) {
  for (int i = 0; i < 16; ++i) {
    const int8_t* q = w.v + 4 * i;
    sum.v[i] += a.v[0] * q[0] + a.v[1] * q[1] + a.v[2] * q[2] + a.v[3] * q[3];
  }
  return sum;
}
// Stores the lanes as bytes and returns their sum.
inline int32_t va_store(int8_t* p, const vi& x) {
  int32_t sum = 0;
  for (int i = 0; i < 16; ++i) {
    p[i] = static_cast<int8_t>(x.v[i]);
    sum += x.v[i];
  }
  return sum;
}

}  // namespace
