/* SPDX-License-Identifier: Apache-2.0
 * rows.h: the arithmetic of one row that our C plugins share. d is the width of a row, r the rank;
 * matrices are [r, d] row-major. Sums run in 16 lanes, added up as a tree: fast without
 * -ffast-math, and the same bits whatever other rows there are.
 */
#ifndef SHARED_ROWS_H
#define SHARED_ROWS_H

#include <math.h>
#include <stdint.h>

#define SHARED static __attribute__((unused))
#if defined(__x86_64__)
#define FAST static inline __attribute__((target_clones("arch=haswell", "default")))
#else
#define FAST SHARED
#endif
#define INLINE static inline __attribute__((always_inline))

#define LANES 16

typedef enum { ACT_LINEAR, ACT_RELU, ACT_GELU, ACT_SILU, ACT_TANH } activation_t;

SHARED float activate(activation_t act, float a) {
  switch (act) {
    case ACT_RELU:
      return a > 0 ? a : 0;
    case ACT_GELU:
      return 0.5f * a * (1 + erff(a * 0.70710678f));
    case ACT_SILU:
      return a / (1 + expf(-a));
    case ACT_TANH:
      return tanhf(a);
    default:
      return a;
  }
}

SHARED float slope(activation_t act, float a) {
  switch (act) {
    case ACT_RELU:
      return a > 0;
    case ACT_GELU:
      return 0.5f * (1 + erff(a * 0.70710678f)) + a * 0.39894228f * expf(-0.5f * a * a);
    case ACT_SILU: {
      float s = 1 / (1 + expf(-a));
      return s * (1 + a * (1 - s));
    }
    case ACT_TANH: {
      float t = tanhf(a);
      return 1 - t * t;
    }
    default:
      return 1;
  }
}

INLINE float dot(int64_t n, const float* x, const float* y) {
  float lanes[LANES] = {0};
  int64_t j = 0;
  for (; j + LANES <= n; j += LANES)
    for (int l = 0; l < LANES; l++) lanes[l] += x[j + l] * y[j + l];
  for (int l = 0; j + l < n; l++) lanes[l] += x[j + l] * y[j + l];
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int l = 0; l < half; l++) lanes[l] += lanes[l + half];
  return lanes[0];
}

// x . y
FAST float rows_dot(int64_t d, const float* x, const float* y) {
  return dot(d, x, y);
}

// out = M x + b; b may be NULL.
FAST void rows_multiply(int64_t d, int64_t r, const float* M, const float* b, const float* x,
                        float* out) {
  for (int64_t k = 0; k < r; k++) out[k] = dot(d, M + k * d, x) + (b ? b[k] : 0);
}

// y += factor * M^T e
FAST void rows_add_transposed(int64_t d, int64_t r, float factor, const float* M, const float* e,
                              float* y) {
  for (int64_t k = 0; k < r; k++)
    for (int64_t j = 0; j < d; j++) y[j] += factor * e[k] * M[k * d + j];
}

// M += factor * e x^T
FAST void rows_add_outer(int64_t d, int64_t r, float factor, const float* e, const float* x,
                         float* M) {
  for (int64_t k = 0; k < r; k++)
    for (int64_t j = 0; j < d; j++) M[k * d + j] += factor * e[k] * x[j];
}

// y = mask * x / (1 - p), where the mask is 1 where uniform >= p.
FAST void rows_drop(int64_t d, float p, const float* uniform, const float* x, float* y) {
  float scale = 1 / (1 - p);
  for (int64_t j = 0; j < d; j++) y[j] = uniform[j] >= p ? x[j] * scale : 0;
}

// y = x
SHARED void rows_copy(int64_t d, const float* x, float* y) {
  if (x != y)
    for (int64_t j = 0; j < d; j++) y[j] = x[j];
}

#endif
