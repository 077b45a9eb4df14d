// SPDX-License-Identifier: Apache-2.0
// AVX2 kernels for numbers without blocks: float32, half precision, bfloat16.

#include "dequantize_avx2.h"

#if defined(__x86_64__)

REFT_AVX2 void reft_dequantize_f32_avx2(const void* restrict source, float* restrict out,
                                        size_t count) {
  if (count) memcpy(out, source, count * sizeof(float));
}

REFT_AVX2 void reft_dequantize_f16_avx2(const void* restrict source, float* restrict out,
                                        size_t count) {
  const reft_half_t* x = source;
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(x + i))));
  }
  for (; i < count; i++) out[i] = reft_half_avx2(x + i);
}

REFT_AVX2 void reft_dequantize_bf16_avx2(const void* restrict source, float* restrict out,
                                         size_t count) {
  const uint8_t* x = source;
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i halves = _mm_loadu_si128((const __m128i*)(x + 2 * i));
    const __m256i bits = _mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16);
    _mm256_storeu_ps(out + i, _mm256_castsi256_ps(bits));
  }
  reft_dequantize_bf16_ref(x + 2 * i, out + i, count - i);
}

#endif
