// SPDX-License-Identifier: Apache-2.0
// Eight interleaved rows times int8 activations with AVX2, and the quantisation of activations.
#if defined(__x86_64__)
#include <immintrin.h>

#include "reft_decode.h"
#include "x86_kernels.h"

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define NAME(x) x##_avx2

// A nibble times an int8 and its neighbour stay within 3,810, so eight such sums fit 16 bits.
#define NIBBLE_DOTS(COUNT, Q, A, COLUMNS, DOTS)                                          \
  {                                                                                      \
    __m256i sums[COUNT];                                                                 \
    for (int i = 0; i < COUNT; i++) sums[i] = _mm256_setzero_si256();                    \
    const __m256i low = _mm256_set1_epi8(15);                                            \
    for (int c = 0; c < 4; c++) {                                                        \
      __m256i v = _mm256_loadu_si256((const __m256i*)((Q) + c * 32));                    \
      __m256i first = _mm256_and_si256(v, low);                                          \
      __m256i second = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);                   \
      for (int i = 0; i < COUNT; i++) {                                                  \
        const int8_t* a = (A) + i * (COLUMNS) + 4 * c;                                   \
        sums[i] = _mm256_add_epi16(sums[i], _mm256_maddubs_epi16(first, four(a)));       \
        sums[i] = _mm256_add_epi16(sums[i], _mm256_maddubs_epi16(second, four(a + 16))); \
      }                                                                                  \
    }                                                                                    \
    for (int i = 0; i < COUNT; i++) {                                                    \
      DOTS[i] = _mm256_madd_epi16(sums[i], _mm256_set1_epi16(1));                        \
    }                                                                                    \
  }

// |w| times a with w's sign: pairs stay within 32,258.
#define BYTE_DOTS(Q, A, SUM, OUT)                                                  \
  {                                                                                \
    (void)(SUM);                                                                   \
    OUT = _mm256_setzero_si256();                                                  \
    for (int c = 0; c < 4; c++) {                                                  \
      __m256i w = _mm256_loadu_si256((const __m256i*)((Q) + c * 32));              \
      __m256i signed_a = _mm256_sign_epi8(four((A) + 4 * c), w);                   \
      __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), signed_a);          \
      OUT = _mm256_add_epi32(OUT, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))); \
    }                                                                              \
  }

#include "rows8_template.h"

TARGET void reft_quantize_rows_avx2(const float* x, size_t stride, const reft_activations_t* out) {
  size_t blocks = out->columns / REFT_DECODE_BLOCK;
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  for (size_t i = 0; i < out->n; i++) {
    for (size_t b = 0; b < blocks; b++) {
      const float* v = x + i * stride + b * REFT_DECODE_BLOCK;
      __m256 v0 = _mm256_loadu_ps(v), v1 = _mm256_loadu_ps(v + 8);
      __m256 v2 = _mm256_loadu_ps(v + 16), v3 = _mm256_loadu_ps(v + 24);
      __m256 m =
          _mm256_max_ps(_mm256_max_ps(_mm256_and_ps(v0, magnitude), _mm256_and_ps(v1, magnitude)),
                        _mm256_max_ps(_mm256_and_ps(v2, magnitude), _mm256_and_ps(v3, magnitude)));
      __m128 h = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
      h = _mm_max_ps(h, _mm_movehl_ps(h, h));
      float largest = _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
      // Zero when every number is finite: x - x is NaN for infinities and NaN.
      __m256 rest = _mm256_add_ps(_mm256_add_ps(_mm256_sub_ps(v0, v0), _mm256_sub_ps(v1, v1)),
                                  _mm256_add_ps(_mm256_sub_ps(v2, v2), _mm256_sub_ps(v3, v3)));
      int is_finite = !_mm256_movemask_ps(_mm256_cmp_ps(rest, rest, _CMP_UNORD_Q));
      float scale = is_finite ? largest / 127 : __builtin_nanf("");
      float inverse = is_finite && largest > REFT_DECODE_SMALLEST ? 127 / largest : 0;
      __m256 f = _mm256_set1_ps(inverse);
      __m256i i0 = _mm256_cvtps_epi32(_mm256_mul_ps(v0, f));
      __m256i i1 = _mm256_cvtps_epi32(_mm256_mul_ps(v1, f));
      __m256i i2 = _mm256_cvtps_epi32(_mm256_mul_ps(v2, f));
      __m256i i3 = _mm256_cvtps_epi32(_mm256_mul_ps(v3, f));
      int32_t lanes[16];
      _mm256_storeu_si256((__m256i*)lanes, _mm256_add_epi32(i0, i1));
      _mm256_storeu_si256((__m256i*)(lanes + 8), _mm256_add_epi32(i2, i3));
      int32_t first = 0, second = 0;
      for (int j = 0; j < 8; j++) {
        first += lanes[j];
        second += lanes[8 + j];
      }
      __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(i0, i1), _mm256_packs_epi32(i2, i3));
      _mm256_storeu_si256((__m256i*)(out->q + i * out->columns + b * REFT_DECODE_BLOCK),
                          _mm256_permutevar8x32_epi32(bytes, order));
      out->scale[i * blocks + b] = scale;
      out->sum[i * blocks + b] = scale * (float)(first + second);
      out->counts[2 * (i * blocks + b)] = first;
      out->counts[2 * (i * blocks + b) + 1] = second;
    }
  }
}
#endif
