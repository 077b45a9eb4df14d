/* SPDX-License-Identifier: Apache-2.0
 * Half precision by arithmetic: the specification of the processors' conversions. */
#ifndef REFT_HALF_H
#define REFT_HALF_H
#include <math.h>
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
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  float magnitude = fabsf(value);
  if (isnan(value)) return sign | 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < ldexpf(1, -14)) return sign | (uint16_t)nearbyintf(ldexpf(magnitude, 24));
  int exponent;
  float fraction = frexpf(magnitude, &exponent);
  uint32_t mantissa = (uint32_t)nearbyintf(ldexpf(fraction, 11));
  return sign | (uint16_t)(((uint32_t)(exponent + 14) << 10) + mantissa - 1024);
}
#endif
