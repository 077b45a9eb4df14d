// SPDX-License-Identifier: Apache-2.0
// Steps that the AVX2 dequantise kernels share: codes of one byte each become float32.
// Private to them.

#ifndef REFT_DEQUANTIZE_AVX2_H
#define REFT_DEQUANTIZE_AVX2_H

#if defined(__x86_64__)

#include <immintrin.h>

#include "../ref/dequantize_blocks.h"
#include "reft_dequantize.h"

#define REFT_AVX2 __attribute__((target("avx2,fma,f16c")))
// Steps must melt into their kernel also where the compiler is told not to optimise.
#define REFT_AVX2_STEP static inline __attribute__((target("avx2,fma,f16c"), always_inline))

REFT_AVX2_STEP float reft_half_avx2(const reft_half_t* half) {
  uint16_t bits;
  memcpy(&bits, half, 2);
  return _cvtsh_ss(bits);
}

// Eight signed codes, the low bytes of `codes`, as float32.
REFT_AVX2_STEP __m256 reft_codes8(__m128i codes) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes));
}

// out[0…15] = codes × scale.  A product and not a fused sum, so that -0 stays what it is in ref/.
REFT_AVX2_STEP void reft_put16(float* out, __m128i codes, __m256 scale) {
  _mm256_storeu_ps(out, _mm256_mul_ps(reft_codes8(codes), scale));
  _mm256_storeu_ps(out + 8, _mm256_mul_ps(reft_codes8(_mm_unpackhi_epi64(codes, codes)), scale));
}

// out[0…15] = codes × scale + offset.
REFT_AVX2_STEP void reft_put16_offset(float* out, __m128i codes, __m256 scale, __m256 offset) {
  const __m128i high = _mm_unpackhi_epi64(codes, codes);
  _mm256_storeu_ps(out, _mm256_fmadd_ps(reft_codes8(codes), scale, offset));
  _mm256_storeu_ps(out + 8, _mm256_fmadd_ps(reft_codes8(high), scale, offset));
}

REFT_AVX2_STEP void reft_put32(float* out, __m256i codes, __m256 scale) {
  reft_put16(out, _mm256_castsi256_si128(codes), scale);
  reft_put16(out + 16, _mm256_extracti128_si256(codes, 1), scale);
}

REFT_AVX2_STEP void reft_put32_offset(float* out, __m256i codes, __m256 scale, __m256 offset) {
  reft_put16_offset(out, _mm256_castsi256_si128(codes), scale, offset);
  reft_put16_offset(out + 16, _mm256_extracti128_si256(codes, 1), scale, offset);
}

// Sixteen bytes as 32 nibbles: all low ones, then all high ones.
REFT_AVX2_STEP __m256i reft_nibbles(const uint8_t* qs) {
  const __m128i bytes = _mm_loadu_si128((const __m128i*)qs);
  const __m256i both = _mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes);
  return _mm256_and_si256(both, _mm256_set1_epi8(0xf));
}

// 16 in the bytes whose bit of `qh` is set, else 0.
REFT_AVX2_STEP __m256i reft_fifth_bits(const uint8_t* qh) {
  uint32_t bits;
  memcpy(&bits, qh, 4);
  // Byte j of the result looks at byte j / 8 of the bits, and there at bit j % 8.
  const __m256i spread =
      _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0);
  const __m256i select = _mm256_set1_epi64x((long long)0x8040201008040201);
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), spread);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, select), select);
  return _mm256_and_si256(set, _mm256_set1_epi8(16));
}

// Adds 16 to the codes whose bit `s` of `qh` is set.
REFT_AVX2_STEP __m256i reft_with_fifth_bit(__m256i codes, __m256i qh, int s) {
  const __m256i select = _mm256_set1_epi8((char)(1 << s));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(qh, select), select);
  return _mm256_or_si256(codes, _mm256_and_si256(set, _mm256_set1_epi8(16)));
}

// The sixteen levels of the IQ4 types, twice, for a shuffle of bytes.
REFT_AVX2_STEP __m256i reft_iq4_table(void) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)reft_iq4_levels));
}

#endif
#endif
