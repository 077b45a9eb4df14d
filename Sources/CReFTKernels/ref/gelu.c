// SPDX-License-Identifier: Apache-2.0
// GELU in its tanh form and GEGLU with their derivatives, as plain loops: the specification.
#include <math.h>

#include "ref_kernels.h"

// 0.5 x (1 + tanh(c (x + 0.044715 x^3))) with c = sqrt(2 / pi) is x sigmoid(p(x)) with
// p(x) = 2 c (x + 0.044715 x^3).
static const float twice_c = 1.5957691216f, cubic = 0.044715f;

static float sigmoid_of_p(float x) {
  return 1 / (1 + expf(-twice_c * (x + cubic * x * x * x)));
}

// s + x s (1 - s) p'(x) with s = sigmoid(p(x)).
static float slope(float x, float s) {
  return s + x * s * (1 - s) * twice_c * (1 + 3 * cubic * x * x);
}

void reft_gelu_f32_ref(size_t n, const float* gate, float* a) {
  for (size_t i = 0; i < n; i++) a[i] = gate[i] * sigmoid_of_p(gate[i]);
}

void reft_geglu_f32_ref(size_t n, const float* gate, const float* up, float* h) {
  for (size_t i = 0; i < n; i++) h[i] = gate[i] * sigmoid_of_p(gate[i]) * up[i];
}

void reft_geglu_backward_f32_ref(size_t n, const float* gate, const float* up, const float* dh,
                                 float* dgate, float* dup) {
  for (size_t i = 0; i < n; i++) {
    float g = gate[i], u = up[i], s = sigmoid_of_p(g);
    dgate[i] = dh[i] * u * slope(g, s);
    dup[i] = dh[i] * (g * s);
  }
}

void reft_gelu_backward_f32_ref(size_t n, const float* gate, const float* da, float* dgate) {
  for (size_t i = 0; i < n; i++) dgate[i] = da[i] * slope(gate[i], sigmoid_of_p(gate[i]));
}
