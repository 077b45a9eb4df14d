// SPDX-License-Identifier: Apache-2.0
// GELU in its tanh form and GEGLU with AVX2 and FMA; the formulas are in ref/gelu.c.
#if defined(__x86_64__)
#include "activation_avx2.h"
#include "x86_kernels.h"

AVX2 static inline __m256 sigmoid_of_p(__m256 x) {
  __m256 square = _mm256_mul_ps(x, x);
  __m256 factor = _mm256_fmadd_ps(square, _mm256_set1_ps(0.044715f), _mm256_set1_ps(1));
  __m256 p = _mm256_mul_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.5957691216f)), factor);
  return sigmoid(p);
}

AVX2 static inline __m256 slope(__m256 x, __m256 s) {
  __m256 one = _mm256_set1_ps(1), square = _mm256_mul_ps(x, x);
  __m256 factor = _mm256_fmadd_ps(square, _mm256_set1_ps(0.134145f), one);
  __m256 inner = _mm256_mul_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.5957691216f)), factor);
  return _mm256_fmadd_ps(_mm256_mul_ps(s, _mm256_sub_ps(one, s)), inner, s);
}

AVX2 void reft_gelu_f32_avx2(size_t n, const float* gate, float* a){EIGHT_AT_A_TIME({
  __m256 g = LOAD(gate);
  STORE(a, _mm256_mul_ps(g, sigmoid_of_p(g)));
})}

AVX2 void reft_geglu_f32_avx2(size_t n, const float* gate, const float* up,
                              float* h){EIGHT_AT_A_TIME({
  __m256 g = LOAD(gate);
  STORE(h, _mm256_mul_ps(_mm256_mul_ps(g, sigmoid_of_p(g)), LOAD(up)));
})}

AVX2 void reft_geglu_backward_f32_avx2(size_t n, const float* gate, const float* up,
                                       const float* dh, float* dgate, float* dup){EIGHT_AT_A_TIME({
  __m256 g = LOAD(gate);
  __m256 d = LOAD(dh);
  __m256 s = sigmoid_of_p(g);
  __m256 du = _mm256_mul_ps(d, _mm256_mul_ps(g, s));
  __m256 dg = _mm256_mul_ps(_mm256_mul_ps(d, LOAD(up)), slope(g, s));
  STORE(dgate, dg);
  STORE(dup, du);
})}

AVX2 void reft_gelu_backward_f32_avx2(size_t n, const float* gate, const float* da, float* dgate) {
  EIGHT_AT_A_TIME({
    __m256 g = LOAD(gate);
    STORE(dgate, _mm256_mul_ps(LOAD(da), slope(g, sigmoid_of_p(g))));
  })
}
#endif
