/* SPDX-License-Identifier: Apache-2.0
 * The shapes of AMX tiles. */
#ifndef REFT_TILES_H
#define REFT_TILES_H
#include <stdint.h>

/* What _tile_loadconfig reads: bytes of a row and rows of each of the eight tiles. */
typedef struct tile_shapes {
  uint8_t palette, start, reserved[14];
  uint16_t bytes[16];
  uint8_t rows[16];
} tile_shapes_t;

#endif
