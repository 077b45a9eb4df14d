// SPDX-License-Identifier: Apache-2.0
// AVX2 kernels for blocks of 32: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL.

#include "dequantize_avx2.h"

#if defined(__x86_64__)

REFT_AVX2 void reft_dequantize_q4_0_avx2(const void* restrict source, float* restrict out,
                                         size_t count) {
  const reft_block_q4_0_t* x = source;
  const __m256i middle = _mm256_set1_epi8(8);
  for (size_t i = 0; i < count / 32; i++, out += 32) {
    const __m256 d = _mm256_set1_ps(reft_half_avx2(&x[i].d));
    reft_put32(out, _mm256_sub_epi8(reft_nibbles(x[i].qs), middle), d);
  }
}

REFT_AVX2 void reft_dequantize_q4_1_avx2(const void* restrict source, float* restrict out,
                                         size_t count) {
  const reft_block_q4_1_t* x = source;
  for (size_t i = 0; i < count / 32; i++, out += 32) {
    const __m256 d = _mm256_set1_ps(reft_half_avx2(&x[i].d));
    const __m256 m = _mm256_set1_ps(reft_half_avx2(&x[i].m));
    reft_put32_offset(out, reft_nibbles(x[i].qs), d, m);
  }
}

REFT_AVX2 void reft_dequantize_q5_0_avx2(const void* restrict source, float* restrict out,
                                         size_t count) {
  const reft_block_q5_0_t* x = source;
  const __m256i middle = _mm256_set1_epi8(16);
  for (size_t i = 0; i < count / 32; i++, out += 32) {
    const __m256 d = _mm256_set1_ps(reft_half_avx2(&x[i].d));
    const __m256i codes = _mm256_or_si256(reft_nibbles(x[i].qs), reft_fifth_bits(x[i].qh));
    reft_put32(out, _mm256_sub_epi8(codes, middle), d);
  }
}

REFT_AVX2 void reft_dequantize_q5_1_avx2(const void* restrict source, float* restrict out,
                                         size_t count) {
  const reft_block_q5_1_t* x = source;
  for (size_t i = 0; i < count / 32; i++, out += 32) {
    const __m256 d = _mm256_set1_ps(reft_half_avx2(&x[i].d));
    const __m256 m = _mm256_set1_ps(reft_half_avx2(&x[i].m));
    const __m256i codes = _mm256_or_si256(reft_nibbles(x[i].qs), reft_fifth_bits(x[i].qh));
    reft_put32_offset(out, codes, d, m);
  }
}

REFT_AVX2 void reft_dequantize_q8_0_avx2(const void* restrict source, float* restrict out,
                                         size_t count) {
  const reft_block_q8_0_t* x = source;
  for (size_t i = 0; i < count / 32; i++, out += 32) {
    const __m256 d = _mm256_set1_ps(reft_half_avx2(&x[i].d));
    for (int j = 0; j < 32; j += 8) {
      const __m128i codes = _mm_loadl_epi64((const __m128i*)(x[i].qs + j));
      _mm256_storeu_ps(out + j, _mm256_mul_ps(reft_codes8(codes), d));
    }
  }
}

REFT_AVX2 void reft_dequantize_iq4_nl_avx2(const void* restrict source, float* restrict out,
                                           size_t count) {
  const reft_block_iq4_nl_t* x = source;
  const __m256i levels = reft_iq4_table();
  for (size_t i = 0; i < count / 32; i++, out += 32) {
    const __m256 d = _mm256_set1_ps(reft_half_avx2(&x[i].d));
    reft_put32(out, _mm256_shuffle_epi8(levels, reft_nibbles(x[i].qs)), d);
  }
}

#endif
