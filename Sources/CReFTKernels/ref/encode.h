/* SPDX-License-Identifier: Apache-2.0
 * What the encoders of blocks share. */
#ifndef REFT_ENCODERS_H
#define REFT_ENCODERS_H
#include <math.h>
#include <stddef.h>

#include "dequantize_blocks.h"

/* The nearest number of half precision. */
static inline reft_half_t reft_half(float value) {
  const uint16_t bits = reft_half_of_float(value);
  return (reft_half_t){{(uint8_t)bits, (uint8_t)(bits >> 8)}};
}

/* The whole number nearest to value / scale, within limits; 0 for a scale of 0. */
static inline int reft_code(float value, float scale, int low, int high) {
  if (scale == 0) return low > 0 ? low : 0;
  const float code = nearbyintf(value / scale);
  return code <= (float)low ? low : code >= (float)high ? high : (int)code;
}

/* The number of largest magnitude, with its sign. */
static inline float reft_extreme(const float* x, int n) {
  float extreme = 0;
  for (int j = 0; j < n; j++) {
    if (fabsf(x[j]) > fabsf(extreme)) extreme = x[j];
  }
  return extreme;
}

/* One for each format; `count` is a multiple of its block. */
void reft_encode_f32(const float* values, void* out, size_t count);
void reft_encode_f16(const float* values, void* out, size_t count);
void reft_encode_bf16(const float* values, void* out, size_t count);
void reft_encode_q4_0(const float* values, void* out, size_t count);
void reft_encode_q4_1(const float* values, void* out, size_t count);
void reft_encode_q5_0(const float* values, void* out, size_t count);
void reft_encode_q5_1(const float* values, void* out, size_t count);
void reft_encode_q8_0(const float* values, void* out, size_t count);
void reft_encode_q4_k(const float* values, void* out, size_t count);
void reft_encode_q5_k(const float* values, void* out, size_t count);
void reft_encode_q6_k(const float* values, void* out, size_t count);

#endif
