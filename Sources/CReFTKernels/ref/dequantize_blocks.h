// SPDX-License-Identifier: Apache-2.0
// The byte layout of every quantised block.
// Private to the dequantise kernels.  All fields are bytes: blocks lie at odd addresses in files.

#ifndef REFT_DEQUANTIZE_BLOCKS_H
#define REFT_DEQUANTIZE_BLOCKS_H

#include <stdint.h>
#include <string.h>

#include "half.h"

// Half-precision numbers, kept as their two bytes.
typedef struct {
  uint8_t bytes[2];
} reft_half_t;

// 32 elements each.
typedef struct {
  reft_half_t d;
  uint8_t qs[16];
} reft_block_q4_0_t;
typedef struct {
  reft_half_t d, m;
  uint8_t qs[16];
} reft_block_q4_1_t;
typedef struct {
  reft_half_t d;
  uint8_t qh[4], qs[16];
} reft_block_q5_0_t;
typedef struct {
  reft_half_t d, m;
  uint8_t qh[4], qs[16];
} reft_block_q5_1_t;
typedef struct {
  reft_half_t d;
  int8_t qs[32];
} reft_block_q8_0_t;
typedef struct {
  reft_half_t d;
  uint8_t qs[16];
} reft_block_iq4_nl_t;

// 256 elements each.
typedef struct {
  uint8_t scales[16], qs[64];
  reft_half_t d, dmin;
} reft_block_q2_k_t;
typedef struct {
  uint8_t hmask[32], qs[64], scales[12];
  reft_half_t d;
} reft_block_q3_k_t;
typedef struct {
  reft_half_t d, dmin;
  uint8_t scales[12], qs[128];
} reft_block_q4_k_t;
typedef struct {
  reft_half_t d, dmin;
  uint8_t scales[12], qh[32], qs[128];
} reft_block_q5_k_t;
typedef struct {
  uint8_t ql[128], qh[64];
  int8_t scales[16];
  reft_half_t d;
} reft_block_q6_k_t;
typedef struct {
  reft_half_t d;
  uint8_t scales_h[2], scales_l[4], qs[128];
} reft_block_iq4_xs_t;

_Static_assert(sizeof(reft_block_q4_0_t) == 18, "Q4_0 block");
_Static_assert(sizeof(reft_block_q4_1_t) == 20, "Q4_1 block");
_Static_assert(sizeof(reft_block_q5_0_t) == 22, "Q5_0 block");
_Static_assert(sizeof(reft_block_q5_1_t) == 24, "Q5_1 block");
_Static_assert(sizeof(reft_block_q8_0_t) == 34, "Q8_0 block");
_Static_assert(sizeof(reft_block_iq4_nl_t) == 18, "IQ4_NL block");
_Static_assert(sizeof(reft_block_q2_k_t) == 84, "Q2_K block");
_Static_assert(sizeof(reft_block_q3_k_t) == 110, "Q3_K block");
_Static_assert(sizeof(reft_block_q4_k_t) == 144, "Q4_K block");
_Static_assert(sizeof(reft_block_q5_k_t) == 176, "Q5_K block");
_Static_assert(sizeof(reft_block_q6_k_t) == 210, "Q6_K block");
_Static_assert(sizeof(reft_block_iq4_xs_t) == 136, "IQ4_XS block");

// The sixteen levels of the IQ4 types, as ggml defines them.
static const int8_t reft_iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                           1,    13,   25,  38,  53,  69,  89,  113};

static inline float reft_half_to_float(reft_half_t half) {
  return reft_float_of_half((uint16_t)(half.bytes[0] | half.bytes[1] << 8));
}

// The 6-bit scale and minimum of sub-block `j` (0…7) of a Q4_K or Q5_K block.
static inline void reft_k4_scale(int j, const uint8_t* q, uint8_t* scale, uint8_t* minimum) {
  if (j < 4) {
    *scale = q[j] & 63;
    *minimum = q[j + 4] & 63;
  } else {
    *scale = (uint8_t)((q[j + 4] & 0xf) | q[j - 4] >> 6 << 4);
    *minimum = (uint8_t)(q[j + 4] >> 4 | q[j] >> 6 << 4);
  }
}

// The sixteen 6-bit scales of a Q3_K block, 32 too large.
static inline void reft_q3_scales(const uint8_t* q, uint8_t* scales) {
  for (int j = 0; j < 16; j++) {
    const uint8_t low = j < 8 ? q[j] & 0xf : q[j - 8] >> 4;
    scales[j] = (uint8_t)(low | (q[8 + j % 4] >> 2 * (j / 4) & 3) << 4);
  }
}

// The 6-bit scale of sub-block `j` (0…7) of an IQ4_XS block, 32 too large.
static inline int reft_iq4_xs_scale(int j, const reft_block_iq4_xs_t* block) {
  const int low = block->scales_l[j / 2] >> 4 * (j % 2) & 0xf;
  const int high = (block->scales_h[0] | block->scales_h[1] << 8) >> 2 * j & 3;
  return low | high << 4;
}

#endif
