// SPDX-License-Identifier: Apache-2.0
// LayerNorm (Ba, Kiros and Hinton, arXiv 1607.06450), as plain loops: the specification.
#include <math.h>

#include "ref_kernels.h"

static float mean_of(size_t d, const float* x) {
  float sum = 0;
  for (size_t j = 0; j < d; j++) sum += x[j];
  return sum / (float)d;
}

static float inverse_deviation(size_t d, const float* x, float mean, float epsilon) {
  float sum = 0;
  for (size_t j = 0; j < d; j++) sum += (x[j] - mean) * (x[j] - mean);
  return 1 / sqrtf(sum / (float)d + epsilon);
}

void reft_layernorm_f32_ref(size_t n, size_t d, const float* x, size_t x_stride,
                            const float* weight, const float* bias, float epsilon, float* y,
                            size_t y_stride) {
  for (size_t i = 0; i < n; i++) {
    const float* row = x + i * x_stride;
    float mean = mean_of(d, row), s = inverse_deviation(d, row, mean, epsilon);
    for (size_t j = 0; j < d; j++) {
      y[i * y_stride + j] = (row[j] - mean) * s * weight[j] + bias[j];
    }
  }
}

// With u = (x - mean) s and g = dy * weight: dx = s (g - mean(g) - u mean(g u)).
void reft_layernorm_backward_f32_ref(size_t n, size_t d, const float* x, size_t x_stride,
                                     const float* weight, float epsilon, const float* dy,
                                     size_t dy_stride, float* dx, size_t dx_stride) {
  for (size_t i = 0; i < n; i++) {
    const float *row = x + i * x_stride, *g = dy + i * dy_stride;
    float mean = mean_of(d, row), s = inverse_deviation(d, row, mean, epsilon);
    float sum = 0, product = 0;
    for (size_t j = 0; j < d; j++) {
      sum += g[j] * weight[j];
      product += g[j] * weight[j] * (row[j] - mean);
    }
    sum /= (float)d;
    product *= s * s / (float)d;
    for (size_t j = 0; j < d; j++) {
      dx[i * dx_stride + j] += s * (g[j] * weight[j] - sum - (row[j] - mean) * product);
    }
  }
}
