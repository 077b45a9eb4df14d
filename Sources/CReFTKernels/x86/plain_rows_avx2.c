// SPDX-License-Identifier: Apache-2.0
// Floating-point weights times few rows with AVX2, FMA and F16C. Every sum goes as that of
// reft_dot_f32_avx2 does, so that a weight's format changes no bit.
#if defined(__x86_64__)
#include <immintrin.h>

#include "x86_kernels.h"

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define ANY TARGET static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

enum { F32 = 0, F16 = 1, BF16 = 30 };

/* Eight numbers from place j on. */
ANY __m256 eight(uint32_t type, const uint8_t* row, size_t j) {
  if (type == F32) return _mm256_loadu_ps((const float*)(row + 4 * j));
  __m128i halves = _mm_loadu_si128((const __m128i*)(row + 2 * j));
  if (type == F16) return _mm256_cvtph_ps(halves);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

ANY float one(uint32_t type, const uint8_t* row, size_t j) {
  float value;
  if (type == F32) {
    __builtin_memcpy(&value, row + 4 * j, 4);
    return value;
  }
  uint16_t half;
  __builtin_memcpy(&half, row + 2 * j, 2);
  if (type == F16) return _cvtsh_ss(half);
  uint32_t bits = (uint32_t)half << 16;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

ANY float sum_of(__m256 v) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

/* Bytes ahead of their use, about what a core of such a machine has under way: measured on Zen 3
 * and on a Xeon. */
#define AHEAD_AVX2 1024
#define AHEAD_AVX512 4096

/* Asks for the 32 weights that come `distance` later: the processor's own reading ahead ends with a
 * page. */
ANY void ahead(uint32_t type, const uint8_t* at, size_t distance) {
  _mm_prefetch((const char*)at + distance, _MM_HINT_T0);
  if (type == F32) _mm_prefetch((const char*)at + distance + 64, _MM_HINT_T0);
}

/* One row of weights times `count` rows of x, which share its numbers. */
ANY void dots(uint32_t type, int count, const uint8_t* row, size_t n, size_t distance,
              const float* x, size_t x_stride, float* out) {
  __m256 s[2][4];
  UNROLL for (int i = 0; i < count; i++) UNROLL for (int u = 0; u < 4; u++) {
    s[i][u] = _mm256_setzero_ps();
  }
  size_t j = 0;
  for (; j + 32 <= n; j += 32) {
    ahead(type, row + (type == F32 ? 4 : 2) * j, distance);
    UNROLL for (int u = 0; u < 4; u++) {
      __m256 w = eight(type, row, j + 8 * (size_t)u);
      UNROLL for (int i = 0; i < count; i++) {
        const float* at = x + (size_t)i * x_stride + j + 8 * (size_t)u;
        s[i][u] = _mm256_fmadd_ps(w, _mm256_loadu_ps(at), s[i][u]);
      }
    }
  }
  for (; j + 8 <= n; j += 8) {
    __m256 w = eight(type, row, j);
    UNROLL for (int i = 0; i < count; i++) {
      s[i][0] = _mm256_fmadd_ps(w, _mm256_loadu_ps(x + (size_t)i * x_stride + j), s[i][0]);
    }
  }
  UNROLL for (int i = 0; i < count; i++) {
    out[i] =
        sum_of(_mm256_add_ps(_mm256_add_ps(s[i][0], s[i][1]), _mm256_add_ps(s[i][2], s[i][3])));
  }
  for (; j < n; j++) {
    float w = one(type, row, j);
    UNROLL for (int i = 0; i < count; i++) out[i] += w * x[(size_t)i * x_stride + j];
  }
}

ANY void rows_any(uint32_t type, const reft_plain_rows_t* w, size_t n, const float* x,
                  size_t x_stride, float* y, size_t y_stride, int accumulate) {
  size_t distance = reft_kernels_use_vnni() ? AHEAD_AVX512 : AHEAD_AVX2;
  for (size_t r = 0; r < w->rows; r++) {
    const uint8_t* row = (const uint8_t*)w->data + r * w->bytes;
    for (size_t i = 0; i < n; i += 2) {
      float sums[2];
      if (i + 2 <= n) {
        dots(type, 2, row, w->columns, distance, x + i * x_stride, x_stride, sums);
      } else {
        dots(type, 1, row, w->columns, distance, x + i * x_stride, x_stride, sums);
      }
      for (size_t k = i; k < n && k < i + 2; k++) {
        float* out = y + k * y_stride + r;
        *out = accumulate ? *out + sums[k - i] : sums[k - i];
      }
    }
  }
}

TARGET void reft_plain_rows_dot_avx2(const reft_plain_rows_t* w, size_t n, const float* x,
                                     size_t x_stride, float* y, size_t y_stride, int accumulate) {
  if (w->type == F32) {
    rows_any(F32, w, n, x, x_stride, y, y_stride, accumulate);
  } else if (w->type == F16) {
    rows_any(F16, w, n, x, x_stride, y, y_stride, accumulate);
  } else {
    rows_any(BF16, w, n, x, x_stride, y, y_stride, accumulate);
  }
}
#endif
