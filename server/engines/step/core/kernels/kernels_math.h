// Elementary functions of 16 lanes. Include after one simd_*.h.
#pragma once

namespace {

// e^x: x = n ln2 + r, a polynomial in r, times 2^n. Below -87 the result is 0 (so is that of -infinity).
inline vf vf_exp(vf x) {
  const vf floor = vf_set(-87.f);
  const unsigned tiny = vf_below(x, floor);
  x = vf_min(vf_max(x, floor), vf_set(88.f));
  const vf n = vf_round(vf_mul(x, vf_set(1.44269504f)));
  vf r = vf_fma(n, vf_set(-0.693359375f), x);
  r = vf_fma(n, vf_set(2.12194440e-4f), r);
  vf p = vf_set(1.9875691500e-4f);
  p = vf_fma(p, r, vf_set(1.3981999507e-3f));
  p = vf_fma(p, r, vf_set(8.3334519073e-3f));
  p = vf_fma(p, r, vf_set(4.1665795894e-2f));
  p = vf_fma(p, r, vf_set(1.6666665459e-1f));
  p = vf_fma(p, r, vf_set(5.0000001201e-1f));
  const vf one = vf_set(1.f);
  p = vf_fma(p, vf_mul(r, r), vf_add(r, one));
  return vf_pick(tiny, vf_zero(), vf_mul(p, vf_pow2(n)));
}

inline vf vf_sigmoid(vf x) {
  const vf one = vf_set(1.f);
  return vf_div(one, vf_add(one, vf_exp(vf_sub(vf_zero(), x))));
}

inline vf vf_tanh(vf x) {
  const vf one = vf_set(1.f);
  return vf_sub(one, vf_div(vf_set(2.f), vf_add(vf_exp(vf_add(x, x)), one)));
}

// cap * tanh(x / cap)
inline vf vf_softcap(vf x, float cap) { return vf_mul(vf_tanh(vf_mul(x, vf_set(1.f / cap))), vf_set(cap)); }

// Rational approximation with an absolute error below 1.5e-7.
inline vf vf_erf(vf x) {
  const vf a = vf_abs(x);
  const vf one = vf_set(1.f);
  const vf t = vf_div(one, vf_fma(vf_set(0.3275911f), a, one));
  vf p = vf_set(1.061405429f);
  p = vf_fma(p, t, vf_set(-1.453152027f));
  p = vf_fma(p, t, vf_set(1.421413741f));
  p = vf_fma(p, t, vf_set(-0.284496736f));
  p = vf_fma(p, t, vf_set(0.254829592f));
  const vf e = vf_sub(one, vf_mul(vf_mul(p, t), vf_exp(vf_sub(vf_zero(), vf_mul(a, a)))));
  return vf_pick(vf_below(x, vf_zero()), vf_sub(vf_zero(), e), e);
}

inline vf vf_activate(Activation kind, vf x) {
  switch (kind) {
    case Activation::kRelu: return vf_max(x, vf_zero());
    case Activation::kSwish: return vf_mul(x, vf_sigmoid(x));
    case Activation::kGeluSigmoid: return vf_mul(x, vf_sigmoid(vf_mul(x, vf_set(1.702f))));
    case Activation::kGeluTanh: {
      const vf cube = vf_mul(vf_mul(x, x), x);
      const vf inner = vf_mul(vf_set(0.7978845608f), vf_fma(vf_set(0.044715f), cube, x));
      return vf_mul(vf_mul(vf_set(0.5f), x), vf_add(vf_set(1.f), vf_tanh(inner)));
    }
    case Activation::kGelu:
      return vf_mul(vf_mul(vf_set(0.5f), x), vf_add(vf_set(1.f), vf_erf(vf_mul(x, vf_set(0.7071067812f)))));
    case Activation::kNone: break;
  }
  return x;
}

}  // namespace
