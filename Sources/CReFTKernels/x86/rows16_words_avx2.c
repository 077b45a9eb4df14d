// SPDX-License-Identifier: Apache-2.0
// Sixteen interleaved rows times activations of two int8 digits, with AVX2: the codes are words of
// 16 bits, whose products are one instruction where bytes take two for each digit. The integers,
// and so the results, are those of the other forms, bit for bit.
//
// Of four columns, words 0 and 2 lie before words 1 and 3: so bytes of weights become words by
// shifts in their own lanes.
#if defined(__x86_64__)
#include <immintrin.h>

#include "../ref/rows16_layout.h"
#include "reft_decode.h"
#include "x86_kernels.h"

#define NAME(x) x##_words_avx2
#define CODE_BYTES 2
#define HAS_FIVES 0

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

#define BYTE_DOTS(LAYOUT, WORDS, N, COUNT, Q, A, ROW, DOTS) \
  ZERO_DOTS(N, COUNT, DOTS)                                 \
  WORD_DOTS(WORDS_OF_BYTES, 0, WORDS, N, COUNT, Q, A, ROW, DOTS)

// Codes of weights have a sign, so that nothing is to be taken away.
TARGET static inline __m256i whole(uint32_t layout, __m256i dots, int32_t sum) {
  (void)layout, (void)sum;
  return dots;
}

#include "rows16_template.h"

// Many rows, as a prompt has them: the words of sixteen rows of weights are made once for all, on
// the stack, and four rows of activations share a load of them. Sums go on in the order of
// rows16_template.h.

// Blocks of columns whose words stay in the first-level cache, and rows that share their loads.
#define RUN_BLOCKS 12
#define RUN_ROWS 4

// A block of sixteen rows: the words of four columns, the even before the odd ones, and scales and
// minima of each half, for both registers of eight rows.
typedef struct block {
  __m256i words[8][2][2];
  __m256 d[2][2];
  __m256 m[2][2];
} block_t;

ANY void expand(uint32_t layout, const uint8_t* at, size_t blocks, block_t* run) {
  int halves = 1 + reft_rows16_has_halves(layout), minima = reft_rows16_has_minima(layout);
  for (size_t b = 0; b < blocks; b++, at += reft_rows16_block_bytes(layout), run++) {
    UNROLL for (int p = 0; p < 2; p++) {
      const uint8_t *scales = at + 16 * p, *q = at + reft_rows16_head_bytes(layout) + 32 * p;
      UNROLL for (int half = 0; half < halves; half++) {
        run->d[half][p] = LOAD_HALVES(scales + 32 * half);
        if (minima) run->m[half][p] = LOAD_HALVES(scales + 32 * (halves + half));
      }
      UNROLL for (int c = 0; c < 8; c++) {
        __m256i w[2];
        if (reft_rows16_has_nibbles(layout)) {
          WORDS_OF_NIBBLES(c, q, w)
        } else {
          WORDS_OF_BYTES(c, q, w)
        }
        UNROLL for (int e = 0; e < 2; e++) run->words[c][e][p] = w[e];
      }
    }
  }
}

// Adds columns 4 `begin` to 4 `end` - 1 of a block to the integers of `count` rows.
ANY void add_words(int count, int begin, int end, const __m256i (*words)[2][2], const int8_t* a,
                   size_t plane, INTS (*dots)[2]) {
  UNROLL for (int c = begin; c < end; c++) UNROLL for (int e = 0; e < 2; e++) {
    UNROLL for (int i = 0; i < count; i++) {
      __m256i pair = four(a + (size_t)i * plane + 8 * c + 4 * e);
      UNROLL for (int p = 0; p < 2; p++) {
        dots[i][p] = IADD(dots[i][p], _mm256_madd_epi16(words[c][e][p], pair));
        STAY(dots[i][p]);
      }
    }
  }
}

// Adds the blocks of a run, the row's from `first` on, to the sums of `count` rows from `row` on.
ANY void add_run(uint32_t layout, int count, const block_t* run, size_t blocks, size_t first,
                 const reft_activations_t* x, size_t row, float* y, size_t stride) {
  int halves = 1 + reft_rows16_has_halves(layout);
  size_t all = x->columns / REFT_DECODE_BLOCK, plane = x->columns * CODE_BYTES;
  FLOATS out[RUN_ROWS][2];
  UNROLL for (int i = 0; i < count; i++) UNROLL for (int p = 0; p < 2; p++) {
    out[i][p] = first == 0 ? FZERO() : _mm256_loadu_ps(y + (size_t)i * stride + LANES * p);
  }
  for (size_t b = 0; b < blocks; b++, run++) {
    size_t place = row * all + first + b;
    const int8_t* a = x->q + row * plane + (first + b) * 32 * CODE_BYTES;
    UNROLL for (int half = 0; half < halves; half++) {
      INTS dots[RUN_ROWS][2];
      ZERO_DOTS(count, 2, dots)
      add_words(count, 8 * half / halves, 8 * (half + 1) / halves, run->words, a, plane, dots);
      UNROLL for (int i = 0; i < count; i++) UNROLL for (int p = 0; p < 2; p++) {
        FLOATS s = FMUL(run->d[half][p], FSET(x->scale[place + (size_t)i * all]));
        out[i][p] = FMA(FLOATS_OF(dots[i][p]), s, out[i][p]);
      }
    }
    UNROLL for (int i = 0; reft_rows16_has_minima(layout) && i < count; i++) {
      size_t own = place + (size_t)i * all;
      UNROLL for (int half = 0; half < halves; half++) {
        float sum = halves == 1 ? x->sum[own] : (float)x->counts[2 * own + half] * x->scale[own];
        UNROLL for (int p = 0; p < 2; p++) {
          out[i][p] = FMA(run->m[half][p], FSET(sum), out[i][p]);
        }
      }
    }
  }
  UNROLL for (int i = 0; i < count; i++) UNROLL for (int p = 0; p < 2; p++) {
    FSTORE(y + (size_t)i * stride + LANES * p, out[i][p]);
  }
}

// Adds the blocks of a run to the sums of all rows.
ANY void add_rows(uint32_t layout, const block_t* run, size_t blocks, size_t first,
                  const reft_activations_t* x, float* y, size_t stride) {
  size_t i = 0;
  for (; i + RUN_ROWS <= x->n; i += RUN_ROWS) {
    add_run(layout, RUN_ROWS, run, blocks, first, x, i, y + i * stride, stride);
  }
  for (; i < x->n; i++) add_run(layout, 1, run, blocks, first, x, i, y + i * stride, stride);
}

ANY void dot_many(uint32_t layout, const uint8_t* group, const reft_activations_t* x, float* y,
                  size_t stride) {
  size_t all = x->columns / REFT_DECODE_BLOCK;
  for (size_t first = 0; first < all; first += RUN_BLOCKS) {
    size_t blocks = all - first < RUN_BLOCKS ? all - first : RUN_BLOCKS;
    block_t run[RUN_BLOCKS];
    expand(layout, group + first * reft_rows16_block_bytes(layout), blocks, run);
    add_rows(layout, run, blocks, first, x, y, stride);
  }
}

#define DEFINE_MANY(LAYOUT)                                                                     \
  TARGET static void many_##LAYOUT(const uint8_t* group, const reft_activations_t* x, float* y, \
                                   size_t stride) {                                             \
    dot_many(REFT_ROWS16_##LAYOUT, group, x, y, stride);                                        \
  }
DEFINE_MANY(NIBBLES)
DEFINE_MANY(BYTES)
DEFINE_MANY(OFFSET)
DEFINE_MANY(HALVES)
DEFINE_MANY(PAIRS)

TARGET void reft_rows16_dot_many_words_avx2(uint32_t layout, const uint8_t* groups,
                                            const reft_activations_t* x, size_t rows, float* y,
                                            size_t stride) {
  void (*const many[])(const uint8_t*, const reft_activations_t*, float*, size_t) = {
      NULL, many_NIBBLES, many_BYTES, many_OFFSET, many_HALVES, many_PAIRS};
  size_t bytes = x->columns / REFT_DECODE_BLOCK * reft_rows16_block_bytes(layout);
  for (; rows >= REFT_DECODE_ROWS; rows -= REFT_DECODE_ROWS, groups += bytes) {
    many[layout](groups, x, y, stride);
    y += REFT_DECODE_ROWS;
  }
  if (rows > 0) reft_rows16_dot_words_avx2(layout, groups, x, rows, y, stride);
}

// Floating-point weights, rounded to words as they are read. They have no minima.
_Static_assert(sizeof(block_t) == REFT_ROUNDED_BLOCK, "what callers keep for a rounded block");

// Eight rows of eight halves, which lie `bytes` apart, as columns.
ANY void transpose_halves(const uint8_t* at, size_t bytes, __m128i* columns) {
  __m128i r[8], pairs[8], fours[8];
  UNROLL for (int i = 0; i < 8; i++) {
    r[i] = _mm_loadu_si128((const __m128i*)(at + (size_t)i * bytes));
  }
  UNROLL for (int i = 0; i < 4; i++) {
    pairs[i] = _mm_unpacklo_epi16(r[2 * i], r[2 * i + 1]);
    pairs[4 + i] = _mm_unpackhi_epi16(r[2 * i], r[2 * i + 1]);
  }
  UNROLL for (int h = 0; h < 2; h++) UNROLL for (int i = 0; i < 2; i++) {
    fours[4 * h + i] = _mm_unpacklo_epi32(pairs[4 * h + 2 * i], pairs[4 * h + 2 * i + 1]);
    fours[4 * h + 2 + i] = _mm_unpackhi_epi32(pairs[4 * h + 2 * i], pairs[4 * h + 2 * i + 1]);
  }
  UNROLL for (int i = 0; i < 4; i++) {
    columns[2 * i] = _mm_unpacklo_epi64(fours[2 * i], fours[2 * i + 1]);
    columns[2 * i + 1] = _mm_unpackhi_epi64(fours[2 * i], fours[2 * i + 1]);
  }
}

ANY __m256 widen(int is_bf16, __m128i halves) {
  if (!is_bf16) return _mm256_cvtph_ps(halves);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

// Rounds sixteen columns of eight rows: their words and the scale of each row.
ANY __m256 round_columns(const __m256* v, __m256i (*words)[2][2], int part) {
  const __m256 levels = _mm256_set1_ps(REFT_PLAIN_LEVELS);
  // Magnitudes are in the order of their bits; those of infinities and NaN come last.
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i bits = _mm256_setzero_si256();
  UNROLL for (int j = 0; j < 16; j++) {
    bits = _mm256_max_epi32(bits, _mm256_and_si256(_mm256_castps_si256(v[j]), magnitude));
  }
  __m256 largest = _mm256_castsi256_ps(bits);
  __m256 counts = _mm256_cmp_ps(largest, _mm256_set1_ps(REFT_DECODE_SMALLEST), _CMP_GT_OQ);
  __m256 inverse = _mm256_and_ps(counts, _mm256_div_ps(levels, largest));
  UNROLL for (int c = 0; c < 4; c++) {
    __m256i q[4];
    UNROLL for (int j = 0; j < 4; j++) {
      q[j] = _mm256_cvtps_epi32(_mm256_mul_ps(v[4 * c + j], inverse));
    }
    UNROLL for (int e = 0; e < 2; e++) {
      words[c][e][part] = _mm256_blend_epi16(q[e], _mm256_slli_epi32(q[e + 2], 16), 0xaa);
    }
  }
  // Zero, or NaN where a number is not finite.
  __m256 rest = _mm256_sub_ps(largest, largest);
  return _mm256_add_ps(_mm256_div_ps(largest, levels), rest);
}

ANY void round_rows(int is_bf16, const reft_plain_rows_t* w, block_t* out) {
  const uint8_t* data = (const uint8_t*)w->data;
  for (size_t row = 0; row < w->rows; row += REFT_DECODE_ROWS) {
    const uint8_t* group = data + row * w->bytes;
    for (size_t column = 0; column < w->columns; column += REFT_DECODE_BLOCK, out++) {
      for (int p = 0; p < 2; p++)
        for (int half = 0; half < 2; half++) {
          const uint8_t* at = group + 8 * (size_t)p * w->bytes + 2 * column + 32 * (size_t)half;
          __m128i columns[16];
          __m256 v[16];
          transpose_halves(at, w->bytes, columns);
          transpose_halves(at + 16, w->bytes, columns + 8);
          UNROLL for (int j = 0; j < 16; j++) v[j] = widen(is_bf16, columns[j]);
          out->d[half][p] = round_columns(v, out->words + 4 * half, p);
        }
    }
  }
}

TARGET void reft_round_plain_rows_avx2(const reft_plain_rows_t* weights, void* out) {
  if (weights->type == 30) {
    round_rows(1, weights, (block_t*)out);
  } else {
    round_rows(0, weights, (block_t*)out);
  }
}

TARGET void reft_rounded_rows_dot_avx2(const void* weights, size_t rows,
                                       const reft_activations_t* x, float* y, size_t stride) {
  size_t all = x->columns / REFT_DECODE_BLOCK;
  const block_t* group = (const block_t*)weights;
  for (; rows > 0; rows -= REFT_DECODE_ROWS, group += all, y += REFT_DECODE_ROWS) {
    for (size_t first = 0; first < all; first += RUN_BLOCKS) {
      size_t blocks = all - first < RUN_BLOCKS ? all - first : RUN_BLOCKS;
      add_rows(REFT_ROWS16_HALVES, group + first, blocks, first, x, y, stride);
    }
  }
}
#endif
