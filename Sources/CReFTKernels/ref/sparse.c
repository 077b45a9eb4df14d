// SPDX-License-Identifier: Apache-2.0
// Sums over the few rows whose weight counts; the specification of x86/sparse_avx2.c.
#include "ref_kernels.h"

size_t reft_select_f32_ref(size_t n, const float* x, float threshold, int32_t* places,
                           float* values) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) {
    if (x[i] < threshold) continue;
    places[count] = (int32_t)i;
    values[count++] = x[i];
  }
  return count;
}

void reft_add_rows_f32_ref(size_t d, size_t count, const int32_t* places, const float* values,
                           const float* rows, size_t stride, float* y) {
  for (size_t j = 0; j < count; j++) {
    const float* row = rows + (size_t)places[j] * stride;
    for (size_t i = 0; i < d; i++) y[i] += values[j] * row[i];
  }
}
