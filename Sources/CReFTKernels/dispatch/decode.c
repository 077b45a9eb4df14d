// SPDX-License-Identifier: Apache-2.0
// Chooses the kernels of reft_decode.h: reference, AVX2, or AVX-512 VNNI.
#include "../ref/ref_kernels.h"
#include "../x86/x86_kernels.h"
#include "reft_decode.h"

void reft_quantize_rows(const float* x, size_t stride, const reft_activations_t* out, size_t first,
                        size_t count) {
#if defined(__x86_64__)
  if (reft_kernels_use_avx2()) {
    reft_quantize_rows_avx2(x, stride, out, first, count);
    return;
  }
#endif
  reft_quantize_rows_ref(x, stride, out, first, count);
}

void reft_rows16_dot(uint32_t layout, const uint8_t* groups, const reft_activations_t* x,
                     size_t rows, float* y, size_t stride) {
#if defined(__x86_64__)
  if (reft_kernels_use_avx2()) {
    if (reft_kernels_use_vnni()) {
      reft_rows16_dot_vnni(layout, groups, x, rows, y, stride);
    } else {
      reft_rows16_dot_avx2(layout, groups, x, rows, y, stride);
    }
    return;
  }
#endif
  reft_rows16_dot_ref(layout, groups, x, rows, y, stride);
}

void reft_rows16_values(uint32_t layout, const uint8_t* group, size_t block, size_t count,
                        float* out) {
#if defined(__x86_64__)
  if (reft_kernels_use_avx2()) {
    reft_rows16_values_avx2(layout, group, block, count, out);
    return;
  }
#endif
  reft_rows16_values_ref(layout, group, block, count, out);
}

void reft_plain_rows_dot(const reft_plain_rows_t* weights, size_t n, const float* x,
                         size_t x_stride, float* y, size_t y_stride, int accumulate) {
#if defined(__x86_64__)
  if (reft_kernels_use_avx2()) {
    reft_plain_rows_dot_avx2(weights, n, x, x_stride, y, y_stride, accumulate);
    return;
  }
#endif
  reft_plain_rows_dot_ref(weights, n, x, x_stride, y, y_stride, accumulate);
}
