// SPDX-License-Identifier: Apache-2.0
// Floating-point weights times few rows, as plain loops: the specification.
#include "ref_kernels.h"
#include "reft_dequantize.h"

int reft_is_plain(uint32_t type) {
  return type == 0 || type == 1 || type == 30;
}

static float number(uint32_t type, const uint8_t* row, size_t j) {
  float value;
  if (type == 0) {
    reft_dequantize_f32_ref(row + 4 * j, &value, 1);
  } else if (type == 1) {
    reft_dequantize_f16_ref(row + 2 * j, &value, 1);
  } else {
    reft_dequantize_bf16_ref(row + 2 * j, &value, 1);
  }
  return value;
}

void reft_plain_rows_dot_ref(const reft_plain_rows_t* w, size_t n, const float* x, size_t x_stride,
                             float* y, size_t y_stride, int accumulate) {
  for (size_t r = 0; r < w->rows; r++) {
    const uint8_t* row = (const uint8_t*)w->data + r * w->bytes;
    for (size_t i = 0; i < n; i++) {
      float sum = 0;
      for (size_t j = 0; j < w->columns; j++) {
        sum += number(w->type, row, j) * x[i * x_stride + j];
      }
      float* out = y + i * y_stride + r;
      *out = accumulate ? *out + sum : sum;
    }
  }
}
