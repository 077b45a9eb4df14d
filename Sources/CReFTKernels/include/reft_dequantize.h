// SPDX-License-Identifier: Apache-2.0
// Expansion of GGUF tensor data to float32.  Block layouts are those of ggml's quantised types.

#ifndef REFT_DEQUANTIZE_H
#define REFT_DEQUANTIZE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Expands `count` elements from `source` to `out`.  `count` is a multiple of the type's block size;
// `source` and `out` need no alignment, and do not overlap.  A kernel checks nothing.
typedef void (*reft_dequantize_fn)(const void* source, float* out, size_t count);

// The best kernel of this machine for a type number of the GGUF file format, or NULL for a type
// without one.  REFT_KERNELS=ref in the environment makes it the reference kernel.
reft_dequantize_fn reft_dequantize_kernel(uint32_t type);

// For each type: the best kernel of this machine, the plain loops that specify it, and, on x86-64,
// the version for processors with AVX2, FMA and F16C (its results are equal bit for bit).
#if defined(__x86_64__)
#define REFT_DEQUANTIZE_DECLARE(type)                                                          \
  void reft_dequantize_##type(const void* restrict source, float* restrict out, size_t count); \
  void reft_dequantize_##type##_ref(const void* restrict source, float* restrict out,          \
                                    size_t count);                                             \
  void reft_dequantize_##type##_avx2(const void* restrict source, float* restrict out,         \
                                     size_t count);
#else
#define REFT_DEQUANTIZE_DECLARE(type)                                                          \
  void reft_dequantize_##type(const void* restrict source, float* restrict out, size_t count); \
  void reft_dequantize_##type##_ref(const void* restrict source, float* restrict out, size_t count);
#endif

// Calls `apply(name, type number of the file format)` for every type that has kernels.
#define REFT_DEQUANTIZE_EACH(apply)                                                       \
  apply(f32, 0) apply(f16, 1) apply(q4_0, 2) apply(q4_1, 3) apply(q5_0, 6) apply(q5_1, 7) \
      apply(q8_0, 8) apply(q2_k, 10) apply(q3_k, 11) apply(q4_k, 12) apply(q5_k, 13)      \
          apply(q6_k, 14) apply(iq4_nl, 20) apply(iq4_xs, 23) apply(bf16, 30)

#ifdef __cplusplus
#define restrict
#endif
#define REFT_DEQUANTIZE_DECLARE_EACH(type, number) REFT_DEQUANTIZE_DECLARE(type)
REFT_DEQUANTIZE_EACH(REFT_DEQUANTIZE_DECLARE_EACH)
#undef REFT_DEQUANTIZE_DECLARE_EACH
#ifdef __cplusplus
#undef restrict
#endif

#ifdef __cplusplus
}
#endif

#endif
