// SPDX-License-Identifier: Apache-2.0
// Sixteen interleaved rows times activations of two int8 digits, with AVX2: the codes are words of
// 16 bits, whose products are one instruction where bytes take two for each digit. The integers,
// and so the results, are those of the other forms, bit for bit.
//
// Of four columns, words 0 and 2 lie before words 1 and 3: so bytes of weights become words by
// shifts in their own lanes.
#if defined(__x86_64__)
#include <immintrin.h>

#include "reft_decode.h"
#include "x86_kernels.h"

#define NAME(x) x##_words_avx2
#define CODE_BYTES 2

#include "rows16_lanes8.h"

// The words of four columns of eight rows, from the bytes at Q.
#define WORDS_OF_BYTES(C, Q, W)                                     \
  {                                                                 \
    __m256i v = _mm256_loadu_si256((const __m256i*)((Q) + (C)*64)); \
    W[0] = _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8);           \
    W[1] = _mm256_srai_epi16(v, 8);                                 \
  }

// Low nibbles hold the first sixteen columns of a block, high ones the others.
#define WORDS_OF_NIBBLES(C, Q, W)                                                               \
  {                                                                                             \
    const __m256i low = _mm256_set1_epi16(15);                                                  \
    __m256i v = _mm256_loadu_si256((const __m256i*)((Q) + (C) % 4 * 64));                       \
    W[0] = _mm256_and_si256((C) < 4 ? v : _mm256_srli_epi16(v, 4), low);                        \
    W[1] = (C) < 4 ? _mm256_and_si256(_mm256_srli_epi16(v, 8), low) : _mm256_srli_epi16(v, 12); \
  }

// Adds columns 4 FIRST to 4 LAST - 1 of a block. A sum of 32 products stays within 134 million.
#define WORD_DOTS(WORDS_OF, FIRST, LAST, N, COUNT, Q, A, ROW, DOTS)                  \
  UNROLL for (int c = FIRST; c < LAST; c++) {                                        \
    __m256i w[PARTS][2];                                                             \
    UNROLL for (int p = 0; p < N; p++) {                                             \
      WORDS_OF(c, (Q) + p * step, w[p]);                                             \
    }                                                                                \
    UNROLL for (int e = 0; e < 2; e++) UNROLL for (int i = 0; i < COUNT; i++) {      \
      __m256i pair = four((A) + (size_t)i * (ROW) + 8 * c + 4 * e);                  \
      UNROLL for (int p = 0; p < N; p++) {                                           \
        DOTS[p][i] = _mm256_add_epi32(DOTS[p][i], _mm256_madd_epi16(w[p][e], pair)); \
        STAY(DOTS[p][i]);                                                            \
      }                                                                              \
    }                                                                                \
  }

#define NIBBLE_DOTS(N, COUNT, Q, A, ROW, DOTS) \
  ZERO_DOTS(N, COUNT, DOTS)                    \
  WORD_DOTS(WORDS_OF_NIBBLES, 0, 8, N, COUNT, Q, A, ROW, DOTS)

#define PAIR_DOTS(N, COUNT, Q, A, ROW, LOW, HIGH)             \
  ZERO_DOTS(N, COUNT, LOW)                                    \
  ZERO_DOTS(N, COUNT, HIGH)                                   \
  WORD_DOTS(WORDS_OF_NIBBLES, 0, 4, N, COUNT, Q, A, ROW, LOW) \
  WORD_DOTS(WORDS_OF_NIBBLES, 4, 8, N, COUNT, Q, A, ROW, HIGH)

#define BYTE_DOTS(WORDS, N, COUNT, Q, A, ROW, DOTS) \
  ZERO_DOTS(N, COUNT, DOTS)                         \
  WORD_DOTS(WORDS_OF_BYTES, 0, WORDS, N, COUNT, Q, A, ROW, DOTS)

#include "rows16_template.h"
#endif
