// SPDX-License-Identifier: Apache-2.0
// AVX2 kernels for blocks of 256 with sub-blocks of 16: Q2_K, Q3_K, Q6_K.

#include "dequantize_avx2.h"

#if defined(__x86_64__)

// scales[0…15] = codes × d.
REFT_AVX2_STEP void scales16(float* scales, __m128i codes, float d) {
  reft_put16(scales, codes, _mm256_set1_ps(d));
}

// out[0…31] = codes × the scales of two sub-blocks.
REFT_AVX2_STEP void put_two(float* out, __m256i codes, const float* scales) {
  reft_put16(out, _mm256_castsi256_si128(codes), _mm256_set1_ps(scales[0]));
  reft_put16(out + 16, _mm256_extracti128_si256(codes, 1), _mm256_set1_ps(scales[1]));
}

REFT_AVX2 void reft_dequantize_q2_k_avx2(const void* restrict source, float* restrict out,
                                         size_t count) {
  const reft_block_q2_k_t* x = source;
  const __m256i two_bits = _mm256_set1_epi8(3);
  const __m128i nibble = _mm_set1_epi8(0xf);
  for (size_t i = 0; i < count / 256; i++, out += 256) {
    float scales[16], offsets[16];
    const __m128i packed = _mm_loadu_si128((const __m128i*)x[i].scales);
    scales16(scales, _mm_and_si128(packed, nibble), reft_half_avx2(&x[i].d));
    scales16(offsets, _mm_and_si128(_mm_srli_epi16(packed, 4), nibble),
             -reft_half_avx2(&x[i].dmin));
    for (int s = 0; s < 8; s++) {
      const __m256i qs = _mm256_loadu_si256((const __m256i*)(x[i].qs + s / 4 * 32));
      const __m256i shifted = _mm256_srl_epi16(qs, _mm_cvtsi32_si128(s % 4 * 2));
      const __m256i codes = _mm256_and_si256(shifted, two_bits);
      for (int half = 0; half < 2; half++) {
        const __m128i part =
            half ? _mm256_extracti128_si256(codes, 1) : _mm256_castsi256_si128(codes);
        reft_put16_offset(out + s * 32 + half * 16, part, _mm256_set1_ps(scales[s * 2 + half]),
                          _mm256_set1_ps(offsets[s * 2 + half]));
      }
    }
  }
}

REFT_AVX2 void reft_dequantize_q3_k_avx2(const void* restrict source, float* restrict out,
                                         size_t count) {
  const reft_block_q3_k_t* x = source;
  const __m256i two_bits = _mm256_set1_epi8(3);
  const __m256i four = _mm256_set1_epi8(4);
  for (size_t i = 0; i < count / 256; i++, out += 256) {
    uint8_t packed[16];
    float scales[16];
    reft_q3_scales(x[i].scales, packed);
    const __m128i scale_codes =
        _mm_sub_epi8(_mm_loadu_si128((const __m128i*)packed), _mm_set1_epi8(32));
    scales16(scales, scale_codes, reft_half_avx2(&x[i].d));
    const __m256i hmask = _mm256_loadu_si256((const __m256i*)x[i].hmask);
    for (int s = 0; s < 8; s++) {
      const __m256i qs = _mm256_loadu_si256((const __m256i*)(x[i].qs + s / 4 * 32));
      const __m256i shifted = _mm256_srl_epi16(qs, _mm_cvtsi32_si128(s % 4 * 2));
      const __m256i bit = _mm256_and_si256(hmask, _mm256_set1_epi8((char)(1 << s)));
      const __m256i clear = _mm256_cmpeq_epi8(bit, _mm256_setzero_si256());
      const __m256i low = _mm256_and_si256(shifted, two_bits);
      put_two(out + s * 32, _mm256_sub_epi8(low, _mm256_and_si256(clear, four)), scales + s * 2);
    }
  }
}

REFT_AVX2 void reft_dequantize_q6_k_avx2(const void* restrict source, float* restrict out,
                                         size_t count) {
  const reft_block_q6_k_t* x = source;
  const __m256i nibble = _mm256_set1_epi8(0xf);
  const __m256i upper = _mm256_set1_epi8(0x30);
  const __m256i middle = _mm256_set1_epi8(32);
  for (size_t i = 0; i < count / 256; i++, out += 256) {
    float scales[16];
    scales16(scales, _mm_loadu_si128((const __m128i*)x[i].scales), reft_half_avx2(&x[i].d));
    for (int n = 0; n < 2; n++) {
      const __m256i a = _mm256_loadu_si256((const __m256i*)(x[i].ql + n * 64));
      const __m256i b = _mm256_loadu_si256((const __m256i*)(x[i].ql + n * 64 + 32));
      const __m256i high = _mm256_loadu_si256((const __m256i*)(x[i].qh + n * 32));
      const __m256i low[4] = {a, b, _mm256_srli_epi16(a, 4), _mm256_srli_epi16(b, 4)};
      // The two upper bits of each code, moved to where they belong.
      const __m256i moved[4] = {_mm256_slli_epi16(high, 4), _mm256_slli_epi16(high, 2), high,
                                _mm256_srli_epi16(high, 2)};
      for (int quarter = 0; quarter < 4; quarter++) {
        const __m256i codes = _mm256_or_si256(_mm256_and_si256(low[quarter], nibble),
                                              _mm256_and_si256(moved[quarter], upper));
        put_two(out + n * 128 + quarter * 32, _mm256_sub_epi8(codes, middle),
                scales + n * 8 + quarter * 2);
      }
    }
  }
}

#endif
