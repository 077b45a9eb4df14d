// SPDX-License-Identifier: Apache-2.0
// GELU in its own form with AVX2 and FMA; the formulas are in ref/gelu_erf.c. The error function
// is Abramowitz and Stegun's 7.1.26, off by at most 1.5e-7.
#if defined(__x86_64__)
#include "activation_avx2.h"
#include "x86_kernels.h"

// Phi(x); `density` takes exp(-x^2 / 2).
AVX2 static inline __m256 phi_of(__m256 x, __m256* density) {
  __m256 one = _mm256_set1_ps(1), sign = _mm256_and_ps(x, _mm256_set1_ps(-0.0f));
  __m256 z = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
  z = _mm256_mul_ps(z, _mm256_set1_ps(0.70710678f));
  *density = exp_of(_mm256_sub_ps(_mm256_setzero_ps(), _mm256_mul_ps(z, z)));
  __m256 t = _mm256_div_ps(one, _mm256_fmadd_ps(z, _mm256_set1_ps(0.3275911f), one));
  __m256 p = _mm256_set1_ps(1.061405429f);
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(-1.453152027f));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(1.421413741f));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(-0.284496736f));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.254829592f));
  // erfc(|x| / sqrt 2) / 2, which is the smaller of Phi(x) and Phi(-x).
  __m256 small = _mm256_mul_ps(_mm256_mul_ps(p, t), _mm256_mul_ps(*density, _mm256_set1_ps(0.5f)));
  return _mm256_blendv_ps(_mm256_sub_ps(one, small), small, sign);
}

AVX2 void reft_gelu_erf_f32_avx2(size_t n, const float* x, float* a){EIGHT_AT_A_TIME({
  __m256 v = LOAD(x);
  __m256 density;
  STORE(a, _mm256_mul_ps(v, phi_of(v, &density)));
})}

AVX2 void reft_gelu_erf_backward_f32_avx2(size_t n, const float* x, const float* da, float* dx) {
  EIGHT_AT_A_TIME({
    __m256 v = LOAD(x);
    __m256 density;
    __m256 slope = phi_of(v, &density);
    density = _mm256_mul_ps(density, _mm256_set1_ps(0.39894228f));
    STORE(dx, _mm256_mul_ps(LOAD(da), _mm256_fmadd_ps(v, density, slope)));
  })
}
#endif
