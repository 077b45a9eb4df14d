// SPDX-License-Identifier: Apache-2.0
// Activation functions: SiLU (kind 0), GELU in its tanh form (1) or GELU with
// the error function (2).

// f(x) and f'(x).
struct activated {
  float value, slope;
};

__device__ __forceinline__ activated activation_of(int kind, float x) {
  if (kind == 2) {
    float phi = 0.5f * erfcf(-x * 0.70710678f);
    return {x * phi, phi + x * __expf(-0.5f * x * x) * 0.39894228f};
  }
  // Both others are x sigmoid(p(x)): p = x, or 2 sqrt(2 / pi) (x + 0.044715
  // x^3).
  const float c = 1.5957691216f, cubic = 0.044715f;
  float p = kind == 0 ? x : c * (x + cubic * x * x * x);
  float dp = kind == 0 ? 1 : c * (1 + 3 * cubic * x * x);
  float s = 1 / (1 + __expf(-p));
  return {x * s, s + x * s * (1 - s) * dp};
}
