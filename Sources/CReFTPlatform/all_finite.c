// SPDX-License-Identifier: Apache-2.0
// Whether numbers are finite, at the speed of memory.
#include <string.h>

#include "reft_system.h"

#if defined(__x86_64__)
__attribute__((target_clones("arch=x86-64-v3", "default")))
#endif
int reft_system_all_finite(const float* values, int64_t n) {
  // Infinities and NaNs are the numbers whose exponent is all ones.
  uint32_t found = 0;
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, values + i, 4);
    found |= (bits & 0x7F800000u) == 0x7F800000u;
  }
  return !found;
}
