/* SPDX-License-Identifier: Apache-2.0
 * Half precision by arithmetic: the specification of the processors' conversions. */
#ifndef REFT_HALF_H
#define REFT_HALF_H
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float reft_float_of_half(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  uint32_t exponent = (half >> 10) & 31, mantissa = half & 1023;
  float value;
  if (exponent == 0) {
    value = ldexpf((float)mantissa, -24);
  } else if (exponent == 31) {
    value = mantissa ? NAN : INFINITY;
  } else {
    value = ldexpf((float)(mantissa | 1024), (int)exponent - 25);
  }
  return sign ? -value : value;
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
