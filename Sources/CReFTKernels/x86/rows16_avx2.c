// SPDX-License-Identifier: Apache-2.0
// Sixteen interleaved rows times activations of one int8 digit, with AVX2.
#if defined(__x86_64__)
#include <immintrin.h>

#include "../ref/rows16_layout.h"
#include "reft_decode.h"
#include "x86_kernels.h"

#define NAME(x) x##_avx2
#define CODE_BYTES 1
#define HAS_FIVES 1

#include "rows16_lanes8.h"

// A nibble times an int8 and its neighbour stay within 3,840, so eight such sums fit 16 bits.
#define NIBBLE_DOTS(N, COUNT, Q, A, COLUMNS, DOTS)                                 \
  {                                                                                \
    const __m256i low = _mm256_set1_epi8(15);                                      \
    __m256i s[PARTS][16];                                                          \
    ZERO_DOTS(N, COUNT, s)                                                         \
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
          STAY(s[p][i]);                                                           \
          s[p][i] = _mm256_add_epi16(s[p][i], _mm256_maddubs_epi16(second[p], b)); \
          STAY(s[p][i]);                                                           \
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
    ZERO_DOTS(N, COUNT, FIRST)                                                                  \
    ZERO_DOTS(N, COUNT, SECOND)                                                                 \
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
#define SIGNED_DOTS(WORDS, N, COUNT, Q, A, COLUMNS, DOTS)                        \
  UNROLL for (int c = 0; c < WORDS; c++) {                                       \
    UNROLL for (int p = 0; p < N; p++) {                                         \
      __m256i w = _mm256_loadu_si256((const __m256i*)((Q) + c * 64 + p * step)); \
      __m256i size = _mm256_abs_epi8(w);                                         \
      UNROLL for (int i = 0; i < COUNT; i++) {                                   \
        __m256i a = four((A) + (size_t)i * (COLUMNS) + 4 * c);                   \
        __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(a, w));      \
        __m256i sums = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));           \
        DOTS[p][i] = _mm256_add_epi32(DOTS[p][i], sums);                         \
        STAY(DOTS[p][i]);                                                        \
      }                                                                          \
    }                                                                            \
  }

// What makes small codes unsigned, for `whole` to take away, and how many of their products' pairs
// 16 bits hold: of five bits 4 (4 * 2 * 31 * 127), of six 2.
#define SURPLUS(LAYOUT) \
  ((LAYOUT) == REFT_ROWS16_HALVES ? 32 : (LAYOUT) == REFT_ROWS16_FIVES ? 16 : 0)
#define PAIRS_OF(LAYOUT) ((LAYOUT) == REFT_ROWS16_HALVES ? 2 : 4)

#define SMALL_DOTS(LAYOUT, WORDS, N, COUNT, Q, A, COLUMNS, DOTS)                                  \
  {                                                                                               \
    const __m256i surplus = _mm256_set1_epi8(SURPLUS(LAYOUT));                                    \
    UNROLL for (int c = 0; c < WORDS; c += PAIRS_OF(LAYOUT)) UNROLL for (int p = 0; p < N; p++) { \
      __m256i w[4];                                                                               \
      UNROLL for (int k = 0; k < PAIRS_OF(LAYOUT); k++) {                                         \
        const uint8_t* four_columns = (Q) + (c + k) * 64 + p * step;                              \
        w[k] = _mm256_loadu_si256((const __m256i*)four_columns);                                  \
        if (SURPLUS(LAYOUT)) w[k] = _mm256_add_epi8(w[k], surplus);                               \
      }                                                                                           \
      UNROLL for (int i = 0; i < COUNT; i++) {                                                    \
        const int8_t* own = (A) + (size_t)i * (COLUMNS) + 4 * c;                                  \
        __m256i sums = _mm256_maddubs_epi16(w[0], four(own));                                     \
        UNROLL for (int k = 1; k < PAIRS_OF(LAYOUT); k++) {                                       \
          sums = _mm256_add_epi16(sums, _mm256_maddubs_epi16(w[k], four(own + 4 * k)));           \
        }                                                                                         \
        sums = _mm256_madd_epi16(sums, _mm256_set1_epi16(1));                                     \
        DOTS[p][i] = _mm256_add_epi32(DOTS[p][i], sums);                                          \
        STAY(DOTS[p][i]);                                                                         \
      }                                                                                           \
    }                                                                                             \
  }

#define BYTE_DOTS(LAYOUT, WORDS, N, COUNT, Q, A, COLUMNS, DOTS) \
  ZERO_DOTS(N, COUNT, DOTS)                                     \
  if ((LAYOUT) == REFT_ROWS16_BYTES) {                          \
    SIGNED_DOTS(WORDS, N, COUNT, Q, A, COLUMNS, DOTS)           \
  } else {                                                      \
    SMALL_DOTS(LAYOUT, WORDS, N, COUNT, Q, A, COLUMNS, DOTS)    \
  }

TARGET static inline __m256i whole(uint32_t layout, __m256i dots, int32_t sum) {
  if (SURPLUS(layout) == 0) return dots;
  return _mm256_sub_epi32(dots, _mm256_set1_epi32(SURPLUS(layout) * sum));
}

#include "rows16_template.h"
#endif
