// SPDX-License-Identifier: Apache-2.0
// Soft caps of scores and logits with their derivative, as plain loops: the specification.
#include <math.h>

#include "ref_kernels.h"

void reft_softcap_f32_ref(size_t n, float scale, float cap, float* x) {
  for (size_t i = 0; i < n; i++) x[i] = cap * tanhf(x[i] * (scale / cap));
}

// (cap tanh(scale x / cap))' = scale (1 - (y / cap)^2).
void reft_softcap_backward_f32_ref(size_t n, float scale, float cap, const float* y, float* dx) {
  for (size_t i = 0; i < n; i++) dx[i] *= scale * (1 - (y[i] / cap) * (y[i] / cap));
}
