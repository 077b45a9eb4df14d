// SPDX-License-Identifier: Apache-2.0
// AVX2 kernels for blocks of 256 with sub-blocks of 32: Q4_K, Q5_K, IQ4_XS.

#include "dequantize_avx2.h"

#if defined(__x86_64__)

// The eight scales and the eight negated minima of a Q4_K or Q5_K block.
REFT_AVX2_STEP void k4_scales(const uint8_t* packed, const reft_half_t* d, const reft_half_t* dmin,
                              float* scales, float* offsets) {
  // Twelve bytes of 6-bit numbers, four at a time: see reft_k4_scale.
  uint32_t a, b, c;
  memcpy(&a, packed, 4);
  memcpy(&b, packed + 4, 4);
  memcpy(&c, packed + 8, 4);
  const uint64_t low_scales = a & 0x3f3f3f3f;
  const uint64_t low_minima = b & 0x3f3f3f3f;
  const uint64_t high_scales = (c & 0x0f0f0f0f) | (a >> 6 & 0x03030303) << 4;
  const uint64_t high_minima = (c >> 4 & 0x0f0f0f0f) | (b >> 6 & 0x03030303) << 4;
  const __m128i scale_codes = _mm_cvtsi64_si128((long long)(low_scales | high_scales << 32));
  const __m128i minimum_codes = _mm_cvtsi64_si128((long long)(low_minima | high_minima << 32));
  const __m256 scale = _mm256_set1_ps(reft_half_avx2(d));
  const __m256 minimum = _mm256_set1_ps(-reft_half_avx2(dmin));
  _mm256_storeu_ps(scales, _mm256_mul_ps(reft_codes8(scale_codes), scale));
  _mm256_storeu_ps(offsets, _mm256_mul_ps(reft_codes8(minimum_codes), minimum));
}

REFT_AVX2 void reft_dequantize_q4_k_avx2(const void* restrict source, float* restrict out,
                                         size_t count) {
  const reft_block_q4_k_t* x = source;
  const __m256i nibble = _mm256_set1_epi8(0xf);
  for (size_t i = 0; i < count / 256; i++, out += 256) {
    float scales[8], offsets[8];
    k4_scales(x[i].scales, &x[i].d, &x[i].dmin, scales, offsets);
    for (int s = 0; s < 8; s += 2) {
      const __m256i qs = _mm256_loadu_si256((const __m256i*)(x[i].qs + s * 16));
      const __m256i high = _mm256_srli_epi16(qs, 4);
      reft_put32_offset(out + s * 32, _mm256_and_si256(qs, nibble), _mm256_set1_ps(scales[s]),
                        _mm256_set1_ps(offsets[s]));
      reft_put32_offset(out + s * 32 + 32, _mm256_and_si256(high, nibble),
                        _mm256_set1_ps(scales[s + 1]), _mm256_set1_ps(offsets[s + 1]));
    }
  }
}

REFT_AVX2 void reft_dequantize_q5_k_avx2(const void* restrict source, float* restrict out,
                                         size_t count) {
  const reft_block_q5_k_t* x = source;
  const __m256i nibble = _mm256_set1_epi8(0xf);
  for (size_t i = 0; i < count / 256; i++, out += 256) {
    float scales[8], offsets[8];
    k4_scales(x[i].scales, &x[i].d, &x[i].dmin, scales, offsets);
    const __m256i qh = _mm256_loadu_si256((const __m256i*)x[i].qh);
    for (int s = 0; s < 8; s += 2) {
      const __m256i qs = _mm256_loadu_si256((const __m256i*)(x[i].qs + s * 16));
      const __m256i low = _mm256_and_si256(qs, nibble);
      const __m256i high = _mm256_and_si256(_mm256_srli_epi16(qs, 4), nibble);
      reft_put32_offset(out + s * 32, reft_with_fifth_bit(low, qh, s), _mm256_set1_ps(scales[s]),
                        _mm256_set1_ps(offsets[s]));
      reft_put32_offset(out + s * 32 + 32, reft_with_fifth_bit(high, qh, s + 1),
                        _mm256_set1_ps(scales[s + 1]), _mm256_set1_ps(offsets[s + 1]));
    }
  }
}

REFT_AVX2 void reft_dequantize_iq4_xs_avx2(const void* restrict source, float* restrict out,
                                           size_t count) {
  const reft_block_iq4_xs_t* x = source;
  const __m256i levels = reft_iq4_table();
  for (size_t i = 0; i < count / 256; i++, out += 256) {
    const float d = reft_half_avx2(&x[i].d);
    for (int s = 0; s < 8; s++) {
      const __m256 scale = _mm256_set1_ps(d * (float)(reft_iq4_xs_scale(s, x + i) - 32));
      const __m256i codes = _mm256_shuffle_epi8(levels, reft_nibbles(x[i].qs + s * 16));
      reft_put32(out + s * 32, codes, scale);
    }
  }
}

#endif
