// SPDX-License-Identifier: Apache-2.0
// Rounded rows times the words of a prompt's activations with AVX-512 VNNI, which adds two products
// of words to a sum in one instruction: twice what float32 does. Bits are those of the AVX2 form.
#if defined(__x86_64__)
#include <immintrin.h>

#include "reft_decode.h"
#include "x86_kernels.h"

#define TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")))
#define UNROLL _Pragma("clang loop unroll(full)")
#define ANY TARGET static inline __attribute__((always_inline))

// Blocks of columns that stay in the first-level cache, and rows of activations that share their
// loads: two sums for each, and one that goes on, are 24 of 32 registers.
#define RUN_BLOCKS 8
#define RUN_ROWS 8

// Sixteen rows of 32 columns, as reft_round_plain_rows_avx2 makes them.
typedef struct block {
  int32_t words[8][2][REFT_DECODE_ROWS];
  float scales[2][REFT_DECODE_ROWS];
  float unused[2][REFT_DECODE_ROWS];
} block_t;
_Static_assert(sizeof(block_t) == REFT_ROUNDED_BLOCK, "what callers keep for a rounded block");

// The words of two columns, in all lanes.
TARGET static inline __m512i two(const int8_t* words) {
  int32_t pair;
  __builtin_memcpy(&pair, words, sizeof pair);
  return _mm512_set1_epi32(pair);
}

// The integers of both halves of a block for `count` rows.
ANY void dot_halves(int count, const block_t* block, const int8_t* a, size_t plane,
                    __m512i (*dots)[RUN_ROWS]) {
  UNROLL for (int half = 0; half < 2; half++) UNROLL for (int i = 0; i < count; i++) {
    dots[half][i] = _mm512_setzero_si512();
  }
  UNROLL for (int c = 0; c < 4; c++) UNROLL for (int e = 0; e < 2; e++) {
    UNROLL for (int half = 0; half < 2; half++) {
      __m512i words = _mm512_loadu_si512(block->words[4 * half + c][e]);
      const int8_t* at = a + 32 * half + 8 * c + 4 * e;
      UNROLL for (int i = 0; i < count; i++) {
        dots[half][i] = _mm512_dpwssd_epi32(dots[half][i], words, two(at + (size_t)i * plane));
      }
    }
  }
}

// Adds the blocks of a run, the row's from `first` on, to the sums of `count` rows from `row` on.
ANY void add_run(int count, const block_t* run, size_t blocks, size_t first,
                 const reft_activations_t* x, size_t row, float* y, size_t stride) {
  size_t all = x->columns / REFT_DECODE_BLOCK, plane = x->columns * sizeof(int16_t);
  __m512 out[RUN_ROWS];
  UNROLL for (int i = 0; i < count; i++) {
    out[i] = first == 0 ? _mm512_setzero_ps() : _mm512_loadu_ps(y + (size_t)i * stride);
  }
  for (size_t b = first; b < first + blocks; b++, run++) {
    const float* scales = x->scale + row * all + b;
    __m512i dots[2][RUN_ROWS];
    dot_halves(count, run, x->q + row * plane + b * REFT_DECODE_BLOCK * sizeof(int16_t), plane,
               dots);
    UNROLL for (int half = 0; half < 2; half++) {
      __m512 own = _mm512_loadu_ps(run->scales[half]);
      UNROLL for (int i = 0; i < count; i++) {
        __m512 scale = _mm512_mul_ps(own, _mm512_set1_ps(scales[(size_t)i * all]));
        out[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[half][i]), scale, out[i]);
      }
    }
  }
  UNROLL for (int i = 0; i < count; i++) _mm512_storeu_ps(y + (size_t)i * stride, out[i]);
}

TARGET void reft_rounded_rows_dot_vnni(const void* weights, size_t rows,
                                       const reft_activations_t* x, float* y, size_t stride) {
  size_t all = x->columns / REFT_DECODE_BLOCK;
  const block_t* group = (const block_t*)weights;
  for (; rows > 0; rows -= REFT_DECODE_ROWS, group += all, y += REFT_DECODE_ROWS) {
    for (size_t first = 0; first < all; first += RUN_BLOCKS) {
      size_t blocks = all - first < RUN_BLOCKS ? all - first : RUN_BLOCKS, i = 0;
      for (; i + RUN_ROWS <= x->n; i += RUN_ROWS) {
        add_run(RUN_ROWS, group + first, blocks, first, x, i, y + i * stride, stride);
      }
      for (; i < x->n; i++) {
        add_run(1, group + first, blocks, first, x, i, y + i * stride, stride);
      }
    }
  }
}
#endif
