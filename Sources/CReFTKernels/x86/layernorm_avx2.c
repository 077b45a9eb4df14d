// SPDX-License-Identifier: Apache-2.0
// LayerNorm with AVX2 and FMA; the formulas are in ref/layernorm.c.
#if defined(__x86_64__)
#include <math.h>

#include "activation_avx2.h"
#include "x86_kernels.h"

AVX2 static inline float sum_of(__m256 v) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

// The numbers behind a tail count as none.
#define KEEP(v) _mm256_and_ps(v, _mm256_castsi256_ps(mask))

AVX2 static float mean_of(size_t n, const float* x) {
  __m256 sum = _mm256_setzero_ps();
  EIGHT_AT_A_TIME({ sum = _mm256_add_ps(sum, LOAD(x)); })
  return sum_of(sum) / (float)n;
}

AVX2 static float inverse_deviation(size_t n, const float* x, float mean, float epsilon) {
  __m256 sum = _mm256_setzero_ps(), m = _mm256_set1_ps(mean);
  EIGHT_AT_A_TIME({
    __m256 v = KEEP(_mm256_sub_ps(LOAD(x), m));
    sum = _mm256_fmadd_ps(v, v, sum);
  })
  return 1 / sqrtf(sum_of(sum) / (float)n + epsilon);
}

AVX2 static void norm_row(size_t n, const float* x, const float* weight, const float* bias,
                          float epsilon, float* y) {
  float mean = mean_of(n, x);
  __m256 m = _mm256_set1_ps(mean);
  __m256 s = _mm256_set1_ps(inverse_deviation(n, x, mean, epsilon));
  EIGHT_AT_A_TIME({
    __m256 v = _mm256_mul_ps(_mm256_sub_ps(LOAD(x), m), s);
    STORE(y, _mm256_fmadd_ps(v, LOAD(weight), LOAD(bias)));
  })
}

AVX2 void reft_layernorm_f32_avx2(size_t n, size_t d, const float* x, size_t x_stride,
                                  const float* weight, const float* bias, float epsilon, float* y,
                                  size_t y_stride) {
  for (size_t i = 0; i < n; i++) {
    norm_row(d, x + i * x_stride, weight, bias, epsilon, y + i * y_stride);
  }
}

AVX2 static void norm_row_back(size_t n, const float* x, const float* weight, float epsilon,
                               const float* dy, float* dx) {
  float mean = mean_of(n, x), deviation = inverse_deviation(n, x, mean, epsilon);
  __m256 m = _mm256_set1_ps(mean), s = _mm256_set1_ps(deviation);
  __m256 sum = _mm256_setzero_ps(), product = sum;
  EIGHT_AT_A_TIME({
    __m256 g = _mm256_mul_ps(LOAD(dy), LOAD(weight));
    sum = _mm256_add_ps(sum, g);
    product = _mm256_fmadd_ps(g, _mm256_sub_ps(LOAD(x), m), product);
  })
  __m256 a = _mm256_set1_ps(sum_of(sum) / (float)n);
  __m256 b = _mm256_set1_ps(sum_of(product) * (deviation * deviation / (float)n));
  EIGHT_AT_A_TIME({
    __m256 g = _mm256_fmsub_ps(LOAD(dy), LOAD(weight), a);
    g = _mm256_fnmadd_ps(_mm256_sub_ps(LOAD(x), m), b, g);
    STORE(dx, _mm256_fmadd_ps(g, s, LOAD(dx)));
  })
}

AVX2 void reft_layernorm_backward_f32_avx2(size_t n, size_t d, const float* x, size_t x_stride,
                                           const float* weight, float epsilon, const float* dy,
                                           size_t dy_stride, float* dx, size_t dx_stride) {
  for (size_t i = 0; i < n; i++) {
    norm_row_back(d, x + i * x_stride, weight, epsilon, dy + i * dy_stride, dx + i * dx_stride);
  }
}
#endif
