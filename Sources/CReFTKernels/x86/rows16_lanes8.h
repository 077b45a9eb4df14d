/* SPDX-License-Identifier: Apache-2.0
 * What rows16_template.h asks for where eight rows fill a register: AVX2. */
#define TARGET __attribute__((target("avx2,fma,f16c")))

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
// Rows of activations whose sums share a load of weights: with two registers of weights each, eight
// sums and what makes them fit the sixteen registers.
#define MOST_ROWS 4
// A group fills two registers, and that is all that there are.
#define GROUPS 1
#define MOST_PLANES 1

// An empty instruction that keeps a sum where it is: left to itself, the compiler forms sums of
// products before it adds them, for which there are not registers enough.
#define STAY(sum) __asm__("" : "+x"(sum))

// Sums that start from nothing.
#define ZERO_DOTS(N, COUNT, DOTS)                                             \
  UNROLL for (int p = 0; p < N; p++) UNROLL for (int i = 0; i < COUNT; i++) { \
    DOTS[p][i] = _mm256_setzero_si256();                                      \
  }
