// SPDX-License-Identifier: Apache-2.0
// Products of split numbers on AMX tiles: four tiles of C at a time, for which two tiles of A and
// two of B are loaded half by half: twelve products to eight loads.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "../ref/rows16_layout.h"
#include "reft_decode.h"
#include "tiles.h"
#include "x86_kernels.h"

#define SPLIT __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define TILES __attribute__((target("avx512f,avx512bw,avx512vl,amx-tile,amx-bf16,prfchw")))
#define UNROLL _Pragma("clang loop unroll(full)")

// 32 floats as 32 high parts and 32 low ones.
typedef struct halves {
  __m512i high, low;
} halves_t;

SPLIT static inline __m512 widened(__m256i half) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

SPLIT static inline halves_t split_of(__m512 first, __m512 second) {
  __m512i high = (__m512i)_mm512_cvtne2ps_pbh(second, first);
  first = _mm512_sub_ps(first, widened(_mm512_castsi512_si256(high)));
  second = _mm512_sub_ps(second, widened(_mm512_extracti64x4_epi64(high, 1)));
  return (halves_t){high, (__m512i)_mm512_cvtne2ps_pbh(second, first)};
}

SPLIT static inline halves_t split(const float* x) {
  return split_of(_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16));
}

SPLIT void reft_split_left_avx512(size_t kc, size_t count, const float* rows, size_t stride,
                                  uint8_t* tiles) {
  for (size_t k = 0; k < kc; k += 32, tiles += REFT_SPLIT_TILE) {
    for (size_t i = 0; i < REFT_SPLIT_SIDE; i++) {
      halves_t x = {_mm512_setzero_si512(), _mm512_setzero_si512()};
      if (i < count) x = split(rows + i * stride + k);
      _mm512_storeu_si512(tiles + i * 64, x.high);
      _mm512_storeu_si512(tiles + 1024 + i * 64, x.low);
    }
  }
}

// Rows of sixteen words become columns.
SPLIT static inline __attribute__((always_inline)) void transpose(__m512i* r, uint8_t* out) {
  __m512i t[16];
  UNROLL for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  UNROLL for (int i = 0; i < 4; i++) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  // r[4 g + c] holds words 4 l + c of rows 4 g to 4 g + 3 in its lane l.
  UNROLL for (int c = 0; c < 4; c++) {
    __m512i low = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x44);
    __m512i high = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xee);
    __m512i low2 = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x44);
    __m512i high2 = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xee);
    _mm512_storeu_si512(out + (0 + c) * 64, _mm512_shuffle_i32x4(low, low2, 0x88));
    _mm512_storeu_si512(out + (4 + c) * 64, _mm512_shuffle_i32x4(low, low2, 0xdd));
    _mm512_storeu_si512(out + (8 + c) * 64, _mm512_shuffle_i32x4(high, high2, 0x88));
    _mm512_storeu_si512(out + (12 + c) * 64, _mm512_shuffle_i32x4(high, high2, 0xdd));
  }
}

SPLIT void reft_split_columns_avx512(size_t kc, size_t count, const float* rows, size_t stride,
                                     uint8_t* tiles) {
  for (size_t k = 0; k < kc; k += 32, tiles += REFT_SPLIT_TILE) {
    __m512i high[16], low[16];
    for (size_t j = 0; j < REFT_SPLIT_SIDE; j++) {
      halves_t x = {_mm512_setzero_si512(), _mm512_setzero_si512()};
      if (j < count) x = split(rows + j * stride + k);
      high[j] = x.high;
      low[j] = x.low;
    }
    transpose(high, tiles);
    transpose(low, tiles + 1024);
  }
}

// Sixteen numbers of an even row and of the odd one after it, side by side.
SPLIT static inline __attribute__((always_inline)) void store_pair(__m512 first, __m512 second,
                                                                   uint8_t* tiles) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i odd = _mm512_set1_epi32((int)0xffff0000);
  __m512i high = (__m512i)_mm512_cvtne2ps_pbh(second, first);
  high = _mm512_permutexvar_epi16(order, high);
  first = _mm512_sub_ps(first, _mm512_castsi512_ps(_mm512_slli_epi32(high, 16)));
  second = _mm512_sub_ps(second, _mm512_castsi512_ps(_mm512_and_si512(high, odd)));
  __m512i low = (__m512i)_mm512_cvtne2ps_pbh(second, first);
  _mm512_storeu_si512(tiles, high);
  _mm512_storeu_si512(tiles + 1024, _mm512_permutexvar_epi16(order, low));
}

SPLIT void reft_split_pair_avx512(size_t columns, const float* even, const float* odd,
                                  uint8_t* tiles, size_t stride) {
  for (size_t j = 0; j < columns; j += 16, tiles += stride)
    store_pair(_mm512_loadu_ps(even + j), _mm512_loadu_ps(odd + j), tiles);
}

// 2^x for x from -126 to 0 and less, within 2e-7 of it: a polynomial for the fraction, from -1/2 to
// 1/2.
SPLIT static inline __m512 power_of(__m512 x) {
  __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 f = _mm512_sub_ps(x, n), p = _mm512_set1_ps(0.00132647238f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.00967151299f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.0555073358f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.240222424f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.693147004f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1));
  return _mm512_scalef_ps(p, n);
}

// Which of the sixteen places from j on lie from `first` to `end`.
static inline __mmask16 places(size_t j, size_t first, size_t end) {
  uint32_t from = first > j ? (first - j < 16 ? 0xffffu << (first - j) : 0) : 0xffff;
  uint32_t to = end > j ? (end - j < 16 ? 0xffffu >> (16 - (end - j)) : 0xffff) : 0;
  return (__mmask16)(from & to);
}

// A row of scores, the keys that it sees, and what makes weights of them.
typedef struct score_row {
  const float* scores;
  size_t first, end;
  __m512 scale, shift;
} score_row_t;

// Whether the row sees all 32 keys from j on.
static inline int sees_all(const score_row_t* row, size_t j) {
  return j >= row->first && j + 32 <= row->end;
}

// Weights of 32 keys, with their sums; of unseen ones zero.
SPLIT static inline __attribute__((always_inline)) halves_t weights_of(const score_row_t* row,
                                                                       size_t j, int is_whole,
                                                                       __m512 sums[2]) {
  __m512 e[2];
  UNROLL for (int i = 0; i < 2; i++) {
    __m512 score = _mm512_loadu_ps(row->scores + j + 16 * i);
    e[i] = power_of(_mm512_fmsub_ps(score, row->scale, row->shift));
    if (!is_whole) e[i] = _mm512_maskz_mov_ps(places(j + 16 * i, row->first, row->end), e[i]);
    sums[i] = _mm512_add_ps(sums[i], e[i]);
  }
  return split_of(e[0], e[1]);
}

SPLIT static float largest_of(const score_row_t* row) {
  const __m512 none = _mm512_set1_ps(-__builtin_inff());
  __m512 most[2] = {none, none};
  for (size_t j = row->first / 32 * 32; j < row->end; j += 32) {
    UNROLL for (int i = 0; i < 2; i++) {
      __m512 score = _mm512_loadu_ps(row->scores + j + 16 * i);
      if (sees_all(row, j)) {
        most[i] = _mm512_max_ps(most[i], score);
      } else {
        __mmask16 seen = places(j + 16 * i, row->first, row->end);
        most[i] = _mm512_mask_max_ps(most[i], seen, most[i], score);
      }
    }
  }
  return _mm512_reduce_max_ps(_mm512_max_ps(most[0], most[1]));
}

SPLIT float reft_split_weights_avx512(size_t width, size_t first, size_t end, float scale,
                                      const float* scores, float* largest, float* sum,
                                      uint8_t* tiles) {
  score_row_t row = {scores, first, end, _mm512_set1_ps(scale), _mm512_setzero_ps()};
  float before = *largest, m = before;
  if (first < end) {
    float most = largest_of(&row) * scale;
    if (most > m) m = most;
  }
  row.shift = _mm512_set1_ps(m);
  __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (size_t j = 0; j < width; j += 32, tiles += REFT_SPLIT_TILE) {
    halves_t x = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    if (sees_all(&row, j)) {
      x = weights_of(&row, j, 1, sums);
    } else if (j < end && j + 32 > first) {
      x = weights_of(&row, j, 0, sums);
    }
    _mm512_storeu_si512(tiles, x.high);
    _mm512_storeu_si512(tiles + 1024, x.low);
  }
  float factor = 1;
  if (m != before) {
    float parts[16];
    _mm512_storeu_ps(parts, power_of(_mm512_set1_ps(before - m)));
    factor = before == -__builtin_inff() ? 0 : parts[0];
  }
  *largest = m;
  *sum = factor * *sum + _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]));
  return factor;
}

// One block of sixteen repacked rows: a lane is a row, so nothing is transposed.
SPLIT static inline __attribute__((always_inline)) void split_block(uint32_t layout,
                                                                    const uint8_t* at,
                                                                    uint8_t* tiles) {
  int has_nibbles = reft_rows16_has_nibbles(layout);
  int halves = reft_rows16_has_halves(layout);
  const uint8_t* q = at + reft_rows16_head_bytes(layout);
  __m512 d[2] = {halves_at(at), halves_at(at + 32 * halves)};
  __m512 m[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  if (reft_rows16_has_minima(layout)) {
    m[0] = halves_at(at + 32 * (1 + halves));
    m[1] = halves_at(at + 32 * (1 + 2 * halves));
  }
  UNROLL for (int k = 0; k < REFT_SPLIT_RUN; k += 2) {
    __m512 pair[2];
    int half = k / 16;
    UNROLL for (int t = 0; t < 2; t++) {
      int place = has_nibbles ? (k + t) % 16 : k + t;
      __m512i v = _mm512_loadu_si512(q + place / 4 * 64);
      if (has_nibbles)
        v = _mm512_and_si512(_mm512_srli_epi32(v, 8 * (place % 4) + 4 * half),
                             _mm512_set1_epi32(15));
      else
        v = _mm512_srai_epi32(_mm512_slli_epi32(v, 24 - 8 * (place % 4)), 24);
      pair[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v), d[half], m[half]);
    }
    store_pair(pair[0], pair[1], tiles + 32 * k);
  }
}

#define SPLIT_LAYOUT(LAYOUT)                                                            \
  case REFT_ROWS16_##LAYOUT:                                                            \
    for (size_t b = 0; b < count; b++)                                                  \
      split_block(REFT_ROWS16_##LAYOUT, group + b * size, tiles + b * REFT_SPLIT_TILE); \
    break;

SPLIT void reft_split_rows16_avx512(uint32_t layout, const uint8_t* group, size_t block,
                                    size_t count, uint8_t* tiles) {
  size_t size = reft_rows16_block_bytes(layout);
  group += block * size;
  switch (layout) {
    SPLIT_LAYOUT(NIBBLES)
    SPLIT_LAYOUT(BYTES)
    SPLIT_LAYOUT(OFFSET)
    SPLIT_LAYOUT(HALVES)
    SPLIT_LAYOUT(PAIRS)
    default:
      break;
  }
}

// Rows of C come from far away; some are asked for in each run, while the products before are
// summed.
#define WANT(ROWS, COLUMNS)                                         \
  for (size_t i = 0; i < wanted && next < 16 * ROWS; i++, next++) { \
    _m_prefetchw(c + next * ldc);                                   \
    if (COLUMNS > 1) _m_prefetchw(c + next * ldc + 16);             \
  }
// Tiles 0 to 3 are C, 4 and 5 A, 6 and 7 B.
#define LEFT(ROWS, PART)        \
  _tile_loadd(4, a + PART, 64); \
  if (ROWS > 1) _tile_loadd(5, a + as + PART, 64);
#define RIGHT(COLUMNS, PART)    \
  _tile_loadd(6, b + PART, 64); \
  if (COLUMNS > 1) _tile_loadd(7, b + bs + PART, 64);
#define PRODUCTS(ROWS, COLUMNS)             \
  _tile_dpbf16ps(0, 4, 6);                  \
  if (COLUMNS > 1) _tile_dpbf16ps(1, 4, 7); \
  if (ROWS > 1) _tile_dpbf16ps(2, 5, 6);    \
  if (ROWS > 1 && COLUMNS > 1) _tile_dpbf16ps(3, 5, 7);
// What one run adds: of whole numbers, or of their high parts.
#define SUMS_2(ROWS, COLUMNS) \
  LEFT(ROWS, 0)               \
  RIGHT(COLUMNS, 1024)        \
  PRODUCTS(ROWS, COLUMNS)     \
  RIGHT(COLUMNS, 0)           \
  PRODUCTS(ROWS, COLUMNS)     \
  LEFT(ROWS, 1024)            \
  PRODUCTS(ROWS, COLUMNS)
#define SUMS_1(ROWS, COLUMNS) \
  LEFT(ROWS, 0)               \
  RIGHT(COLUMNS, 0)           \
  PRODUCTS(ROWS, COLUMNS)
#define BLOCK(HALVES, ROWS, COLUMNS)                                                              \
  TILES static void block_##HALVES##_##ROWS##_##COLUMNS(size_t runs, const uint8_t* a, size_t as, \
                                                        const uint8_t* b, size_t bs, float* c,    \
                                                        size_t ldc, int accumulate) {             \
    if (accumulate) {                                                                             \
      _tile_loadd(0, c, 4 * ldc);                                                                 \
      if (COLUMNS > 1) _tile_loadd(1, c + 16, 4 * ldc);                                           \
      if (ROWS > 1) _tile_loadd(2, c + 16 * ldc, 4 * ldc);                                        \
      if (ROWS > 1 && COLUMNS > 1) _tile_loadd(3, c + 16 * ldc + 16, 4 * ldc);                    \
    } else {                                                                                      \
      _tile_zero(0);                                                                              \
      if (COLUMNS > 1) _tile_zero(1);                                                             \
      if (ROWS > 1) _tile_zero(2);                                                                \
      if (ROWS > 1 && COLUMNS > 1) _tile_zero(3);                                                 \
    }                                                                                             \
    size_t next = 0, wanted = runs < 4 ? 0 : (16 * ROWS + runs - 1) / runs;                       \
    for (size_t run = 0; run < runs; run++, a += REFT_SPLIT_TILE, b += REFT_SPLIT_TILE) {         \
      WANT(ROWS, COLUMNS)                                                                         \
      SUMS_##HALVES(ROWS, COLUMNS)                                                                \
    }                                                                                             \
    _tile_stored(0, c, 4 * ldc);                                                                  \
    if (COLUMNS > 1) _tile_stored(1, c + 16, 4 * ldc);                                            \
    if (ROWS > 1) _tile_stored(2, c + 16 * ldc, 4 * ldc);                                         \
    if (ROWS > 1 && COLUMNS > 1) _tile_stored(3, c + 16 * ldc + 16, 4 * ldc);                     \
  }
#define BLOCKS(HALVES) \
  BLOCK(HALVES, 1, 1)  \
  BLOCK(HALVES, 1, 2)  \
  BLOCK(HALVES, 2, 1)  \
  BLOCK(HALVES, 2, 2)
BLOCKS(1)
BLOCKS(2)

typedef void (*block_t)(size_t, const uint8_t*, size_t, const uint8_t*, size_t, float*, size_t,
                        int);
#define BLOCKS_OF(HALVES)                           \
  {                                                 \
    {block_##HALVES##_1_1, block_##HALVES##_1_2}, { \
      block_##HALVES##_2_1, block_##HALVES##_2_2    \
    }                                               \
  }
// By halves, rows and columns of tiles, each less one.
static const block_t blocks[2][2][2] = {BLOCKS_OF(1), BLOCKS_OF(2)};

// Rows and columns that are no whole tiles go through a copy, with the same sums.
static void edge(block_t block, size_t rows, size_t columns, size_t runs, const uint8_t* a,
                 size_t as, const uint8_t* b, size_t bs, float* c, size_t ldc, int accumulate) {
  float copy[32 * 32];
  if (accumulate) {
    memset(copy, 0, sizeof copy);
    for (size_t i = 0; i < rows; i++) memcpy(copy + i * 32, c + i * ldc, 4 * columns);
  }
  block(runs, a, as, b, bs, copy, 32, accumulate);
  for (size_t i = 0; i < rows; i++) memcpy(c + i * ldc, copy + i * 32, 4 * columns);
}

TILES void reft_gemm_split_amx(size_t m, size_t columns, size_t runs, const uint8_t* left,
                               size_t left_stride, const uint8_t* right, size_t right_stride,
                               int halves, float* c, size_t ldc, int accumulate) {
  tile_shapes_t shapes;
  memset(&shapes, 0, sizeof shapes);
  shapes.palette = 1;
  for (int i = 0; i < 8; i++) {
    shapes.bytes[i] = 64;
    shapes.rows[i] = 16;
  }
  _tile_loadconfig(&shapes);
  for (size_t j = 0; j < columns; j += 32) {
    size_t width = columns - j < 32 ? columns - j : 32;
    const uint8_t* b = right + j / 16 * right_stride;
    for (size_t i = 0; i < m; i += 32) {
      size_t rows = m - i < 32 ? m - i : 32;
      const uint8_t* a = left + i / 16 * left_stride;
      block_t block = blocks[halves - 1][rows > 16][width > 16];
      float* out = c + i * ldc + j;
      if (rows % 16 || width % 16) {
        edge(block, rows, width, runs, a, left_stride, b, right_stride, out, ldc, accumulate);
      } else {
        block(runs, a, left_stride, b, right_stride, out, ldc, accumulate);
      }
    }
  }
  _tile_release();
}
#endif
