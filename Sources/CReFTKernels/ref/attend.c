// SPDX-License-Identifier: Apache-2.0
// Attention of one row over a run of keys, unnormalised: the specification.
#include <math.h>

#include "ref_kernels.h"

void reft_attend_f32_ref(size_t group, size_t head_size, size_t keys, float scale, const float* q,
                         const float* k, const float* v, float* scores, float* out) {
  for (size_t g = 0; g < group; g++, q += head_size, out += head_size + 2) {
    float largest = -INFINITY, sum = 0;
    for (size_t key = 0; key < keys; key++) {
      scores[key] = scale * reft_dot_f32_ref(head_size, q, k + key * head_size);
      largest = scores[key] > largest ? scores[key] : largest;
    }
    for (size_t j = 0; j < head_size; j++) out[j] = 0;
    for (size_t key = 0; key < keys; key++) {
      float weight = expf(scores[key] - largest);
      sum += weight;
      for (size_t j = 0; j < head_size; j++) out[j] += weight * v[key * head_size + j];
    }
    out[head_size] = largest;
    out[head_size + 1] = sum;
  }
}
