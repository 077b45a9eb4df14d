/* SPDX-License-Identifier: Apache-2.0
 * Where the numbers of a cache of eight bits lie, as reft_attention.h says it. */
#ifndef REFT_CACHE_INT8_H
#define REFT_CACHE_INT8_H
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "half.h"
#include "reft_attention.h"
#include "reft_decode.h"
#include "rows16_layout.h"

/* A block is one of the layout BYTES: sixteen rows of 32 columns, scales before codes. */
#define REFT_INT8_BLOCK reft_rows16_block(REFT_ROWS16_BYTES)
#define REFT_INT8_SCALES reft_rows16_head_bytes(REFT_ROWS16_BYTES)
/* Blocks of sixteen rows of a panel of values. */
#define REFT_INT8_PANEL_BLOCKS (REFT_CACHE_PANEL / REFT_DECODE_BLOCK)

/* A head's numbers, padded to the columns of whole blocks, and to the rows of whole groups. */
static inline size_t reft_int8_columns(size_t head_size) {
  return (head_size + REFT_DECODE_BLOCK - 1) / REFT_DECODE_BLOCK * REFT_DECODE_BLOCK;
}
static inline size_t reft_int8_rows(size_t head_size) {
  return (head_size + REFT_DECODE_ROWS - 1) / REFT_DECODE_ROWS * REFT_DECODE_ROWS;
}

/* Bytes of a panel of values before its scales. */
static inline size_t reft_int8_panel_codes(size_t head_size) {
  return reft_int8_rows(head_size) / REFT_DECODE_ROWS * REFT_INT8_PANEL_BLOCKS * REFT_INT8_BLOCK;
}

/* The block that holds a row and a column of a matrix with so many blocks a group. */
static inline size_t reft_int8_block(size_t row, size_t column, size_t blocks) {
  return (row / REFT_DECODE_ROWS * blocks + column / REFT_DECODE_BLOCK) * REFT_INT8_BLOCK;
}
/* The place of a row's scale, and of its code at a column, in their block. */
static inline size_t reft_int8_scale(size_t row) {
  return row % REFT_DECODE_ROWS * 2;
}
static inline size_t reft_int8_code(size_t row, size_t column) {
  return REFT_INT8_SCALES + column % REFT_DECODE_BLOCK / 4 * 64 + row % REFT_DECODE_ROWS * 4 +
         column % 4;
}

/* What follows becomes part of its callers, for the registers that they have. */
#define REFT_INT8_INLINE static inline __attribute__((always_inline))

/* The scale of so many numbers: their largest magnitude over 127; NaN where one is not finite. */
REFT_INT8_INLINE float reft_int8_scale_of(const float* x, size_t n) {
  uint32_t largest = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, 4);
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  float magnitude;
  memcpy(&magnitude, &largest, 4);
  return largest < 0x7f800000 ? magnitude / 127 : NAN;
}

/* codes = x / scale, rounded; zeros where there is no scale. */
REFT_INT8_INLINE void reft_int8_codes_of(const float* x, size_t n, float scale, int8_t* codes) {
  float inverse = scale > REFT_DECODE_SMALLEST ? 1 / scale : 0;
  for (size_t i = 0; i < n; i++) {
    float code = inverse > 0 ? nearbyintf(x[i] * inverse) : 0;
    codes[i] = (int8_t)(code > 127 ? 127 : code < -127 ? -127 : code);
  }
}

REFT_INT8_INLINE void reft_int8_store_key(size_t head_size, size_t k, const float* key,
                                          uint8_t* keys) {
  size_t columns = reft_int8_columns(head_size);
  for (size_t first = 0; first < columns; first += REFT_DECODE_BLOCK) {
    size_t count = head_size - first < REFT_DECODE_BLOCK ? head_size - first : REFT_DECODE_BLOCK;
    uint8_t* block = keys + reft_int8_block(k, first, columns / REFT_DECODE_BLOCK);
    uint16_t half = reft_half_of_float(reft_int8_scale_of(key + first, count));
    int8_t codes[REFT_DECODE_BLOCK] = {0};
    reft_int8_codes_of(key + first, count, reft_float_of_half(half), codes);
    memcpy(block + reft_int8_scale(k), &half, 2);
    for (size_t j = 0; j < REFT_DECODE_BLOCK; j += 4) {
      memcpy(block + reft_int8_code(k, j), codes + j, 4);
    }
  }
}

/* A page comes with anything in it: the first value of a panel brings all its scales of one. */
REFT_INT8_INLINE void reft_int8_store_value(size_t head_size, size_t k, const float* value,
                                            uint8_t* values) {
  size_t place = k % REFT_CACHE_PANEL, bytes = reft_int8_panel_codes(head_size);
  uint8_t* panel = values + (k - place) * reft_cache_value_bytes(REFT_CACHE_INT8, head_size);
  float scale = reft_int8_scale_of(value, head_size);
  memcpy(panel + bytes + 4 * place, &scale, 4);
  if (place == 0) {
    const uint16_t one = 0x3c00;
    for (size_t block = 0; block < bytes; block += REFT_INT8_BLOCK) {
      for (size_t r = 0; r < REFT_DECODE_ROWS; r++) {
        memcpy(panel + block + reft_int8_scale(r), &one, 2);
      }
    }
  }
  for (size_t first = 0; first < head_size; first += REFT_DECODE_ROWS) {
    size_t count = head_size - first < REFT_DECODE_ROWS ? head_size - first : REFT_DECODE_ROWS;
    uint8_t* block = panel + reft_int8_block(first, place, REFT_INT8_PANEL_BLOCKS);
    int8_t codes[REFT_DECODE_ROWS] = {0};
    reft_int8_codes_of(value + first, count, scale, codes);
    for (size_t j = 0; j < REFT_DECODE_ROWS; j++) {
      block[reft_int8_code(j, place)] = (uint8_t)codes[j];
    }
  }
}

/* Writes `count` keys and values at the places from `first` on. */
REFT_INT8_INLINE void reft_int8_store(size_t head_size, size_t first, size_t count,
                                      const float* key, const float* value, size_t stride,
                                      uint8_t* keys, uint8_t* values) {
  for (size_t i = 0; i < count; i++, key += stride, value += stride) {
    reft_int8_store_key(head_size, first + i, key, keys);
    reft_int8_store_value(head_size, first + i, value, values);
  }
}
#endif
