// SPDX-License-Identifier: Apache-2.0
// Attention of one row over cached keys and values with AVX-512: twice the numbers in a register,
// and registers for four queries. The bits are those of the AVX2 form.
#if defined(__x86_64__)
#include <immintrin.h>

#include "reft_attention.h"
#include "x86_kernels.h"

#define TARGET __attribute__((target("avx2,fma,f16c,avx512f")))
#define UNROLL _Pragma("clang loop unroll(full)")
#define WIDTH 16
#define VECTOR __m512
#define QUERIES 4
#define ZERO _mm512_setzero_ps
#define SET _mm512_set1_ps
#define FMA _mm512_fmadd_ps
#define MUL _mm512_mul_ps
#define LOADF _mm512_loadu_ps
#define STOREF _mm512_storeu_ps

#define NAME(x) x##_f32_avx512
#define NUMBER float
#define NUMBER_OF(x) (x)
#define LOAD(p) _mm512_loadu_ps(p)
#include "attend_template.h"

#define NAME(x) x##_f16_avx512
#define NUMBER uint16_t
#define NUMBER_OF(x) _cvtsh_ss(x)
#define LOAD(p) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)(p)))
#include "attend_template.h"
#endif
