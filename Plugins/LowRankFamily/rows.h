/* SPDX-License-Identifier: Apache-2.0
 * rows.h: the arithmetic of one row of the family. d is the width of a row, r the rank; matrices
 * are [r, d] row-major. Sums run in 16 lanes, added up as a tree: fast without -ffast-math, and the
 * same bits whatever other rows there are.
 */
#ifndef FAMILY_ROWS_H
#define FAMILY_ROWS_H

#include <math.h>
#include <stdint.h>

#if defined(__x86_64__)
#define FAST __attribute__((target_clones("arch=haswell", "default")))
#else
#define FAST
#endif

#define LANES 16

typedef enum { ACT_LINEAR, ACT_RELU, ACT_GELU, ACT_SILU, ACT_TANH } activation_t;

static float activate(activation_t act, float a) {
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

static float slope(activation_t act, float a) {
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

// out = M x + b; b may be NULL.
FAST static void rows_multiply(int64_t d, int64_t r, const float* M, const float* b, const float* x,
                               float* out) {
  for (int64_t k = 0; k < r; k++) {
    const float* row = M + k * d;
    float lanes[LANES] = {0};
    int64_t j = 0;
    for (; j + LANES <= d; j += LANES)
      for (int l = 0; l < LANES; l++) lanes[l] += row[j + l] * x[j + l];
    for (int l = 0; j + l < d; l++) lanes[l] += row[j + l] * x[j + l];
    for (int half = LANES / 2; half > 0; half /= 2)
      for (int l = 0; l < half; l++) lanes[l] += lanes[l + half];
    out[k] = lanes[0] + (b ? b[k] : 0);
  }
}

// y += factor * M^T e
FAST static void rows_add_transposed(int64_t d, int64_t r, float factor, const float* M,
                                     const float* e, float* y) {
  for (int64_t k = 0; k < r; k++)
    for (int64_t j = 0; j < d; j++) y[j] += factor * e[k] * M[k * d + j];
}

// M += factor * e x^T
FAST static void rows_add_outer(int64_t d, int64_t r, float factor, const float* e, const float* x,
                                float* M) {
  for (int64_t k = 0; k < r; k++)
    for (int64_t j = 0; j < d; j++) M[k * d + j] += factor * e[k] * x[j];
}

// y = x
static void rows_copy(int64_t d, const float* x, float* y) {
  if (x != y)
    for (int64_t j = 0; j < d; j++) y[j] = x[j];
}

#endif
