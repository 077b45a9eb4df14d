// SPDX-License-Identifier: Apache-2.0
// The matrix product that the host offers to plugins: skinny shapes, any layout, no memory. Each
// element of C is one sum in the order of k, so a row's bits depend on no other row.
#include "reft_system.h"

static void scale_row(float* c, int64_t n, float beta) {
  if (beta == 0)
    for (int64_t j = 0; j < n; j++) c[j] = 0;
  else if (beta != 1)
    for (int64_t j = 0; j < n; j++) c[j] *= beta;
}

#if defined(__x86_64__)
__attribute__((target_clones("arch=x86-64-v3", "default")))
#endif
void reft_system_gemm(uint32_t transpose_a, uint32_t transpose_b, int64_t m, int64_t n, int64_t k,
                      float alpha, const float* a, int64_t lda, const float* b, int64_t ldb,
                      float beta, float* c, int64_t ldc) {
  for (int64_t i = 0; i < m; i++) {
    float* row = c + i * ldc;
    scale_row(row, n, beta);
    for (int64_t p = 0; p < k; p++) {
      float factor = alpha * (transpose_a ? a[p * lda + i] : a[i * lda + p]);
      if (transpose_b) {
        for (int64_t j = 0; j < n; j++) row[j] += factor * b[j * ldb + p];
      } else {
        for (int64_t j = 0; j < n; j++) row[j] += factor * b[p * ldb + j];
      }
    }
  }
}
