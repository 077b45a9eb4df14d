// SPDX-License-Identifier: Apache-2.0
// Eight interleaved rows times int8 activations with AVX-512 VNNI on 256-bit registers. The
// integers, and so the results, equal those of the AVX2 form bit for bit.
#if defined(__x86_64__)
#include <immintrin.h>

#include "reft_decode.h"
#include "x86_kernels.h"

#define TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512vl,avx512vnni")))
#define NAME(x) x##_vnni

#define NIBBLE_DOTS(COUNT, Q, A, COLUMNS, DOTS)                        \
  {                                                                    \
    for (int i = 0; i < COUNT; i++) DOTS[i] = _mm256_setzero_si256();  \
    const __m256i low = _mm256_set1_epi8(15);                          \
    for (int c = 0; c < 4; c++) {                                      \
      __m256i v = _mm256_loadu_si256((const __m256i*)((Q) + c * 32));  \
      __m256i first = _mm256_and_si256(v, low);                        \
      __m256i second = _mm256_and_si256(_mm256_srli_epi16(v, 4), low); \
      for (int i = 0; i < COUNT; i++) {                                \
        const int8_t* a = (A) + i * (COLUMNS) + 4 * c;                 \
        DOTS[i] = _mm256_dpbusd_epi32(DOTS[i], first, four(a));        \
        DOTS[i] = _mm256_dpbusd_epi32(DOTS[i], second, four(a + 16));  \
      }                                                                \
    }                                                                  \
  }

// Weights plus 128 are unsigned; the surplus is 128 times the sum of the activations.
#define BYTE_DOTS(Q, A, SUM, OUT)                                                     \
  {                                                                                   \
    OUT = _mm256_set1_epi32(-128 * (SUM));                                            \
    const __m256i offset = _mm256_set1_epi8((char)0x80);                              \
    for (int c = 0; c < 4; c++) {                                                     \
      __m256i w = _mm256_loadu_si256((const __m256i*)((Q) + c * 32));                 \
      OUT = _mm256_dpbusd_epi32(OUT, _mm256_xor_si256(w, offset), four((A) + 4 * c)); \
    }                                                                                 \
  }

#include "rows8_template.h"
#endif
