// SPDX-License-Identifier: Apache-2.0
// Eight interleaved rows times int8 activations with AVX-512 VNNI on 256-bit registers. The
// integers, and so the results, equal those of the AVX2 form bit for bit.
#if defined(__x86_64__)
#include <immintrin.h>

#include "reft_decode.h"
#include "x86_kernels.h"

#define TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512vl,avx512vnni")))
#define NAME(x) x##_vnni

// Two chains of sums for each row of activations where they are few: one alone would wait for
// itself.
#define NIBBLE_DOTS(COUNT, Q, A, COLUMNS, DOTS)                                                   \
  {                                                                                               \
    enum { CHAINS = COUNT < 8 ? 2 : 1 };                                                          \
    __m256i chains[COUNT][CHAINS];                                                                \
    UNROLL for (int i = 0; i < COUNT; i++) UNROLL for (int u = 0; u < CHAINS; u++) chains[i][u] = \
        _mm256_setzero_si256();                                                                   \
    const __m256i low = _mm256_set1_epi8(15);                                                     \
    UNROLL for (int c = 0; c < 4; c++) {                                                          \
      __m256i v = _mm256_loadu_si256((const __m256i*)((Q) + c * 32));                             \
      __m256i first = _mm256_and_si256(v, low);                                                   \
      __m256i second = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);                            \
      UNROLL for (int i = 0; i < COUNT; i++) {                                                    \
        const int8_t* a = (A) + (size_t)i * (COLUMNS) + 4 * c;                                    \
        __m256i* other = &chains[i][CHAINS - 1];                                                  \
        chains[i][0] = _mm256_dpbusd_epi32(chains[i][0], first, four(a));                         \
        *other = _mm256_dpbusd_epi32(*other, second, four(a + 16));                               \
      }                                                                                           \
    }                                                                                             \
    UNROLL for (int i = 0; i < COUNT; i++) DOTS[i] =                                              \
        CHAINS == 1 ? chains[i][0] : _mm256_add_epi32(chains[i][0], chains[i][CHAINS - 1]);       \
  }

// Weights plus 128 are unsigned; `whole` takes the surplus away, 128 times the activations' sum.
#define BYTE_DOTS(COUNT, Q, A, COLUMNS, DOTS)                                         \
  {                                                                                   \
    const __m256i offset = _mm256_set1_epi8((char)0x80);                              \
    UNROLL for (int i = 0; i < COUNT; i++) DOTS[i] = _mm256_setzero_si256();          \
    UNROLL for (int c = 0; c < 4; c++) {                                              \
      __m256i w = _mm256_loadu_si256((const __m256i*)((Q) + c * 32));                 \
      w = _mm256_xor_si256(w, offset);                                                \
      UNROLL for (int i = 0; i < COUNT; i++) DOTS[i] =                                \
          _mm256_dpbusd_epi32(DOTS[i], w, four((A) + (size_t)i * (COLUMNS) + 4 * c)); \
    }                                                                                 \
  }

TARGET static inline __m256i whole(__m256i dots, int32_t sum) {
  return _mm256_sub_epi32(dots, _mm256_set1_epi32(128 * sum));
}

#include "rows8_template.h"
#endif
