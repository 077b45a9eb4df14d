// SPDX-License-Identifier: Apache-2.0
// Sixteen interleaved rows times activations of one int8 digit, with AVX2.
#if defined(__x86_64__)
#include <immintrin.h>

#include "reft_decode.h"
#include "x86_kernels.h"

#define NAME(x) x##_avx2
#define CODE_BYTES 1

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

// |w| times a with w's sign: pairs stay within 32,512. Half a block is better left to the compiler.
#define BYTE_DOTS(WORDS, N, COUNT, Q, A, COLUMNS, DOTS)                            \
  {                                                                                \
    ZERO_DOTS(N, COUNT, DOTS)                                                      \
    UNROLL for (int c = 0; c < WORDS; c++) {                                       \
      UNROLL for (int p = 0; p < N; p++) {                                         \
        __m256i w = _mm256_loadu_si256((const __m256i*)((Q) + c * 64 + p * step)); \
        __m256i size = _mm256_abs_epi8(w);                                         \
        UNROLL for (int i = 0; i < COUNT; i++) {                                   \
          __m256i a = four((A) + (size_t)i * (COLUMNS) + 4 * c);                   \
          __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(a, w));      \
          __m256i sums = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));           \
          DOTS[p][i] = _mm256_add_epi32(DOTS[p][i], sums);                         \
          if (WORDS == 8) STAY(DOTS[p][i]);                                        \
        }                                                                          \
      }                                                                            \
    }                                                                              \
  }

#include "rows16_template.h"
#endif
