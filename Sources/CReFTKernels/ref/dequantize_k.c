// SPDX-License-Identifier: Apache-2.0
// Reference kernels for blocks of 256: Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_XS.
// Scale × sub-scale × code is exact in float32 in each of them, so fused and separate multiply-add
// agree.

#include "dequantize_blocks.h"
#include "reft_dequantize.h"

void reft_dequantize_q2_k_ref(const void* restrict source, float* restrict out, size_t count) {
  const reft_block_q2_k_t* x = source;
  for (size_t i = 0; i < count / 256; i++, out += 256) {
    const float d = reft_half_to_float(x[i].d);
    const float dmin = reft_half_to_float(x[i].dmin);
    for (int j = 0; j < 256; j++) {
      const int scale = x[i].scales[j / 16];
      const int q = x[i].qs[j / 128 * 32 + j % 32] >> 2 * (j % 128 / 32) & 3;
      out[j] = d * (float)(scale & 0xf) * (float)q - dmin * (float)(scale >> 4);
    }
  }
}

void reft_dequantize_q3_k_ref(const void* restrict source, float* restrict out, size_t count) {
  const reft_block_q3_k_t* x = source;
  for (size_t i = 0; i < count / 256; i++, out += 256) {
    const float d = reft_half_to_float(x[i].d);
    uint8_t scales[16];
    reft_q3_scales(x[i].scales, scales);
    for (int j = 0; j < 256; j++) {
      const int low = x[i].qs[j / 128 * 32 + j % 32] >> 2 * (j % 128 / 32) & 3;
      const int high = x[i].hmask[j % 32] >> j / 32 & 1;
      out[j] = d * (float)(scales[j / 16] - 32) * (float)(low + 4 * high - 4);
    }
  }
}

void reft_dequantize_q4_k_ref(const void* restrict source, float* restrict out, size_t count) {
  const reft_block_q4_k_t* x = source;
  for (size_t i = 0; i < count / 256; i++, out += 256) {
    const float d = reft_half_to_float(x[i].d);
    const float dmin = reft_half_to_float(x[i].dmin);
    for (int s = 0; s < 8; s++) {
      uint8_t scale, minimum;
      reft_k4_scale(s, x[i].scales, &scale, &minimum);
      const float d1 = d * (float)scale;
      const float m1 = dmin * (float)minimum;
      const uint8_t* qs = x[i].qs + s / 2 * 32;
      for (int j = 0; j < 32; j++) out[s * 32 + j] = d1 * (float)(qs[j] >> 4 * (s % 2) & 0xf) - m1;
    }
  }
}

void reft_dequantize_q5_k_ref(const void* restrict source, float* restrict out, size_t count) {
  const reft_block_q5_k_t* x = source;
  for (size_t i = 0; i < count / 256; i++, out += 256) {
    const float d = reft_half_to_float(x[i].d);
    const float dmin = reft_half_to_float(x[i].dmin);
    for (int s = 0; s < 8; s++) {
      uint8_t scale, minimum;
      reft_k4_scale(s, x[i].scales, &scale, &minimum);
      const float d1 = d * (float)scale;
      const float m1 = dmin * (float)minimum;
      const uint8_t* qs = x[i].qs + s / 2 * 32;
      for (int j = 0; j < 32; j++) {
        const int q = (qs[j] >> 4 * (s % 2) & 0xf) | (x[i].qh[j] >> s & 1) << 4;
        out[s * 32 + j] = d1 * (float)q - m1;
      }
    }
  }
}

void reft_dequantize_q6_k_ref(const void* restrict source, float* restrict out, size_t count) {
  const reft_block_q6_k_t* x = source;
  for (size_t i = 0; i < count / 256; i++, out += 256) {
    const float d = reft_half_to_float(x[i].d);
    for (int j = 0; j < 256; j++) {
      const int quarter = j % 128 / 32;
      const int low = x[i].ql[j / 128 * 64 + quarter % 2 * 32 + j % 32] >> quarter / 2 * 4 & 0xf;
      const int high = x[i].qh[j / 128 * 32 + j % 32] >> 2 * quarter & 3;
      out[j] = d * (float)x[i].scales[j / 16] * (float)((low | high << 4) - 32);
    }
  }
}

void reft_dequantize_iq4_xs_ref(const void* restrict source, float* restrict out, size_t count) {
  const reft_block_iq4_xs_t* x = source;
  for (size_t i = 0; i < count / 256; i++, out += 256) {
    const float d = reft_half_to_float(x[i].d);
    for (int s = 0; s < 8; s++) {
      const float d1 = d * (float)(reft_iq4_xs_scale(s, x + i) - 32);
      for (int j = 0; j < 16; j++) {
        const int q = x[i].qs[s * 16 + j];
        out[s * 32 + j] = d1 * (float)reft_iq4_levels[q & 0xf];
        out[s * 32 + j + 16] = d1 * (float)reft_iq4_levels[q >> 4];
      }
    }
  }
}
