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
  multiply(d, r, W, h, a);
  multiply(d, r, R, h, e);
  for (int64_t k = 0; k < r; k++) {
    a[k] += b[k];
    e[k] = activate(act, a[k]) - e[k];
  }
}

// Given g = d loss / d (h + R^T e): de = R g, da = de * act'(a).
FAST void edit_project_back(int64_t d, int64_t r, activation_t act, const float* R, const float* a,
                            const float* g, float* de, float* da) {
  multiply(d, r, R, g, de);
  for (int64_t k = 0; k < r; k++) da[k] = de[k] * slope(act, a[k]);
}

#endif
