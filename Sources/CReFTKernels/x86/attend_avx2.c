// SPDX-License-Identifier: Apache-2.0
// Attention of one row over a run of keys with AVX2 and FMA. Up to three queries of a group share
// each load of keys and values: twelve sums are in registers, and memory is read once.
#if defined(__x86_64__)
#include <immintrin.h>

#include "x86_kernels.h"

#define AVX2 __attribute__((target("avx2,fma")))
#define UNROLL _Pragma("clang loop unroll(full)")

AVX2 static inline __m128 sums_of(__m256 s0, __m256 s1, __m256 s2, __m256 s3) {
  __m256 t = _mm256_hadd_ps(_mm256_hadd_ps(s0, s1), _mm256_hadd_ps(s2, s3));
  return _mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
}

// Keys whose values are in the first-level cache while their columns are gone over.
#define BLOCK 32

// Asks for n floats that will be read soon: the processor's own reading ahead ends with a page, and
// each head of each block has pages of its own.
static inline void ahead(const float* p, size_t n) {
  for (size_t i = 0; i < n; i += 16) _mm_prefetch((const char*)(p + i), _MM_HINT_T0);
}

// For QUERIES queries of n floats: scores of four keys at a time, and sums over values of 32
// columns at a time. A query's bits do not depend on how many there are.
#define DEFINE(QUERIES)                                                                         \
  AVX2 static void score_##QUERIES(size_t n, size_t keys, float scale, const float* q,          \
                                   const float* k, float* scores) {                             \
    for (size_t key = 0; key + 4 <= keys; key += 4) {                                           \
      const float* row = k + key * n;                                                           \
      ahead(row + 16 * n, 4 * n);                                                               \
      __m256 s[QUERIES][4];                                                                     \
      UNROLL for (int g = 0; g < QUERIES; g++) UNROLL for (int u = 0; u < 4; u++) s[g][u] =     \
          _mm256_setzero_ps();                                                                  \
      for (size_t j = 0; j < n; j += 8) {                                                       \
        UNROLL for (int u = 0; u < 4; u++) {                                                    \
          __m256 x = _mm256_loadu_ps(row + (size_t)u * n + j);                                  \
          UNROLL for (int g = 0; g < QUERIES; g++) s[g][u] =                                    \
              _mm256_fmadd_ps(x, _mm256_loadu_ps(q + (size_t)g * n + j), s[g][u]);              \
        }                                                                                       \
      }                                                                                         \
      UNROLL for (int g = 0; g < QUERIES; g++) _mm_storeu_ps(                                   \
          scores + (size_t)g * keys + key,                                                      \
          _mm_mul_ps(sums_of(s[g][0], s[g][1], s[g][2], s[g][3]), _mm_set1_ps(scale)));         \
    }                                                                                           \
  }                                                                                             \
  AVX2 static void weigh_##QUERIES(size_t n, size_t keys, const float* weights, const float* v, \
                                   float* out) {                                                \
    for (size_t first = 0; first < keys; first += BLOCK) {                                      \
      size_t end = keys - first < BLOCK ? keys : first + BLOCK;                                 \
      for (size_t j = 0; j + 32 <= n; j += 32) {                                                \
        __m256 a[QUERIES][4];                                                                   \
        UNROLL for (int g = 0; g < QUERIES; g++) UNROLL for (int u = 0; u < 4; u++) a[g][u] =   \
            first == 0 ? _mm256_setzero_ps()                                                    \
                       : _mm256_loadu_ps(out + (size_t)g * (n + 2) + j + 8 * u);                \
        for (size_t key = first; key < end; key++) {                                            \
          const float* row = v + key * n + j;                                                   \
          if (j == 0) ahead(row + BLOCK * n, n);                                                \
          UNROLL for (int g = 0; g < QUERIES; g++) {                                            \
            __m256 w = _mm256_broadcast_ss(weights + (size_t)g * keys + key);                   \
            UNROLL for (int u = 0; u < 4; u++) a[g][u] =                                        \
                _mm256_fmadd_ps(w, _mm256_loadu_ps(row + 8 * u), a[g][u]);                      \
          }                                                                                     \
        }                                                                                       \
        UNROLL for (int g = 0; g < QUERIES; g++) UNROLL for (int u = 0; u < 4; u++)             \
            _mm256_storeu_ps(out + (size_t)g * (n + 2) + j + 8 * u, a[g][u]);                   \
      }                                                                                         \
    }                                                                                           \
  }
DEFINE(1)
DEFINE(2)
DEFINE(3)

typedef void (*score_t)(size_t, size_t, float, const float*, const float*, float*);
typedef void (*weigh_t)(size_t, size_t, const float*, const float*, float*);
static const score_t score[4] = {0, score_1, score_2, score_3};
static const weigh_t weigh[4] = {0, weigh_1, weigh_2, weigh_3};

AVX2 void reft_attend_f32_avx2(size_t group, size_t head_size, size_t keys, float scale,
                               const float* q, const float* k, const float* v, float* scores,
                               float* out) {
  size_t n = head_size;
  for (size_t first = 0; first < group;) {
    size_t count = group - first < 3 ? group - first : 3;
    size_t scored = 0;
    if (n % 8 == 0) {
      score[count](n, keys, scale, q, k, scores);
      scored = keys / 4 * 4;
    }
    for (size_t g = 0; g < count; g++) {
      float* row = scores + g * keys;
      for (size_t key = scored; key < keys; key++) {
        row[key] = scale * reft_dot_f32_avx2(n, q + g * n, k + key * n);
      }
      float* sums = out + g * (n + 2) + n;
      sums[0] = reft_max_f32_avx2(keys, row);
      sums[1] = reft_exp_sum_f32_avx2(keys, sums[0], row);
    }
    weigh[count](n, keys, scores, v, out);
    for (size_t g = 0; g < count; g++) {
      for (size_t j = n / 32 * 32; j < n; j++) {
        float sum = 0;
        for (size_t key = 0; key < keys; key++) sum += scores[g * keys + key] * v[key * n + j];
        out[g * (n + 2) + j] = sum;
      }
    }
    first += count;
    q += count * n;
    out += count * (n + 2);
  }
}
#endif
