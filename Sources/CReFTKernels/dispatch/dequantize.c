// SPDX-License-Identifier: Apache-2.0
// Which dequantise kernel runs: the reference, or what the processor offers.

#include "reft_dequantize.h"
#include "reft_kernels.h"

#if defined(__x86_64__)
#define BEST(type) \
  (reft_kernels_use_avx2() ? reft_dequantize_##type##_avx2 : reft_dequantize_##type##_ref)
#else
#define BEST(type) reft_dequantize_##type##_ref
#endif

#define DISPATCH(type, number)                                                                  \
  void reft_dequantize_##type(const void* restrict source, float* restrict out, size_t count) { \
    BEST(type)(source, out, count);                                                             \
  }
REFT_DEQUANTIZE_EACH(DISPATCH)

reft_dequantize_fn reft_dequantize_kernel(uint32_t type) {
  switch (type) {
#define CASE(name, number) \
  case number:             \
    return BEST(name);
    REFT_DEQUANTIZE_EACH(CASE)
    default:
      return 0;
  }
}
