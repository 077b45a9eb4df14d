/* SPDX-License-Identifier: Apache-2.0
 * What the activation kernels share: exp, the logistic function, loops of eight with a tail. exp is
 * a degree-6 polynomial after reduction by ln 2 (relative error below 2e-7 for inputs in [-87, 88],
 * which inputs are clamped to; NaN stays). */
#ifndef REFT_ACTIVATION_AVX2_H
#define REFT_ACTIVATION_AVX2_H
#include <immintrin.h>
#include <stddef.h>

#define AVX2 __attribute__((target("avx2,fma")))

AVX2 static inline __m256 exp_of(__m256 x) {
  // min and max give their second operand when one is NaN.
  x = _mm256_min_ps(_mm256_set1_ps(88.3f), _mm256_max_ps(_mm256_set1_ps(-87.3f), x));
  __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                             _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
  __m256 p = _mm256_set1_ps(1.9875691500e-4f);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
  p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), _mm256_add_ps(r, _mm256_set1_ps(1)));
  __m256i e = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), e));
}

// Loads n < 8 numbers, the rest zero, and stores as many.
AVX2 static inline __m256i mask_of(size_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

AVX2 static inline __m256 sigmoid(__m256 x) {
  __m256 one = _mm256_set1_ps(1);
  return _mm256_div_ps(one, _mm256_add_ps(one, exp_of(_mm256_sub_ps(_mm256_setzero_ps(), x))));
}

// Runs BODY over n numbers eight at a time, and once more for the tail; LOAD and STORE know which
// it is, since masked stores are slow.
#define EIGHT_AT_A_TIME(BODY)                     \
  {                                               \
    size_t i = 0;                                 \
    for (; i + 8 <= n; i += 8) {                  \
      const int is_whole = 1;                     \
      const __m256i mask = _mm256_set1_epi32(-1); \
      BODY                                        \
    }                                             \
    if (i < n) {                                  \
      const int is_whole = 0;                     \
      const __m256i mask = mask_of(n - i);        \
      BODY                                        \
    }                                             \
  }
#define LOAD(p) (is_whole ? _mm256_loadu_ps((p) + i) : _mm256_maskload_ps((p) + i, mask))
#define STORE(p, v)                        \
  if (is_whole) {                          \
    _mm256_storeu_ps((p) + i, v);          \
  } else {                                 \
    _mm256_maskstore_ps((p) + i, mask, v); \
  }

#endif
