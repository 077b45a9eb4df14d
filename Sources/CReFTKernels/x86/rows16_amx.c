// SPDX-License-Identifier: Apache-2.0
// Sixteen interleaved rows times the codes of eight rows of activations on AMX tiles: their two
// digits fill a tile, and weights are taken as they lie. The integers, and so the results, equal
// those of the other forms bit for bit.
//
// A scale for every 32 columns ends each sum: a tile of integers is stored, and taken into the
// floats of its rows behind the tiles of the next block.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "reft_decode.h"
#include "tiles.h"
#include "x86_kernels.h"

#define TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,amx-tile,amx-int8")))
#define ANY TARGET static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

// Rows of activations that fill a tile, and groups of weights that share a load of them.
#define ROWS REFT_ROWS16_TILE
#define GROUPS 2

// Tiles 0 and 1 are sums, 2 activations, 3 and 4 weights of one block.
TARGET static void shape_tiles(void) {
  tile_shapes_t shapes;
  memset(&shapes, 0, sizeof shapes);
  shapes.palette = 1;
  for (int i = 0; i < 5; i++) {
    shapes.bytes[i] = i == 2 ? REFT_DECODE_BLOCK : 64;
    shapes.rows[i] = i < 3 ? 2 * ROWS : REFT_DECODE_BLOCK / 4;
  }
  _tile_loadconfig(&shapes);
}

// Nibbles become bytes.
ANY void widen(const uint8_t* q, uint8_t* out) {
  const __m512i low = _mm512_set1_epi8(15);
  UNROLL for (int c = 0; c < 4; c++) {
    __m512i v = _mm512_loadu_si512(q + 64 * c);
    _mm512_store_si512(out + 64 * c, _mm512_and_si512(v, low));
    _mm512_store_si512(out + 64 * (4 + c), _mm512_and_si512(_mm512_srli_epi16(v, 4), low));
  }
}

// Takes the sums of a block into those of its rows, in the order of the other forms. A digit's sum
// is a float without rounding, so 255 high + low is rounded once, as the integer is.
ANY void take(int has_minima, const uint8_t* scales, const int32_t* dots, const float* scale,
              const float* sum, size_t blocks, __m512* sums) {
  const __m512 base = _mm512_set1_ps(255);
  __m512 d = halves_at(scales), m = has_minima ? halves_at(scales + 32) : _mm512_setzero_ps();
  UNROLL for (int i = 0; i < ROWS; i++, dots += 32, scale += blocks, sum += blocks) {
    __m512 high = _mm512_cvtepi32_ps(_mm512_load_si512(dots));
    __m512 low = _mm512_cvtepi32_ps(_mm512_load_si512(dots + 16));
    __m512 s = _mm512_mul_ps(d, _mm512_set1_ps(*scale));
    sums[i] = _mm512_fmadd_ps(_mm512_fmadd_ps(high, base, low), s, sums[i]);
    if (has_minima) sums[i] = _mm512_fmadd_ps(m, _mm512_set1_ps(*sum), sums[i]);
  }
}

// Some rows of a weight, up to as many as `groups` groups have, with eight rows of activations.
ANY void dot_groups(uint32_t layout, int groups, const uint8_t* first, size_t group_bytes,
                    const reft_activations_t* x, size_t rows, float* y, size_t stride) {
  const int has_nibbles = layout == REFT_ROWS16_NIBBLES, has_minima = layout != REFT_ROWS16_BYTES;
  const size_t head = has_minima ? 64 : 32, size = head + (has_nibbles ? 256 : 512);
  const size_t blocks = x->columns / REFT_DECODE_BLOCK;
  _Alignas(64) uint8_t wide[2][GROUPS][512];
  _Alignas(64) int32_t dots[2][GROUPS][16 * 16];
  __m512 sums[GROUPS][ROWS];
  UNROLL for (int g = 0; g < groups; g++) {
    UNROLL for (int i = 0; i < ROWS; i++) sums[g][i] = _mm512_setzero_ps();
    if (has_nibbles) widen(first + (size_t)g * group_bytes + head, wide[0][g]);
  }
  for (size_t b = 0; b <= blocks; b++) {
    const uint8_t* at = first + b * size;
    size_t slot = b & 1;
    if (b < blocks) {
      UNROLL for (int g = 0; g < groups; g++) for (size_t i = 0; i < size; i += 64)
          _mm_prefetch((const char*)at + (size_t)g * group_bytes + 4096 + i, _MM_HINT_T0);
      _tile_loadd(2, x->q + b * REFT_DECODE_BLOCK, x->columns);
      _tile_loadd(3, has_nibbles ? wide[slot][0] : at + head, 64);
      _tile_zero(0);
      _tile_dpbssd(0, 2, 3);
      if (groups > 1) {
        _tile_loadd(4, has_nibbles ? wide[slot][1] : at + group_bytes + head, 64);
        _tile_zero(1);
        _tile_dpbssd(1, 2, 4);
      }
      if (has_nibbles && b + 1 < blocks)
        UNROLL for (int g = 0; g < groups; g++)
            widen(at + (size_t)g * group_bytes + size + head, wide[slot ^ 1][g]);
      _tile_stored(0, dots[slot][0], 64);
      if (groups > 1) _tile_stored(1, dots[slot][1], 64);
    }
    if (b > 0)
      UNROLL for (int g = 0; g < groups; g++)
          take(has_minima, at - size + (size_t)g * group_bytes, dots[slot ^ 1][g], x->scale + b - 1,
               x->sum + b - 1, blocks, sums[g]);
  }
  UNROLL for (int g = 0; g < groups; g++) UNROLL for (int i = 0; i < ROWS; i++) {
    size_t row = (size_t)g * REFT_DECODE_ROWS;
    __mmask16 lanes = rows - row < 16 ? (__mmask16)((1u << (rows - row)) - 1) : 0xffff;
    _mm512_mask_storeu_ps(y + (size_t)i * stride + row, lanes, sums[g][i]);
  }
}

#define DEFINE(LAYOUT, COUNT)                                                                   \
  TARGET static void dot_##LAYOUT##_##COUNT(const uint8_t* groups, size_t group_bytes,          \
                                            const reft_activations_t* x, size_t rows, float* y, \
                                            size_t stride) {                                    \
    dot_groups(REFT_ROWS16_##LAYOUT, COUNT, groups, group_bytes, x, rows, y, stride);           \
  }
DEFINE(NIBBLES, 1)
DEFINE(NIBBLES, 2)
DEFINE(BYTES, 1)
DEFINE(BYTES, 2)
DEFINE(OFFSET, 1)
DEFINE(OFFSET, 2)

typedef void (*dot_t)(const uint8_t*, size_t, const reft_activations_t*, size_t, float*, size_t);
// By layout and groups, less one.
static const dot_t dots_by_layout[4][2] = {
    {0}, {dot_NIBBLES_1, dot_NIBBLES_2}, {dot_BYTES_1, dot_BYTES_2}, {dot_OFFSET_1, dot_OFFSET_2}};

TARGET void reft_rows16_dot_amx(uint32_t layout, const uint8_t* groups, const reft_activations_t* x,
                                size_t rows, float* y, size_t stride) {
  size_t group_bytes = x->columns / REFT_DECODE_BLOCK * reft_rows16_block_bytes(layout);
  shape_tiles();
  for (size_t r = 0; r < rows; r += GROUPS * REFT_DECODE_ROWS) {
    const dot_t* dots = dots_by_layout[layout];
    dots[r + REFT_DECODE_ROWS < rows](groups, group_bytes, x, rows - r, y + r, stride);
    groups += GROUPS * group_bytes;
  }
  _tile_release();
}
#endif
