// SPDX-License-Identifier: Apache-2.0
// Attention of one row over cached keys and values with AVX2, FMA and F16C, and the cache's
// conversions.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "reft_attention.h"
#include "x86_kernels.h"

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define UNROLL _Pragma("clang loop unroll(full)")
#define WIDTH 8
#define VECTOR __m256
// Three queries, four registers each, three of weights and one of numbers: all sixteen.
#define QUERIES 3
#define ZERO _mm256_setzero_ps
#define SET _mm256_set1_ps
#define FMA _mm256_fmadd_ps
#define MUL _mm256_mul_ps
#define LOADF _mm256_loadu_ps
#define STOREF _mm256_storeu_ps

#define NAME(x) x##_f32_avx2
#define NUMBER float
#define NUMBER_OF(x) (x)
#define LOAD(p) _mm256_loadu_ps(p)
#include "attend_template.h"

#define NAME(x) x##_f16_avx2
#define NUMBER uint16_t
#define NUMBER_OF(x) _cvtsh_ss(x)
#define LOAD(p) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(p)))
#include "attend_template.h"

TARGET static void halves_of(size_t n, const float* x, uint16_t* out) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    __m128i h = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128((__m128i*)(out + i), h);
  }
  for (; i < n; i++) out[i] = _cvtss_sh(x[i], _MM_FROUND_TO_NEAREST_INT);
}

TARGET static void floats_of(size_t n, const uint16_t* x, float* out) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(x + i))));
  }
  for (; i < n; i++) out[i] = _cvtsh_ss(x[i]);
}

TARGET void reft_cache_store_f16_avx2(size_t head_size, size_t first, size_t count,
                                      const float* key, const float* value, size_t stride,
                                      uint16_t* keys, uint16_t* values) {
  for (size_t k = first; k < first + count; k++, key += stride, value += stride) {
    uint16_t* column = keys + k / REFT_CACHE_PANEL * REFT_CACHE_PANEL * head_size;
    column += k % REFT_CACHE_PANEL;
    uint16_t* row = values + k * head_size;
    // The row's place serves for the converted key until its own numbers come.
    halves_of(head_size, key, row);
    for (size_t j = 0; j < head_size; j++) column[j * REFT_CACHE_PANEL] = row[j];
    halves_of(head_size, value, row);
  }
}

TARGET void reft_cache_key_panels_f16_avx2(size_t head_size, size_t count, const uint16_t* keys,
                                           float* panels) {
  for (size_t first = 0; first < count; first += 16) {
    const uint16_t* at = keys + first / REFT_CACHE_PANEL * REFT_CACHE_PANEL * head_size;
    at += first % REFT_CACHE_PANEL;
    for (size_t j = 0; j < head_size; j++, at += REFT_CACHE_PANEL, panels += 16) {
      floats_of(16, at, panels);
    }
  }
}

TARGET void reft_cache_value_rows_f16_avx2(size_t head_size, size_t count, const uint16_t* values,
                                           float* rows) {
  floats_of(head_size * count, values, rows);
}
#endif
