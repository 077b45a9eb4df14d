// SPDX-License-Identifier: Apache-2.0
// Sixteen interleaved rows times int8 activations with AVX-512 VNNI. The integers, and so the
// results, equal those of the AVX2 form bit for bit.
#if defined(__x86_64__)
#include <immintrin.h>

#include "../ref/rows16_layout.h"
#include "reft_decode.h"
#include "x86_kernels.h"

#define TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")))
#define NAME(x) x##_vnni

#define LANES 16
#define FLOATS __m512
#define INTS __m512i
#define FZERO _mm512_setzero_ps
#define FSET _mm512_set1_ps
#define FMUL _mm512_mul_ps
#define FMA _mm512_fmadd_ps
#define FSTORE _mm512_storeu_ps
#define FLOATS_OF _mm512_cvtepi32_ps
#define ISET _mm512_set1_epi32
#define IADD _mm512_add_epi32
#define ISUB _mm512_sub_epi32
#define ISHIFT _mm512_slli_epi32
#define LOAD_HALVES(p) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)(p)))
// Rows of activations, times digits, whose sums share a load of weights.
#define MOST_ROWS 16
// Two groups share what is loaded of many rows of activations: loads would be the limit otherwise.
#define GROUPS 2
#define CODE_BYTES 1
#define MOST_PLANES 2
#define HAS_FIVES 0
#define ZERO _mm512_setzero_si512()
#define ZERO_DOTS(N, COUNT, DOTS) \
  UNROLL for (int p = 0; p < N; p++) UNROLL for (int i = 0; i < COUNT; i++) DOTS[p][i] = ZERO;

// Two chains of sums for each row of activations where they are few: one alone would wait for
// itself.
#define NIBBLE_DOTS(N, COUNT, Q, A, COLUMNS, DOTS)                                     \
  {                                                                                    \
    INTS others[4];                                                                    \
    int is_double = N == 1 && COUNT <= 4;                                              \
    ZERO_DOTS(N, COUNT, DOTS)                                                          \
    if (is_double) UNROLL for (int i = 0; i < COUNT; i++) others[i] = ZERO;            \
    const __m512i low = _mm512_set1_epi8(15);                                          \
    UNROLL for (int c = 0; c < 4; c++) {                                               \
      __m512i first[PARTS], second[PARTS];                                             \
      UNROLL for (int p = 0; p < N; p++) {                                             \
        __m512i v = _mm512_loadu_si512((Q) + c * 64 + p * step);                       \
        first[p] = _mm512_and_si512(v, low);                                           \
        second[p] = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);                    \
      }                                                                                \
      UNROLL for (int i = 0; i < COUNT; i++) {                                         \
        const int8_t* at = (A) + (size_t)i * (COLUMNS) + 4 * c;                        \
        __m512i a = four(at), b = four(at + 16);                                       \
        UNROLL for (int p = 0; p < N; p++) {                                           \
          DOTS[p][i] = _mm512_dpbusd_epi32(DOTS[p][i], first[p], a);                   \
          INTS* other = is_double ? others + i : DOTS[p] + i;                          \
          *other = _mm512_dpbusd_epi32(*other, second[p], b);                          \
        }                                                                              \
      }                                                                                \
    }                                                                                  \
    if (is_double)                                                                     \
      UNROLL for (int i = 0; i < COUNT; i++) DOTS[0][i] = IADD(DOTS[0][i], others[i]); \
  }

// The sums of the low nibbles and those of the high ones, which are the halves of a block.
#define PAIR_DOTS(N, COUNT, Q, A, COLUMNS, FIRST, SECOND)                      \
  {                                                                            \
    const __m512i low = _mm512_set1_epi8(15);                                  \
    ZERO_DOTS(N, COUNT, FIRST)                                                 \
    ZERO_DOTS(N, COUNT, SECOND)                                                \
    UNROLL for (int c = 0; c < 4; c++) UNROLL for (int p = 0; p < N; p++) {    \
      __m512i v = _mm512_loadu_si512((Q) + c * 64 + p * step);                 \
      __m512i v0 = _mm512_and_si512(v, low);                                   \
      __m512i v1 = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);             \
      UNROLL for (int i = 0; i < COUNT; i++) {                                 \
        const int8_t* from = (A) + (size_t)i * (COLUMNS) + 4 * c;              \
        FIRST[p][i] = _mm512_dpbusd_epi32(FIRST[p][i], v0, four(from));        \
        SECOND[p][i] = _mm512_dpbusd_epi32(SECOND[p][i], v1, four(from + 16)); \
      }                                                                        \
    }                                                                          \
  }

// Weights plus 128 are unsigned; `whole` takes the surplus away, 128 times the activations' sum.
#define BYTE_DOTS(LAYOUT, WORDS, N, COUNT, Q, A, COLUMNS, DOTS)                       \
  {                                                                                   \
    const __m512i offset = _mm512_set1_epi8((char)0x80);                              \
    ZERO_DOTS(N, COUNT, DOTS)                                                         \
    UNROLL for (int c = 0; c < WORDS; c++) {                                          \
      __m512i w[PARTS];                                                               \
      UNROLL for (int p = 0; p < N; p++) {                                            \
        w[p] = _mm512_xor_si512(_mm512_loadu_si512((Q) + c * 64 + p * step), offset); \
      }                                                                               \
      UNROLL for (int i = 0; i < COUNT; i++) {                                        \
        __m512i a = four((A) + (size_t)i * (COLUMNS) + 4 * c);                        \
        UNROLL for (int p = 0; p < N; p++) {                                          \
          DOTS[p][i] = _mm512_dpbusd_epi32(DOTS[p][i], w[p], a);                      \
        }                                                                             \
      }                                                                               \
    }                                                                                 \
  }

TARGET static inline __m512i whole(uint32_t layout, __m512i dots, int32_t sum) {
  (void)layout;
  return _mm512_sub_epi32(dots, _mm512_set1_epi32(128 * sum));
}

#include "rows16_template.h"
#endif
