/* SPDX-License-Identifier: Apache-2.0
 * Half precision by arithmetic: the specification of the processors' conversions. */
#ifndef REFT_HALF_H
#define REFT_HALF_H
#include <stdint.h>
#include <string.h>

/* Exact for every input; a signalling NaN becomes quiet, as the processor's conversion does it. */
static inline float reft_float_of_half(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  const uint32_t exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
  uint32_t result;
  if (exponent == 0x1f) {
    result = sign | 0x7f800000 | fraction << 13 | (fraction ? 0x00400000 : 0);
  } else if (exponent != 0) {
    result = sign | (exponent + 112) << 23 | fraction << 13;
  } else {
    /* Zero or subnormal: fraction times 2^-24, which float32 holds exactly. */
    const float magnitude = (float)fraction * 0x1p-24f;
    memcpy(&result, &magnitude, 4);
    result |= sign;
  }
  float value;
  memcpy(&value, &result, 4);
  return value;
}

/* Rounds to nearest, ties to even; too large becomes infinite. */
static inline uint16_t reft_half_of_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) return sign | 0x7e00;
  /* From 65520 on. */
  if (bits >= 0x477ff000) return sign | 0x7c00;
  if (bits < 0x38800000) {
    /* Below 2^-14: a sum with 1/2, whose last bit counts 2^-24, rounds as a subnormal half does. */
    float sum;
    memcpy(&sum, &bits, 4);
    sum += 0.5f;
    memcpy(&bits, &sum, 4);
    return sign | (uint16_t)(bits - 0x3f000000);
  }
  bits += 0xfff + (bits >> 13 & 1);
  return sign | (uint16_t)((bits - 0x38000000) >> 13);
}
#endif
