// SPDX-License-Identifier: Apache-2.0
// Sums over the few rows whose weight counts, with AVX2 and FMA: 64 columns stay in registers while
// the list is walked.
#if defined(__x86_64__)
#include <immintrin.h>

#include "x86_kernels.h"

#define AVX2 __attribute__((target("avx2,fma")))

AVX2 size_t reft_select_f32_avx2(size_t n, const float* x, float threshold, int32_t* places,
                                 float* values) {
  size_t count = 0, i = 0;
  const __m256 limit = _mm256_set1_ps(threshold);
  for (; i + 8 <= n; i += 8) {
    // Not less than, so that NaN counts.
    __m256 keep = _mm256_cmp_ps(_mm256_loadu_ps(x + i), limit, _CMP_NLT_UQ);
    for (int mask = _mm256_movemask_ps(keep); mask; mask &= mask - 1) {
      size_t place = i + (size_t)__builtin_ctz((unsigned)mask);
      places[count] = (int32_t)place;
      values[count++] = x[place];
    }
  }
  for (; i < n; i++) {
    if (x[i] < threshold) continue;
    places[count] = (int32_t)i;
    values[count++] = x[i];
  }
  return count;
}

AVX2 void reft_add_rows_f32_avx2(size_t d, size_t count, const int32_t* places, const float* values,
                                 const float* rows, size_t stride, float* y) {
  size_t i = 0;
  for (; i + 64 <= d; i += 64) {
    __m256 sum[8];
    _Pragma("clang loop unroll(full)") for (int u = 0; u < 8; u++) sum[u] =
        _mm256_loadu_ps(y + i + 8 * u);
    for (size_t j = 0; j < count; j++) {
      const float* row = rows + (size_t)places[j] * stride + i;
      __m256 value = _mm256_broadcast_ss(values + j);
      _Pragma("clang loop unroll(full)") for (int u = 0; u < 8; u++) sum[u] =
          _mm256_fmadd_ps(value, _mm256_loadu_ps(row + 8 * u), sum[u]);
    }
    _Pragma("clang loop unroll(full)") for (int u = 0; u < 8; u++)
        _mm256_storeu_ps(y + i + 8 * u, sum[u]);
  }
  for (; i + 8 <= d; i += 8) {
    __m256 sum = _mm256_loadu_ps(y + i);
    for (size_t j = 0; j < count; j++) {
      __m256 row = _mm256_loadu_ps(rows + (size_t)places[j] * stride + i);
      sum = _mm256_fmadd_ps(_mm256_broadcast_ss(values + j), row, sum);
    }
    _mm256_storeu_ps(y + i, sum);
  }
  for (; i < d; i++) {
    for (size_t j = 0; j < count; j++) y[i] += values[j] * rows[(size_t)places[j] * stride + i];
  }
}
#endif
