// SPDX-License-Identifier: Apache-2.0
// Soft caps with AVX2 and FMA; the formulas are in ref/softcap.c.
#if defined(__x86_64__)
#include "activation_avx2.h"
#include "x86_kernels.h"

// 2 sigmoid(2 x) - 1 loses digits near zero, where Taylor's series takes its place.
AVX2 static inline __m256 tanh_of(__m256 x) {
  __m256 one = _mm256_set1_ps(1), square = _mm256_mul_ps(x, x);
  __m256 far = _mm256_fmsub_ps(sigmoid(_mm256_add_ps(x, x)), _mm256_set1_ps(2), one);
  __m256 p = _mm256_set1_ps(-1382.0f / 155925);
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(62.0f / 2835));
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(-17.0f / 315));
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(2.0f / 15));
  p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(-1.0f / 3));
  __m256 near = _mm256_fmadd_ps(_mm256_mul_ps(p, square), x, x);
  return _mm256_blendv_ps(far, near, _mm256_cmp_ps(square, _mm256_set1_ps(0.12f), _CMP_LT_OQ));
}

AVX2 void reft_softcap_f32_avx2(size_t n, float scale, float cap, float* x) {
  __m256 factor = _mm256_set1_ps(scale / cap), c = _mm256_set1_ps(cap);
  EIGHT_AT_A_TIME({ STORE(x, _mm256_mul_ps(c, tanh_of(_mm256_mul_ps(LOAD(x), factor)))); })
}

AVX2 void reft_softcap_backward_f32_avx2(size_t n, float scale, float cap, const float* y,
                                         float* dx) {
  __m256 s = _mm256_set1_ps(scale), inverse = _mm256_set1_ps(1 / cap);
  EIGHT_AT_A_TIME({
    __m256 t = _mm256_mul_ps(LOAD(y), inverse);
    __m256 slope = _mm256_fnmadd_ps(_mm256_mul_ps(t, t), s, s);
    STORE(dx, _mm256_mul_ps(LOAD(dx), slope));
  })
}
#endif
