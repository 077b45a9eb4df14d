/* SPDX-License-Identifier: Apache-2.0
 * edit.h: the arithmetic of one row of LoReFT. d is the width of a row, r the rank; R and W are
 * [r, d] row-major, b is [r]. Sums run in 16 lanes, added up as a tree: fast without -ffast-math,
 * and the same bits whatever other rows there are. On x86-64 each loop exists twice, for AVX2 and
 * for all; all are static, so that the library exports its entry alone.
 */
#ifndef LOREFT_EDIT_H
#define LOREFT_EDIT_H

#include <math.h>
#include <stdint.h>

typedef enum { ACT_LINEAR, ACT_RELU, ACT_GELU, ACT_SILU, ACT_TANH } activation_t;

#if defined(__x86_64__)
#define FAST __attribute__((target_clones("arch=haswell", "default")))
#else
#define FAST
#endif
#define INLINE static inline __attribute__((always_inline))

#define LANES 16

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

// a = W h + b, e = act(a) - R h.
FAST static void edit_project(int64_t d, int64_t r, activation_t act, const float* R,
                              const float* W, const float* b, const float* h, float* a, float* e) {
  for (int64_t k = 0; k < r; k++) {
    a[k] = dot(d, W + k * d, h) + b[k];
    e[k] = activate(act, a[k]) - dot(d, R + k * d, h);
  }
}

// y = h + R^T e; y may be h.
FAST static void edit_lift(int64_t d, int64_t r, const float* R, const float* e, const float* h,
                           float* y) {
  if (y != h)
    for (int64_t j = 0; j < d; j++) y[j] = h[j];
  for (int64_t k = 0; k < r; k++)
    for (int64_t j = 0; j < d; j++) y[j] += e[k] * R[k * d + j];
}

// Given g = d loss / d (h + R^T e): de = R g, da = de * act'(a).
FAST static void edit_project_back(int64_t d, int64_t r, activation_t act, const float* R,
                                   const float* a, const float* g, float* de, float* da) {
  for (int64_t k = 0; k < r; k++) {
    de[k] = dot(d, R + k * d, g);
    da[k] = de[k] * slope(act, a[k]);
  }
}

// dR += e g^T - de h^T, dW += da h^T, db += da; any of the three may be NULL.
FAST static void edit_accumulate(int64_t d, int64_t r, const float* h, const float* g,
                                 const float* e, const float* de, const float* da, float* dR,
                                 float* dW, float* db) {
  for (int64_t k = 0; k < r; k++) {
    if (dR)
      for (int64_t j = 0; j < d; j++) dR[k * d + j] += e[k] * g[j] - de[k] * h[j];
    if (dW)
      for (int64_t j = 0; j < d; j++) dW[k * d + j] += da[k] * h[j];
    if (db) db[k] += da[k];
  }
}

// dx = g + W^T da - R^T de; dx may be g.
FAST static void edit_lift_back(int64_t d, int64_t r, const float* R, const float* W,
                                const float* de, const float* da, const float* g, float* dx) {
  if (dx != g)
    for (int64_t j = 0; j < d; j++) dx[j] = g[j];
  for (int64_t k = 0; k < r; k++)
    for (int64_t j = 0; j < d; j++) dx[j] += da[k] * W[k * d + j] - de[k] * R[k * d + j];
}

// y = mask * x / (1 - p), where the mask is 1 where uniform >= p.
FAST static void edit_drop(int64_t d, float p, const float* uniform, const float* x, float* y) {
  float scale = 1 / (1 - p);
  for (int64_t j = 0; j < d; j++) y[j] = uniform[j] >= p ? x[j] * scale : 0;
}

#endif
