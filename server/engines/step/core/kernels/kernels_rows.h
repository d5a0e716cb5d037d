// Operations on one row of floats: norms, rotations, and the passes over logits for sampling.
// Include after simd_*.h and kernels_math.h.
#pragma once

namespace {

void norm(const NormView& n, const float* x, float* out) {
  const auto size = static_cast<float>(n.size);
  const int whole = n.size / kLane * kLane;
  const int rest = n.size - whole;
  const int padded = rest == 0 ? whole : whole + kLane;
  float mean = 0.f;
  if (n.beta != nullptr) {
    vf sum = vf_zero();
    for (int i = 0; i < padded; i += kLane) sum = vf_add(sum, vf_load(x + i));
    mean = vf_sum(sum) / size;
  }
  const vf center = vf_set(mean);
  vf squares = vf_zero();
  for (int i = 0; i < whole; i += kLane) {
    const vf d = vf_sub(vf_load(x + i), center);
    squares = vf_fma(d, d, squares);
  }
  if (rest != 0) {
    const vf d = vf_first(vf_sub(vf_load(x + whole), center), rest);
    squares = vf_fma(d, d, squares);
  }
  const vf inverse = vf_set(1.f / __builtin_sqrtf(vf_sum(squares) / size + n.epsilon));
  for (int i = 0; i < padded; i += kLane) {
    vf y = vf_mul(vf_mul(vf_sub(vf_load(x + i), center), inverse), vf_load(n.gamma + i));
    if (n.beta != nullptr) y = vf_add(y, vf_load(n.beta + i));
    vf_store(out + i, y);
  }
}

void rotate(float* __restrict x, const float* __restrict cosine, const float* __restrict sine, int half,
            bool interleaved) {
  if (interleaved) {
    for (int i = 0; i < half; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      x[2 * i] = a * cosine[i] - b * sine[i];
      x[2 * i + 1] = b * cosine[i] + a * sine[i];
    }
    return;
  }
  int i = 0;
  for (; i + kLane <= half; i += kLane) {
    const vf a = vf_load(x + i), b = vf_load(x + i + half), c = vf_load(cosine + i), s = vf_load(sine + i);
    vf_store(x + i, vf_sub(vf_mul(a, c), vf_mul(b, s)));
    vf_store(x + i + half, vf_add(vf_mul(b, c), vf_mul(a, s)));
  }
  for (; i < half; ++i) {
    const float a = x[i], b = x[i + half];
    x[i] = a * cosine[i] - b * sine[i];
    x[i + half] = b * cosine[i] + a * sine[i];
  }
}

Scan scan(const float* x, int n) {
  vf most = vf_set(-__builtin_inff());
  unsigned nan = 0;
  for (int i = 0; i < n; i += kLane) {
    const vf v = vf_load(x + i);
    nan |= vf_nan(v);
    most = vf_max(v, most);
  }
  return {vf_hmax(most), nan != 0};
}

void exp_sums(const float* x, int n, float max, float scale, float* sums) {
  const vf shift = vf_set(max), by = vf_set(scale);
  for (int begin = 0; begin < n; begin += kExpSegment) {
    const int end = begin + kExpSegment < n ? begin + kExpSegment : n;
    vf sum = vf_zero();
    for (int i = begin; i < end; i += kLane) sum = vf_add(sum, vf_exp(vf_mul(vf_sub(vf_load(x + i), shift), by)));
    *sums++ = vf_sum(sum);
  }
}

void exp_sums_from(const float* x, int n, float max, float scale, const float* levels, float* sums) {
  const vf shift = vf_set(max), by = vf_set(scale);
  const int segments = (n + kExpSegment - 1) / kExpSegment;
  vf from[kLevels];
  for (int l = 0; l < kLevels; ++l) from[l] = vf_set(levels[l]);
  for (int s = 0; s < segments; ++s) {
    const int end = (s + 1) * kExpSegment < n ? (s + 1) * kExpSegment : n;
    vf sum[kLevels];
    for (vf& each : sum) each = vf_zero();
    for (int i = s * kExpSegment; i < end; i += kLane) {
      const vf v = vf_load(x + i);
      const vf weight = vf_exp(vf_mul(vf_sub(v, shift), by));
      for (int l = 0; l < kLevels; ++l) sum[l] = vf_add(sum[l], vf_pick(vf_below(v, from[l]), vf_zero(), weight));
    }
    for (int l = 0; l < kLevels; ++l) sums[l * segments + s] = vf_sum(sum[l]);
  }
}

int collect(const float* x, int n, float least, float below, int most, int32_t* ids) {
  const vf from = vf_set(least), to = vf_set(below);
  int count = 0;
  for (int i = 0; i < n && count <= most; i += kLane) {
    const vf v = vf_load(x + i);
    for (unsigned mask = vf_at_least(v, from) & vf_below(v, to); mask != 0; mask &= mask - 1)
      ids[count++] = i + __builtin_ctz(mask);
  }
  return count;
}

void softcap(float* x, int n, float cap) {
  for (int i = 0; i < n; i += kLane) vf_store(x + i, vf_softcap(vf_load(x + i), cap));
}

}  // namespace
