// SPDX-License-Identifier: Apache-2.0
// C (+)= A * packed B and the packing of B, as plain loops: the specification.
#include "ref_kernels.h"

void reft_gemm_packed_f32_ref(size_t m, size_t columns, size_t kc, const float* a, size_t lda,
                              const float* packed, size_t panel_stride, float* c, size_t ldc,
                              int accumulate) {
  for (size_t i = 0; i < m; i++) {
    for (size_t j = 0; j < columns; j++) {
      const float* panel = packed + j / REFT_PANEL * panel_stride + j % REFT_PANEL;
      float sum = 0;
      for (size_t k = 0; k < kc; k++) sum += a[i * lda + k] * panel[k * REFT_PANEL];
      c[i * ldc + j] = accumulate ? c[i * ldc + j] + sum : sum;
    }
  }
}

void reft_pack_transposed_f32_ref(size_t kc, size_t count, const float* rows, size_t stride,
                                  float* panel) {
  for (size_t k = 0; k < kc; k++) {
    for (size_t j = 0; j < REFT_PANEL; j++) {
      panel[k * REFT_PANEL + j] = j < count ? rows[j * stride + k] : 0;
    }
  }
}

void reft_transpose_f32_ref(size_t rows, size_t columns, const float* in, size_t stride, float* out,
                            size_t out_stride) {
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < columns; j++) out[j * out_stride + i] = in[i * stride + j];
  }
}
