// SPDX-License-Identifier: Apache-2.0
// Normalisation, rotary embedding and sums over rows, as plain loops: the specification.
#include <math.h>

#include "ref_kernels.h"

void reft_rmsnorm_f32_ref(size_t n, size_t d, const float* x, size_t x_stride, const float* weight,
                          float epsilon, float* y, size_t y_stride) {
  for (size_t i = 0; i < n; i++) {
    float sum = 0;
    for (size_t j = 0; j < d; j++) sum += x[i * x_stride + j] * x[i * x_stride + j];
    float scale = 1 / sqrtf(sum / (float)d + epsilon);
    for (size_t j = 0; j < d; j++) y[i * y_stride + j] = x[i * x_stride + j] * scale * weight[j];
  }
}

// With s = 1 / sqrt(mean(x^2) + epsilon) and g = dy * weight: dx = s g - x s^3 (g . x) / d.
void reft_rmsnorm_backward_f32_ref(size_t n, size_t d, const float* x, size_t x_stride,
                                   const float* weight, float epsilon, const float* dy,
                                   size_t dy_stride, float* dx, size_t dx_stride) {
  for (size_t i = 0; i < n; i++) {
    const float *row = x + i * x_stride, *g = dy + i * dy_stride;
    float sum = 0, product = 0;
    for (size_t j = 0; j < d; j++) {
      sum += row[j] * row[j];
      product += g[j] * weight[j] * row[j];
    }
    float s = 1 / sqrtf(sum / (float)d + epsilon);
    float t = s * s * s * product / (float)d;
    for (size_t j = 0; j < d; j++) dx[i * dx_stride + j] += s * g[j] * weight[j] - t * row[j];
  }
}

void reft_rope_f32_ref(size_t heads, size_t head_size, const float* table, float sign, float* row) {
  for (size_t h = 0; h < heads; h++) {
    for (size_t i = 0; i < head_size; i += 2) {
      float cosine = table[i], sine = sign * table[i + 1];
      float* pair = row + h * head_size + i;
      float first = pair[0], second = pair[1];
      pair[0] = first * cosine - second * sine;
      pair[1] = first * sine + second * cosine;
    }
  }
}

void reft_rope_halves_f32_ref(size_t heads, size_t head_size, const float* table, float sign,
                              float* row) {
  size_t half = head_size / 2;
  for (size_t h = 0; h < heads; h++) {
    float* head = row + h * head_size;
    for (size_t i = 0; i < half; i++) {
      float cosine = table[2 * i], sine = sign * table[2 * i + 1];
      float first = head[i], second = head[half + i];
      head[i] = first * cosine - second * sine;
      head[half + i] = first * sine + second * cosine;
    }
  }
}

void reft_axpy_f32_ref(size_t n, float factor, const float* x, float* y) {
  for (size_t i = 0; i < n; i++) y[i] += factor * x[i];
}

void reft_scale_f32_ref(size_t n, float factor, float* y) {
  for (size_t i = 0; i < n; i++) y[i] *= factor;
}

float reft_dot_f32_ref(size_t n, const float* x, const float* y) {
  float sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
  return sum;
}

float reft_max_f32_ref(size_t n, const float* x) {
  float largest = x[0];
  for (size_t i = 1; i < n; i++) largest = x[i] > largest ? x[i] : largest;
  return largest;
}
