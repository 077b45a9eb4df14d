// SPDX-License-Identifier: Apache-2.0
// Attention of one row over a run of keys with AVX2 and FMA: four keys at a time for the scores, 32
// columns at a time for the values.
#if defined(__x86_64__)
#include <immintrin.h>

#include "x86_kernels.h"

#define AVX2 __attribute__((target("avx2,fma")))

AVX2 static __m128 dot_four(size_t n, const float* q, const float* k) {
  __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
  for (size_t j = 0; j < n; j += 8) {
    __m256 x = _mm256_loadu_ps(q + j);
    s0 = _mm256_fmadd_ps(x, _mm256_loadu_ps(k + j), s0);
    s1 = _mm256_fmadd_ps(x, _mm256_loadu_ps(k + n + j), s1);
    s2 = _mm256_fmadd_ps(x, _mm256_loadu_ps(k + 2 * n + j), s2);
    s3 = _mm256_fmadd_ps(x, _mm256_loadu_ps(k + 3 * n + j), s3);
  }
  __m256 t = _mm256_hadd_ps(_mm256_hadd_ps(s0, s1), _mm256_hadd_ps(s2, s3));
  return _mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
}

AVX2 static void weigh(size_t n, size_t keys, const float* weights, const float* v, float* out) {
  size_t j = 0;
  for (; j + 32 <= n; j += 32) {
    __m256 a0 = _mm256_setzero_ps(), a1 = a0, a2 = a0, a3 = a0;
    for (size_t key = 0; key < keys; key++) {
      __m256 w = _mm256_broadcast_ss(weights + key);
      const float* row = v + key * n + j;
      a0 = _mm256_fmadd_ps(w, _mm256_loadu_ps(row), a0);
      a1 = _mm256_fmadd_ps(w, _mm256_loadu_ps(row + 8), a1);
      a2 = _mm256_fmadd_ps(w, _mm256_loadu_ps(row + 16), a2);
      a3 = _mm256_fmadd_ps(w, _mm256_loadu_ps(row + 24), a3);
    }
    _mm256_storeu_ps(out + j, a0);
    _mm256_storeu_ps(out + j + 8, a1);
    _mm256_storeu_ps(out + j + 16, a2);
    _mm256_storeu_ps(out + j + 24, a3);
  }
  for (; j < n; j++) {
    float sum = 0;
    for (size_t key = 0; key < keys; key++) sum += weights[key] * v[key * n + j];
    out[j] = sum;
  }
}

AVX2 void reft_attend_f32_avx2(size_t group, size_t head_size, size_t keys, float scale,
                               const float* q, const float* k, const float* v, float* scores,
                               float* out) {
  for (size_t g = 0; g < group; g++, q += head_size, out += head_size + 2) {
    size_t key = 0;
    if (head_size % 8 == 0) {
      for (; key + 4 <= keys; key += 4) {
        __m128 four = dot_four(head_size, q, k + key * head_size);
        _mm_storeu_ps(scores + key, _mm_mul_ps(four, _mm_set1_ps(scale)));
      }
    }
    for (; key < keys; key++) {
      scores[key] = scale * reft_dot_f32_avx2(head_size, q, k + key * head_size);
    }
    float largest = reft_max_f32_avx2(keys, scores);
    out[head_size] = largest;
    out[head_size + 1] = reft_exp_sum_f32_avx2(keys, largest, scores);
    weigh(head_size, keys, scores, v, out);
  }
}
#endif
