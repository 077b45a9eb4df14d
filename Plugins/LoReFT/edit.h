/* SPDX-License-Identifier: Apache-2.0
 * edit.h: the arithmetic of one row of LoReFT. d is the width of a row, r the rank; R and W are
 * [r, d] row-major, b is [r]. What all edits share is in ../Shared/rows.h.
 */
#ifndef LOREFT_EDIT_H
#define LOREFT_EDIT_H

#include "../Shared/rows.h"

// a = W h + b, e = act(a) - R h.
FAST void edit_project(int64_t d, int64_t r, activation_t act, const float* R, const float* W,
                       const float* b, const float* h, float* a, float* e) {
  for (int64_t k = 0; k < r; k++) {
    a[k] = dot(d, W + k * d, h) + b[k];
    e[k] = activate(act, a[k]) - dot(d, R + k * d, h);
  }
}

// y = h + R^T e; y may be h.
FAST void edit_lift(int64_t d, int64_t r, const float* R, const float* e, const float* h,
                    float* y) {
  if (y != h)
    for (int64_t j = 0; j < d; j++) y[j] = h[j];
  for (int64_t k = 0; k < r; k++)
    for (int64_t j = 0; j < d; j++) y[j] += e[k] * R[k * d + j];
}

// Given g = d loss / d (h + R^T e): de = R g, da = de * act'(a).
FAST void edit_project_back(int64_t d, int64_t r, activation_t act, const float* R, const float* a,
                            const float* g, float* de, float* da) {
  for (int64_t k = 0; k < r; k++) {
    de[k] = dot(d, R + k * d, g);
    da[k] = de[k] * slope(act, a[k]);
  }
}

// dR += e g^T - de h^T, dW += da h^T, db += da; any of the three may be NULL.
FAST void edit_accumulate(int64_t d, int64_t r, const float* h, const float* g, const float* e,
                          const float* de, const float* da, float* dR, float* dW, float* db) {
  for (int64_t k = 0; k < r; k++) {
    if (dR)
      for (int64_t j = 0; j < d; j++) dR[k * d + j] += e[k] * g[j] - de[k] * h[j];
    if (dW)
      for (int64_t j = 0; j < d; j++) dW[k * d + j] += da[k] * h[j];
    if (db) db[k] += da[k];
  }
}

// dx = g + W^T da - R^T de; dx may be g.
FAST void edit_lift_back(int64_t d, int64_t r, const float* R, const float* W, const float* de,
                         const float* da, const float* g, float* dx) {
  if (dx != g)
    for (int64_t j = 0; j < d; j++) dx[j] = g[j];
  for (int64_t k = 0; k < r; k++)
    for (int64_t j = 0; j < d; j++) dx[j] += da[k] * W[k * d + j] - de[k] * R[k * d + j];
}

#endif
