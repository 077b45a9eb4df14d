// SPDX-License-Identifier: Apache-2.0
// Which dequantise kernel runs: a table that starts from the reference.

#include "reft_dequantize.h"

#define DISPATCH(type, number)                                                                    \
    void reft_dequantize_##type(const void *restrict source, float *restrict out, size_t count) { \
        reft_dequantize_##type##_ref(source, out, count);                                         \
    }
REFT_DEQUANTIZE_EACH(DISPATCH)

reft_dequantize_fn reft_dequantize_kernel(uint32_t type) {
    switch (type) {
#define CASE(name, number)                                                                        \
    case number:                                                                                  \
        return reft_dequantize_##name;
        REFT_DEQUANTIZE_EACH(CASE)
        default:
            return 0;
    }
}
