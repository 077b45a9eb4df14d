// SPDX-License-Identifier: Apache-2.0
// Reference kernels for blocks of 32: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL.
// Every scale × code product below is exact in float32 (11-bit scale, codes of at most 8 bits), so
// fused and separate multiply-add agree.

#include "dequantize_blocks.h"
#include "reft_dequantize.h"

void reft_dequantize_q4_0_ref(const void* restrict source, float* restrict out, size_t count) {
  const reft_block_q4_0_t* x = source;
  for (size_t i = 0; i < count / 32; i++, out += 32) {
    const float d = reft_half_to_float(x[i].d);
    for (int j = 0; j < 16; j++) {
      out[j] = (float)((x[i].qs[j] & 0xf) - 8) * d;
      out[j + 16] = (float)((x[i].qs[j] >> 4) - 8) * d;
    }
  }
}

void reft_dequantize_q4_1_ref(const void* restrict source, float* restrict out, size_t count) {
  const reft_block_q4_1_t* x = source;
  for (size_t i = 0; i < count / 32; i++, out += 32) {
    const float d = reft_half_to_float(x[i].d);
    const float m = reft_half_to_float(x[i].m);
    for (int j = 0; j < 16; j++) {
      out[j] = (float)(x[i].qs[j] & 0xf) * d + m;
      out[j + 16] = (float)(x[i].qs[j] >> 4) * d + m;
    }
  }
}

// The fifth bit of element `j` (0…31), in its place.
static inline int fifth_bit(const uint8_t* qh, int j) {
  return (qh[j / 8] >> j % 8 & 1) << 4;
}

void reft_dequantize_q5_0_ref(const void* restrict source, float* restrict out, size_t count) {
  const reft_block_q5_0_t* x = source;
  for (size_t i = 0; i < count / 32; i++, out += 32) {
    const float d = reft_half_to_float(x[i].d);
    for (int j = 0; j < 16; j++) {
      out[j] = (float)(((x[i].qs[j] & 0xf) | fifth_bit(x[i].qh, j)) - 16) * d;
      out[j + 16] = (float)((x[i].qs[j] >> 4 | fifth_bit(x[i].qh, j + 16)) - 16) * d;
    }
  }
}

void reft_dequantize_q5_1_ref(const void* restrict source, float* restrict out, size_t count) {
  const reft_block_q5_1_t* x = source;
  for (size_t i = 0; i < count / 32; i++, out += 32) {
    const float d = reft_half_to_float(x[i].d);
    const float m = reft_half_to_float(x[i].m);
    for (int j = 0; j < 16; j++) {
      out[j] = (float)((x[i].qs[j] & 0xf) | fifth_bit(x[i].qh, j)) * d + m;
      out[j + 16] = (float)(x[i].qs[j] >> 4 | fifth_bit(x[i].qh, j + 16)) * d + m;
    }
  }
}

void reft_dequantize_q8_0_ref(const void* restrict source, float* restrict out, size_t count) {
  const reft_block_q8_0_t* x = source;
  for (size_t i = 0; i < count / 32; i++, out += 32) {
    const float d = reft_half_to_float(x[i].d);
    for (int j = 0; j < 32; j++) out[j] = (float)x[i].qs[j] * d;
  }
}

void reft_dequantize_iq4_nl_ref(const void* restrict source, float* restrict out, size_t count) {
  const reft_block_iq4_nl_t* x = source;
  for (size_t i = 0; i < count / 32; i++, out += 32) {
    const float d = reft_half_to_float(x[i].d);
    for (int j = 0; j < 16; j++) {
      out[j] = (float)reft_iq4_levels[x[i].qs[j] & 0xf] * d;
      out[j + 16] = (float)reft_iq4_levels[x[i].qs[j] >> 4] * d;
    }
  }
}
