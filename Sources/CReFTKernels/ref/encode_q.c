// SPDX-License-Identifier: Apache-2.0
// Numbers as float16 and bfloat16, and in blocks of 32.
#include "encode.h"

void reft_encode_f32(const float* values, void* out, size_t count) {
  if (count) memcpy(out, values, count * sizeof(float));
}

void reft_encode_f16(const float* values, void* out, size_t count) {
  reft_half_t* x = out;
  for (size_t i = 0; i < count; i++) x[i] = reft_half(values[i]);
}

// The upper half of the bits, rounded to nearest, ties to even.
void reft_encode_bf16(const float* values, void* out, size_t count) {
  uint8_t* x = out;
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, values + i, 4);
    bits += 0x7fff + (bits >> 16 & 1);
    x[2 * i] = (uint8_t)(bits >> 16);
    x[2 * i + 1] = (uint8_t)(bits >> 24);
  }
}

void reft_encode_q8_0(const float* values, void* out, size_t count) {
  reft_block_q8_0_t* x = out;
  for (size_t i = 0; i < count / 32; i++, values += 32) {
    x[i].d = reft_half(fabsf(reft_extreme(values, 32)) / 127);
    const float d = reft_half_to_float(x[i].d);
    for (int j = 0; j < 32; j++) x[i].qs[j] = (int8_t)reft_code(values[j], d, -127, 127);
  }
}

// The number of largest magnitude gets the lowest code, which has no opposite.
void reft_encode_q4_0(const float* values, void* out, size_t count) {
  reft_block_q4_0_t* x = out;
  for (size_t i = 0; i < count / 32; i++, values += 32) {
    x[i].d = reft_half(reft_extreme(values, 32) / -8);
    const float d = reft_half_to_float(x[i].d);
    for (int j = 0; j < 16; j++) {
      const int low = reft_code(values[j], d, -8, 7) + 8;
      const int high = reft_code(values[j + 16], d, -8, 7) + 8;
      x[i].qs[j] = (uint8_t)(low | high << 4);
    }
  }
}

void reft_encode_q5_0(const float* values, void* out, size_t count) {
  reft_block_q5_0_t* x = out;
  for (size_t i = 0; i < count / 32; i++, values += 32) {
    x[i].d = reft_half(reft_extreme(values, 32) / -16);
    const float d = reft_half_to_float(x[i].d);
    memset(x[i].qh, 0, 4);
    memset(x[i].qs, 0, 16);
    for (int j = 0; j < 32; j++) {
      const int q = reft_code(values[j], d, -16, 15) + 16;
      x[i].qs[j % 16] |= (uint8_t)((q & 15) << (j / 16 * 4));
      x[i].qh[j / 8] |= (uint8_t)(q >> 4 << (j % 8));
    }
  }
}

// The scale and minimum of 32 numbers whose codes go from 0 to `top`.
static void range_of(const float* x, int top, reft_half_t* d, reft_half_t* m) {
  float low = x[0], high = x[0];
  for (int j = 1; j < 32; j++) {
    low = fminf(low, x[j]);
    high = fmaxf(high, x[j]);
  }
  *m = reft_half(low);
  *d = reft_half((high - reft_half_to_float(*m)) / (float)top);
}

void reft_encode_q4_1(const float* values, void* out, size_t count) {
  reft_block_q4_1_t* x = out;
  for (size_t i = 0; i < count / 32; i++, values += 32) {
    range_of(values, 15, &x[i].d, &x[i].m);
    const float d = reft_half_to_float(x[i].d), m = reft_half_to_float(x[i].m);
    for (int j = 0; j < 16; j++) {
      const int low = reft_code(values[j] - m, d, 0, 15);
      const int high = reft_code(values[j + 16] - m, d, 0, 15);
      x[i].qs[j] = (uint8_t)(low | high << 4);
    }
  }
}

void reft_encode_q5_1(const float* values, void* out, size_t count) {
  reft_block_q5_1_t* x = out;
  for (size_t i = 0; i < count / 32; i++, values += 32) {
    range_of(values, 31, &x[i].d, &x[i].m);
    const float d = reft_half_to_float(x[i].d), m = reft_half_to_float(x[i].m);
    memset(x[i].qh, 0, 4);
    memset(x[i].qs, 0, 16);
    for (int j = 0; j < 32; j++) {
      const int q = reft_code(values[j] - m, d, 0, 31);
      x[i].qs[j % 16] |= (uint8_t)((q & 15) << (j / 16 * 4));
      x[i].qh[j / 8] |= (uint8_t)(q >> 4 << (j % 8));
    }
  }
}
