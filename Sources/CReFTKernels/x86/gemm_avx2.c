// SPDX-License-Identifier: Apache-2.0
// C (+)= A * packed B with AVX2 and FMA: tiles of 6 x 16 in twelve registers. A is read in place;
// the caller blocks so that a panel of B stays in the first-level cache.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "x86_kernels.h"

#define AVX2 __attribute__((target("avx2,fma")))

// One tile of MR rows; the compiler unrolls the inner loops since MR is constant.
#define TILE(MR)                                                                            \
  AVX2 static void tile_##MR(size_t kc, const float* restrict a, size_t lda,                \
                             const float* restrict b, float* restrict c, size_t ldc,        \
                             int accumulate) {                                              \
    __m256 acc[MR][2];                                                                      \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < MR; i++) acc[i][0] = acc[i][1] = \
        _mm256_setzero_ps();                                                                \
    size_t k = 0;                                                                           \
    for (; k + 4 <= kc; k += 4) {                                                           \
      _Pragma("clang loop unroll(full)") for (int u = 0; u < 4; u++) {                      \
        __m256 b0 = _mm256_loadu_ps(b + (k + u) * 16);                                      \
        __m256 b1 = _mm256_loadu_ps(b + (k + u) * 16 + 8);                                  \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < MR; i++) {                   \
          __m256 x = _mm256_broadcast_ss(a + i * lda + k + u);                              \
          acc[i][0] = _mm256_fmadd_ps(x, b0, acc[i][0]);                                    \
          acc[i][1] = _mm256_fmadd_ps(x, b1, acc[i][1]);                                    \
        }                                                                                   \
      }                                                                                     \
    }                                                                                       \
    for (; k < kc; k++) {                                                                   \
      __m256 b0 = _mm256_loadu_ps(b + k * 16);                                              \
      __m256 b1 = _mm256_loadu_ps(b + k * 16 + 8);                                          \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < MR; i++) {                     \
        __m256 x = _mm256_broadcast_ss(a + i * lda + k);                                    \
        acc[i][0] = _mm256_fmadd_ps(x, b0, acc[i][0]);                                      \
        acc[i][1] = _mm256_fmadd_ps(x, b1, acc[i][1]);                                      \
      }                                                                                     \
    }                                                                                       \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < MR; i++) {                       \
      if (accumulate) {                                                                     \
        acc[i][0] = _mm256_add_ps(_mm256_loadu_ps(c + i * ldc), acc[i][0]);                 \
        acc[i][1] = _mm256_add_ps(_mm256_loadu_ps(c + i * ldc + 8), acc[i][1]);             \
      }                                                                                     \
      _mm256_storeu_ps(c + i * ldc, acc[i][0]);                                             \
      _mm256_storeu_ps(c + i * ldc + 8, acc[i][1]);                                         \
    }                                                                                       \
  }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)

typedef void (*tile_t)(size_t, const float*, size_t, const float*, float*, size_t, int);
static const tile_t tiles[7] = {0, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};

AVX2 void reft_gemm_packed_f32_avx2(size_t m, size_t columns, size_t kc, const float* a, size_t lda,
                                    const float* packed, size_t panel_stride, float* c, size_t ldc,
                                    int accumulate) {
  for (size_t j = 0; j < columns; j += 16) {
    const float* b = packed + j / 16 * panel_stride;
    size_t width = columns - j < 16 ? columns - j : 16;
    for (size_t i = 0; i < m; i += 6) {
      size_t rows = m - i < 6 ? m - i : 6;
      if (width == 16) {
        tiles[rows](kc, a + i * lda, lda, b, c + i * ldc + j, ldc, accumulate);
      } else {
        float edge[6 * 16];
        tiles[rows](kc, a + i * lda, lda, b, edge, 16, 0);
        for (size_t r = 0; r < rows; r++) {
          float* row = c + (i + r) * ldc + j;
          for (size_t w = 0; w < width; w++) {
            row[w] = accumulate ? row[w] + edge[r * 16 + w] : edge[r * 16 + w];
          }
        }
      }
    }
  }
}

AVX2 static void transpose_8x8(const float* in, size_t stride, float* out, size_t out_stride) {
  __m256 r0 = _mm256_loadu_ps(in), r1 = _mm256_loadu_ps(in + stride);
  __m256 r2 = _mm256_loadu_ps(in + 2 * stride), r3 = _mm256_loadu_ps(in + 3 * stride);
  __m256 r4 = _mm256_loadu_ps(in + 4 * stride), r5 = _mm256_loadu_ps(in + 5 * stride);
  __m256 r6 = _mm256_loadu_ps(in + 6 * stride), r7 = _mm256_loadu_ps(in + 7 * stride);
  __m256 t0 = _mm256_unpacklo_ps(r0, r1), t1 = _mm256_unpackhi_ps(r0, r1);
  __m256 t2 = _mm256_unpacklo_ps(r2, r3), t3 = _mm256_unpackhi_ps(r2, r3);
  __m256 t4 = _mm256_unpacklo_ps(r4, r5), t5 = _mm256_unpackhi_ps(r4, r5);
  __m256 t6 = _mm256_unpacklo_ps(r6, r7), t7 = _mm256_unpackhi_ps(r6, r7);
  r0 = _mm256_shuffle_ps(t0, t2, 0x44), r1 = _mm256_shuffle_ps(t0, t2, 0xee);
  r2 = _mm256_shuffle_ps(t1, t3, 0x44), r3 = _mm256_shuffle_ps(t1, t3, 0xee);
  r4 = _mm256_shuffle_ps(t4, t6, 0x44), r5 = _mm256_shuffle_ps(t4, t6, 0xee);
  r6 = _mm256_shuffle_ps(t5, t7, 0x44), r7 = _mm256_shuffle_ps(t5, t7, 0xee);
  _mm256_storeu_ps(out, _mm256_permute2f128_ps(r0, r4, 0x20));
  _mm256_storeu_ps(out + out_stride, _mm256_permute2f128_ps(r1, r5, 0x20));
  _mm256_storeu_ps(out + 2 * out_stride, _mm256_permute2f128_ps(r2, r6, 0x20));
  _mm256_storeu_ps(out + 3 * out_stride, _mm256_permute2f128_ps(r3, r7, 0x20));
  _mm256_storeu_ps(out + 4 * out_stride, _mm256_permute2f128_ps(r0, r4, 0x31));
  _mm256_storeu_ps(out + 5 * out_stride, _mm256_permute2f128_ps(r1, r5, 0x31));
  _mm256_storeu_ps(out + 6 * out_stride, _mm256_permute2f128_ps(r2, r6, 0x31));
  _mm256_storeu_ps(out + 7 * out_stride, _mm256_permute2f128_ps(r3, r7, 0x31));
}

AVX2 void reft_transpose_f32_avx2(size_t rows, size_t columns, const float* in, size_t stride,
                                  float* out, size_t out_stride) {
  size_t i = 0;
  for (; i + 8 <= rows; i += 8) {
    size_t j = 0;
    for (; j + 8 <= columns; j += 8) {
      transpose_8x8(in + i * stride + j, stride, out + j * out_stride + i, out_stride);
    }
    for (; j < columns; j++) {
      for (size_t r = i; r < i + 8; r++) out[j * out_stride + r] = in[r * stride + j];
    }
  }
  for (; i < rows; i++) {
    for (size_t j = 0; j < columns; j++) out[j * out_stride + i] = in[i * stride + j];
  }
}

AVX2 void reft_pack_transposed_f32_avx2(size_t kc, size_t count, const float* rows, size_t stride,
                                        float* panel) {
  if (count < 16) memset(panel, 0, kc * 16 * sizeof(float));
  reft_transpose_f32_avx2(count, kc, rows, stride, panel, 16);
}
#endif
