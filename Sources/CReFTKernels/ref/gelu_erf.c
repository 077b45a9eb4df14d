// SPDX-License-Identifier: Apache-2.0
// GELU in its own form, x times the normal distribution's Phi(x) (Hendrycks and Gimpel, arXiv
// 1606.08415), with its derivative, as plain loops: the specification.
#include <math.h>

#include "ref_kernels.h"

static float phi_of(float x) {
  return 0.5f * erfcf(-x * 0.70710678f);
}

void reft_gelu_erf_f32_ref(size_t n, const float* x, float* a) {
  for (size_t i = 0; i < n; i++) a[i] = x[i] * phi_of(x[i]);
}

// (x Phi(x))' = Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi).
void reft_gelu_erf_backward_f32_ref(size_t n, const float* x, const float* da, float* dx) {
  for (size_t i = 0; i < n; i++) {
    float density = expf(-0.5f * x[i] * x[i]) * 0.39894228f;
    dx[i] = da[i] * (phi_of(x[i]) + x[i] * density);
  }
}
