// SPDX-License-Identifier: Apache-2.0
// Chooses the kernels of reft_split.h: reference, or AVX-512 with AMX.
#include "../ref/ref_kernels.h"
#include "../ref/rows16_layout.h"
#include "../x86/x86_kernels.h"
#include "reft_kernels.h"
#include "reft_split.h"

void reft_split_left(size_t kc, size_t count, const float* rows, size_t stride, uint8_t* tiles) {
#if defined(__x86_64__)
  if (reft_kernels_use_tiles()) {
    reft_split_left_avx512(kc, count, rows, stride, tiles);
    return;
  }
#endif
  reft_split_left_ref(kc, count, rows, stride, tiles);
}

void reft_split_columns(size_t kc, size_t count, const float* rows, size_t stride, uint8_t* tiles) {
#if defined(__x86_64__)
  if (reft_kernels_use_tiles()) {
    reft_split_columns_avx512(kc, count, rows, stride, tiles);
    return;
  }
#endif
  reft_split_columns_ref(kc, count, rows, stride, tiles);
}

void reft_split_pair(size_t columns, const float* even, const float* odd, uint8_t* tiles,
                     size_t stride) {
#if defined(__x86_64__)
  if (reft_kernels_use_tiles()) {
    reft_split_pair_avx512(columns, even, odd, tiles, stride);
    return;
  }
#endif
  reft_split_pair_ref(columns, even, odd, tiles, stride);
}

void reft_split_rows16(uint32_t layout, const uint8_t* group, size_t block, size_t count,
                       uint8_t* tiles) {
#if defined(__x86_64__)
  if (reft_kernels_use_tiles()) {
    reft_split_rows16_avx512(reft_rows16_known(layout), group, block, count, tiles);
    return;
  }
#endif
  reft_split_rows16_ref(layout, group, block, count, tiles);
}

float reft_split_weights(size_t width, size_t first, size_t end, float scale, const float* scores,
                         float* largest, float* sum, uint8_t* tiles) {
#if defined(__x86_64__)
  if (reft_kernels_use_tiles())
    return reft_split_weights_avx512(width, first, end, scale, scores, largest, sum, tiles);
#endif
  return reft_split_weights_ref(width, first, end, scale, scores, largest, sum, tiles);
}

void reft_gemm_split(size_t m, size_t columns, size_t runs, const uint8_t* left, size_t left_stride,
                     const uint8_t* right, size_t right_stride, int halves, float* c, size_t ldc,
                     int accumulate) {
#if defined(__x86_64__)
  if (reft_kernels_use_tiles()) {
    reft_gemm_split_amx(m, columns, runs, left, left_stride, right, right_stride, halves, c, ldc,
                        accumulate);
    return;
  }
#endif
  reft_gemm_split_ref(m, columns, runs, left, left_stride, right, right_stride, halves, c, ldc,
                      accumulate);
}
