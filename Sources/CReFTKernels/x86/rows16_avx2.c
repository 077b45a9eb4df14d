// SPDX-License-Identifier: Apache-2.0
// Sixteen interleaved rows times int8 activations with AVX2, and the quantisation of activations.
#if defined(__x86_64__)
#include <immintrin.h>

#include "reft_decode.h"
#include "x86_kernels.h"

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define NAME(x) x##_avx2

#define LANES 8
#define FLOATS __m256
#define INTS __m256i
#define FZERO _mm256_setzero_ps
#define FSET _mm256_set1_ps
#define FMUL _mm256_mul_ps
#define FMA _mm256_fmadd_ps
#define FSTORE _mm256_storeu_ps
#define FLOATS_OF _mm256_cvtepi32_ps
#define ISET _mm256_set1_epi32
#define IADD _mm256_add_epi32
#define ISUB _mm256_sub_epi32
#define ISHIFT _mm256_slli_epi32
#define LOAD_HALVES(p) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(p)))
// Rows of activations, times digits, whose sums share a load of weights.
#define MOST_ROWS 8
// A group fills two registers, and that is all that there are.
#define GROUPS 1

// A nibble times an int8 and its neighbour stay within 3,840, so eight such sums fit 16 bits.
#define NIBBLE_DOTS(N, COUNT, Q, A, COLUMNS, DOTS)                                 \
  {                                                                                \
    const __m256i low = _mm256_set1_epi8(15);                                      \
    __m256i s[PARTS][16];                                                          \
    UNROLL for (int p = 0; p < N; p++) UNROLL for (int i = 0; i < COUNT; i++) {    \
      s[p][i] = _mm256_setzero_si256();                                            \
    }                                                                              \
    UNROLL for (int c = 0; c < 4; c++) {                                           \
      __m256i first[PARTS], second[PARTS];                                         \
      UNROLL for (int p = 0; p < N; p++) {                                         \
        __m256i v = _mm256_loadu_si256((const __m256i*)((Q) + c * 64 + p * step)); \
        first[p] = _mm256_and_si256(v, low);                                       \
        second[p] = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);                \
      }                                                                            \
      UNROLL for (int i = 0; i < COUNT; i++) {                                     \
        const int8_t* at = (A) + (size_t)i * (COLUMNS) + 4 * c;                    \
        __m256i a = four(at), b = four(at + 16);                                   \
        UNROLL for (int p = 0; p < N; p++) {                                       \
          s[p][i] = _mm256_add_epi16(s[p][i], _mm256_maddubs_epi16(first[p], a));  \
          s[p][i] = _mm256_add_epi16(s[p][i], _mm256_maddubs_epi16(second[p], b)); \
        }                                                                          \
      }                                                                            \
    }                                                                              \
    UNROLL for (int p = 0; p < N; p++) UNROLL for (int i = 0; i < COUNT; i++) {    \
      DOTS[p][i] = _mm256_madd_epi16(s[p][i], _mm256_set1_epi16(1));               \
    }                                                                              \
  }

// The sums of the low nibbles and those of the high ones, which are the halves of a block.
#define PAIR_DOTS(N, COUNT, Q, A, COLUMNS, FIRST, SECOND)                                       \
  {                                                                                             \
    const __m256i low = _mm256_set1_epi8(15), one = _mm256_set1_epi16(1);                       \
    UNROLL for (int p = 0; p < N; p++) UNROLL for (int i = 0; i < COUNT; i++) {                 \
      FIRST[p][i] = SECOND[p][i] = _mm256_setzero_si256();                                      \
    }                                                                                           \
    UNROLL for (int c = 0; c < 4; c++) UNROLL for (int p = 0; p < N; p++) {                     \
      __m256i v = _mm256_loadu_si256((const __m256i*)((Q) + c * 64 + p * step));                \
      __m256i v0 = _mm256_and_si256(v, low);                                                    \
      __m256i v1 = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);                              \
      UNROLL for (int i = 0; i < COUNT; i++) {                                                  \
        const int8_t* at = (A) + (size_t)i * (COLUMNS) + 4 * c;                                 \
        FIRST[p][i] = _mm256_add_epi16(FIRST[p][i], _mm256_maddubs_epi16(v0, four(at)));        \
        SECOND[p][i] = _mm256_add_epi16(SECOND[p][i], _mm256_maddubs_epi16(v1, four(at + 16))); \
      }                                                                                         \
    }                                                                                           \
    UNROLL for (int p = 0; p < N; p++) UNROLL for (int i = 0; i < COUNT; i++) {                 \
      FIRST[p][i] = _mm256_madd_epi16(FIRST[p][i], one);                                        \
      SECOND[p][i] = _mm256_madd_epi16(SECOND[p][i], one);                                      \
    }                                                                                           \
  }

// |w| times a with w's sign: pairs stay within 32,512.
#define BYTE_DOTS(WORDS, N, COUNT, Q, A, COLUMNS, DOTS)                            \
  {                                                                                \
    UNROLL for (int p = 0; p < N; p++) UNROLL for (int i = 0; i < COUNT; i++) {    \
      DOTS[p][i] = _mm256_setzero_si256();                                         \
    }                                                                              \
    UNROLL for (int c = 0; c < WORDS; c++) {                                       \
      UNROLL for (int p = 0; p < N; p++) {                                         \
        __m256i w = _mm256_loadu_si256((const __m256i*)((Q) + c * 64 + p * step)); \
        __m256i size = _mm256_abs_epi8(w);                                         \
        UNROLL for (int i = 0; i < COUNT; i++) {                                   \
          __m256i a = four((A) + (size_t)i * (COLUMNS) + 4 * c);                   \
          __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(a, w));      \
          __m256i sums = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));           \
          DOTS[p][i] = _mm256_add_epi32(DOTS[p][i], sums);                         \
        }                                                                          \
      }                                                                            \
    }                                                                              \
  }

TARGET static inline __m256i whole(__m256i dots, int32_t sum) {
  (void)sum;
  return dots;
}

#include "rows16_template.h"

// Stores 32 integers of eight bits each as bytes, in order.
TARGET static inline void store_bytes(int8_t* out, const __m256i* v) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  __m256i bytes =
      _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
  _mm256_storeu_si256((__m256i*)out, _mm256_permutevar8x32_epi32(bytes, order));
}

TARGET static inline int32_t sum_of(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

TARGET static void quantize_block(const float* x, size_t digits, size_t columns, int8_t* q,
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
  size_t blocks = out->columns / REFT_DECODE_BLOCK;
  for (size_t at = first * blocks; at < (first + count) * blocks; at++) {
    size_t i = at / blocks, column = at % blocks * REFT_DECODE_BLOCK;
    quantize_block(x + i * stride + column, out->digits, out->columns,
                   out->q + i * out->digits * out->columns + column, out->scale + at, out->sum + at,
                   out->counts + 2 * at);
  }
}
#endif
