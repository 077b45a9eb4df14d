// SPDX-License-Identifier: Apache-2.0
// Rows of activations rounded to int8 digits, or to words of two, with AVX2.
#if defined(__x86_64__)
#include <immintrin.h>

#include "reft_decode.h"
#include "x86_kernels.h"

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define UNROLL _Pragma("clang loop unroll(full)")
#define ANY TARGET static inline __attribute__((always_inline))

// Stores 32 integers of eight bits each as bytes, in order.
TARGET static inline void store_bytes(int8_t* out, const __m256i* v) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  __m256i bytes =
      _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
  _mm256_storeu_si256((__m256i*)out, _mm256_permutevar8x32_epi32(bytes, order));
}

// Stores 32 integers of 16 bits each as words; of four, 0 and 2 before 1 and 3.
TARGET static inline void store_words(int8_t* out, const __m256i* v) {
  UNROLL for (int u = 0; u < 2; u++) {
    __m256i words = _mm256_packs_epi32(v[2 * u], v[2 * u + 1]);
    words = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(words, 0xd8), 0xd8);
    _mm256_storeu_si256((__m256i*)(out + 32 * u), _mm256_permute4x64_epi64(words, 0xd8));
  }
}

// Codes of one byte as words.
TARGET void reft_widen_codes_avx2(const int8_t* q, size_t count, int8_t* out) {
  for (; count > 0; count -= REFT_DECODE_BLOCK, q += REFT_DECODE_BLOCK, out += 64) {
    UNROLL for (int u = 0; u < 2; u++) {
      __m256i words = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)(q + 16 * u)));
      words = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(words, 0xd8), 0xd8);
      _mm256_storeu_si256((__m256i*)(out + 32 * u), words);
    }
  }
}

TARGET static inline int32_t sum_of(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

/* One block. Codes have one byte, and two digits lie in two planes; or they have two, and hold both
 * digits. */
ANY void quantize_block(const float* x, size_t digits, size_t code_bytes, size_t columns, int8_t* q,
                        float* scale, float* sum, int32_t* counts) {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  __m256 v[4], m = _mm256_setzero_ps(), rest = _mm256_setzero_ps();
  UNROLL for (int u = 0; u < 4; u++) {
    v[u] = _mm256_loadu_ps(x + 8 * u);
    m = _mm256_max_ps(m, _mm256_and_ps(v[u], magnitude));
    // Zero when every number is finite: x - x is NaN for infinities and NaN.
    rest = _mm256_add_ps(rest, _mm256_sub_ps(v[u], v[u]));
  }
  __m128 h = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
  h = _mm_max_ps(h, _mm_movehl_ps(h, h));
  float largest = _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
  int is_finite = !_mm256_movemask_ps(_mm256_cmp_ps(rest, rest, _CMP_UNORD_Q));
  float levels = digits == 2 ? REFT_DECODE_LEVELS2 : REFT_DECODE_LEVELS1;
  float inverse = is_finite && largest > REFT_DECODE_SMALLEST ? levels / largest : 0;
  __m256 f = _mm256_set1_ps(inverse);
  __m256i codes[4], high[4];
  UNROLL for (int u = 0; u < 4; u++) {
    // NaN times zero would become the smallest integer.
    codes[u] = is_finite ? _mm256_cvtps_epi32(_mm256_mul_ps(v[u], f)) : _mm256_setzero_si256();
  }
  counts[0] = sum_of(_mm256_add_epi32(codes[0], codes[1]));
  counts[1] = sum_of(_mm256_add_epi32(codes[2], codes[3]));
  *scale = is_finite ? largest / levels : __builtin_nanf("");
  *sum = *scale * (float)(counts[0] + counts[1]);
  if (digits == 1) {
    store_bytes(q, codes);
    return;
  }
  if (code_bytes == 2) {
    store_words(q, codes);
    return;
  }
  UNROLL for (int u = 0; u < 4; u++) {
    __m256 part = _mm256_mul_ps(_mm256_cvtepi32_ps(codes[u]), _mm256_set1_ps(1 / 255.0f));
    high[u] = _mm256_cvtps_epi32(part);
    codes[u] = _mm256_sub_epi32(_mm256_add_epi32(codes[u], high[u]), _mm256_slli_epi32(high[u], 8));
  }
  store_bytes(q, high);
  store_bytes(q + columns, codes);
}

TARGET void reft_quantize_rows_avx2(const float* x, size_t stride, const reft_activations_t* out,
                                    size_t first, size_t count) {
  size_t blocks = out->columns / REFT_DECODE_BLOCK, code_bytes = out->code_bytes;
  for (size_t at = first * blocks; at < (first + count) * blocks; at++) {
    size_t i = at / blocks, column = at % blocks * REFT_DECODE_BLOCK;
    int8_t* q = out->q + i * out->digits * out->columns + column * code_bytes;
    quantize_block(x + i * stride + column, out->digits, code_bytes, out->columns, q,
                   out->scale + at, out->sum + at, out->counts + 2 * at);
  }
}
#endif
