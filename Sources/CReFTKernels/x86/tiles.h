/* SPDX-License-Identifier: Apache-2.0
 * What the kernels of AMX tiles share: their shapes, and the scales of sixteen rows. */
#ifndef REFT_TILES_H
#define REFT_TILES_H
#include <immintrin.h>
#include <stdint.h>

/* What _tile_loadconfig reads: bytes of a row and rows of each of the eight tiles. */
typedef struct tile_shapes {
  uint8_t palette, start, reserved[14];
  uint16_t bytes[16];
  uint8_t rows[16];
} tile_shapes_t;

/* Sixteen float16 numbers, the scales or minima of sixteen rows. */
__attribute__((target("avx512f"), always_inline)) static inline __m512 halves_at(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p));
}

#endif
