/* SPDX-License-Identifier: Apache-2.0
 * What the layouts of sixteen interleaved rows have, as reft_decode.h says it. */
#ifndef REFT_ROWS16_LAYOUT_H
#define REFT_ROWS16_LAYOUT_H
#include <stddef.h>
#include <stdint.h>

#include "reft_decode.h"

/* The GGUF types that have a layout, by their numbers in the file format. */
enum {
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  IQ4_NL = 20,
  IQ4_XS = 23
};

/* Whether blocks have 32 columns, and so scales of their own. */
static inline int reft_rows16_is_small(uint32_t type) {
  return type < Q2_K || type == IQ4_NL;
}

/* reft_rows16_layout, where a compiler knows the type. */
static inline uint32_t reft_rows16_of_type(uint32_t type) {
  switch (type) {
    case Q4_0:
    case Q4_1:
    case Q4_K:
      return REFT_ROWS16_NIBBLES;
    case Q5_0:
      return REFT_ROWS16_FIVES;
    case Q8_0:
    case IQ4_NL:
    case IQ4_XS:
      return REFT_ROWS16_BYTES;
    case Q5_1:
    case Q5_K:
      return REFT_ROWS16_OFFSET;
    case Q6_K:
      return REFT_ROWS16_HALVES;
    case Q2_K:
    case Q3_K:
      return REFT_ROWS16_PAIRS;
    default:
      return 0;
  }
}

/* Whether codes are nibbles: columns 16 and up in the high ones. */
static inline int reft_rows16_has_nibbles(uint32_t layout) {
  return layout == REFT_ROWS16_NIBBLES || layout == REFT_ROWS16_PAIRS;
}

/* Whether the halves of a block have scales of their own. */
static inline int reft_rows16_has_halves(uint32_t layout) {
  return layout == REFT_ROWS16_HALVES || layout == REFT_ROWS16_PAIRS;
}

/* Whether there are minima beside the scales. */
static inline int reft_rows16_has_minima(uint32_t layout) {
  return layout != REFT_ROWS16_BYTES && layout != REFT_ROWS16_FIVES && layout != REFT_ROWS16_HALVES;
}

/* The layout of the same bytes that every kernel knows. */
static inline uint32_t reft_rows16_known(uint32_t layout) {
  return layout == REFT_ROWS16_FIVES ? REFT_ROWS16_BYTES : layout;
}

/* Whether rows are missing. */
static inline int reft_rows16_has_gaps(const void* const rows[REFT_DECODE_ROWS]) {
  for (int r = 0; r < REFT_DECODE_ROWS; r++) {
    if (!rows[r]) return 1;
  }
  return 0;
}

/* Bytes of the scales and minima before the codes. */
static inline size_t reft_rows16_head_bytes(uint32_t layout) {
  return (size_t)(32 * (1 + reft_rows16_has_halves(layout)) * (1 + reft_rows16_has_minima(layout)));
}
/* reft_rows16_block_bytes, where a compiler knows the layout. */
static inline size_t reft_rows16_block(uint32_t layout) {
  return reft_rows16_head_bytes(layout) + (reft_rows16_has_nibbles(layout) ? 256 : 512);
}
#endif
