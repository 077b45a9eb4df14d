// SPDX-License-Identifier: Apache-2.0
// SiLU, SwiGLU and softmax with their derivatives, as plain loops: the specification.
#include <math.h>

#include "ref_kernels.h"

static float sigmoid(float x) {
  return 1 / (1 + expf(-x));
}

void reft_silu_f32_ref(size_t n, const float* gate, float* a) {
  for (size_t i = 0; i < n; i++) a[i] = gate[i] * sigmoid(gate[i]);
}

void reft_swiglu_f32_ref(size_t n, const float* gate, const float* up, float* h) {
  for (size_t i = 0; i < n; i++) h[i] = gate[i] * sigmoid(gate[i]) * up[i];
}

// silu'(g) = s + g s (1 - s) with s = sigmoid(g).
void reft_swiglu_backward_f32_ref(size_t n, const float* gate, const float* up, const float* dh,
                                  float* dgate, float* dup) {
  for (size_t i = 0; i < n; i++) {
    float g = gate[i], u = up[i], s = sigmoid(g);
    dgate[i] = dh[i] * u * (s + g * s * (1 - s));
    dup[i] = dh[i] * (g * s);
  }
}

void reft_silu_backward_f32_ref(size_t n, const float* gate, const float* da, float* dgate) {
  for (size_t i = 0; i < n; i++) {
    float g = gate[i], s = sigmoid(g);
    dgate[i] = da[i] * (s + g * s * (1 - s));
  }
}

float reft_exp_sum_f32_ref(size_t n, float shift, float* x) {
  float sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i] = expf(x[i] - shift);
  return sum;
}

float reft_softmax_f32_ref(size_t n, size_t padded, float scale, float* s, float* log_sum_exp) {
  float largest = reft_max_f32_ref(n, s) * scale, sum = 0;
  for (size_t i = 0; i < n; i++) sum += s[i] = expf(s[i] * scale - largest);
  float inverse = 1 / sum;
  for (size_t i = 0; i < padded; i++) s[i] = i < n ? s[i] * inverse : 0;
  *log_sum_exp = largest + logf(sum);
  return sum;
}

void reft_exp_scores_f32_ref(size_t n, size_t padded, float scale, float lse, float* s) {
  for (size_t i = 0; i < padded; i++) s[i] = i < n ? expf(s[i] * scale - lse) : 0;
}

void reft_softmax_backward_f32_ref(size_t n, size_t padded, float scale, const float* p,
                                   float* dp) {
  float dot = reft_dot_f32_ref(n, p, dp);
  for (size_t i = 0; i < padded; i++) dp[i] = i < n ? scale * p[i] * (dp[i] - dot) : 0;
}
