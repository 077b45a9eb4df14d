// SPDX-License-Identifier: Apache-2.0
// Reference kernels for numbers without blocks: float32, half precision, bfloat16.

#include "dequantize_blocks.h"
#include "reft_dequantize.h"

void reft_dequantize_f32_ref(const void* restrict source, float* restrict out, size_t count) {
  if (count) memcpy(out, source, count * sizeof(float));
}

void reft_dequantize_f16_ref(const void* restrict source, float* restrict out, size_t count) {
  const reft_half_t* x = source;
  for (size_t i = 0; i < count; i++) out[i] = reft_half_to_float(x[i]);
}

void reft_dequantize_bf16_ref(const void* restrict source, float* restrict out, size_t count) {
  const uint8_t* x = source;
  for (size_t i = 0; i < count; i++) {
    const uint32_t bits = (uint32_t)x[2 * i] << 16 | (uint32_t)x[2 * i + 1] << 24;
    memcpy(out + i, &bits, 4);
  }
}
