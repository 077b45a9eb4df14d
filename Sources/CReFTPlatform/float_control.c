// SPDX-License-Identifier: Apache-2.0
// The floating-point control words. A library linked with -Ofast by gcc before 13 sets
// flush-to-zero in the thread that loads it; later threads inherit it.
#include "reft_system.h"

#if defined(__x86_64__)
#include <xmmintrin.h>

#define SIMD_CONTROL 0xFFC0u /* rounding, exception masks, flush-to-zero, denormals-are-zero */
#define SIMD_FLUSHES 0x8040u

uint64_t reft_system_fp_control(void) {
  uint16_t x87;
  __asm__ volatile("fnstcw %0" : "=m"(x87));
  return (uint64_t)x87 << 32 | (_mm_getcsr() & SIMD_CONTROL);
}

void reft_system_set_fp_control(uint64_t control) {
  uint16_t x87 = (uint16_t)(control >> 32);
  __asm__ volatile("fldcw %0" : : "m"(x87));
  _mm_setcsr((_mm_getcsr() & ~SIMD_CONTROL) | ((uint32_t)control & SIMD_CONTROL));
}

int reft_system_fp_flushes(uint64_t control) {
  return (control & SIMD_FLUSHES) != 0;
}

#elif defined(__aarch64__)
uint64_t reft_system_fp_control(void) {
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  return control;
}

void reft_system_set_fp_control(uint64_t control) {
  __asm__ volatile("msr fpcr, %0" : : "r"(control));
}

int reft_system_fp_flushes(uint64_t control) {
  return (control >> 24 & 1) != 0;
}
#else
#error "reft knows the floating-point control word of x86-64 and arm64 only"
#endif
