// SPDX-License-Identifier: Apache-2.0
// Sixteen interleaved rows times int8 activations, and the repacking: plain loops, the
// specification.
#include <math.h>
#include <string.h>

#include "dequantize_blocks.h"
#include "ref_kernels.h"
#include "reft_decode.h"
#include "rows16_layout.h"

uint32_t reft_rows16_layout(uint32_t type) {
  return reft_rows16_of_type(type);
}

size_t reft_rows16_block_bytes(uint32_t layout) {
  return reft_rows16_block(layout);
}

static uint16_t half_at(const uint8_t* p) {
  return (uint16_t)(p[0] | p[1] << 8);
}

// Integers, scales and minima of 32 columns: value = d[column / 16] q + m[column / 16]; where all
// columns share them, the second ones are not set.
typedef struct piece {
  int8_t q[32];
  float d[2];
  float m[2];
} piece_t;

// 32 columns of the formats with blocks of 32, whose scales are kept as they are.
static piece_t piece_of_32(uint32_t type, const uint8_t* row, size_t block) {
  piece_t p = {{0}, {0, 0}, {0, 0}};
  if (type == Q8_0) {
    const uint8_t* b = row + block * 34;
    p.d[0] = reft_float_of_half(half_at(b));
    memcpy(p.q, b + 2, 32);
  } else if (type == Q4_0 || type == Q4_1) {
    const uint8_t* b = row + block * (type == Q4_0 ? 18 : 20);
    const uint8_t* q = b + (type == Q4_0 ? 2 : 4);
    p.d[0] = reft_float_of_half(half_at(b));
    p.m[0] = type == Q4_0 ? -8 * p.d[0] : reft_float_of_half(half_at(b + 2));
    for (int j = 0; j < 16; j++) {
      p.q[j] = (int8_t)(q[j] & 15);
      p.q[j + 16] = (int8_t)(q[j] >> 4);
    }
  } else if (type == IQ4_NL) {
    const uint8_t *b = row + block * 18, *q = b + 2;
    p.d[0] = reft_float_of_half(half_at(b));
    for (int j = 0; j < 16; j++) {
      p.q[j] = reft_iq4_levels[q[j] & 15];
      p.q[j + 16] = reft_iq4_levels[q[j] >> 4];
    }
  } else {  // Q5_0, Q5_1
    const uint8_t* b = row + block * (type == Q5_0 ? 22 : 24);
    const uint8_t *high = b + (type == Q5_0 ? 2 : 4), *q = high + 4;
    p.d[0] = reft_float_of_half(half_at(b));
    p.m[0] = type == Q5_0 ? 0 : reft_float_of_half(half_at(b + 2));
    int offset = type == Q5_0 ? 16 : 0;
    for (int j = 0; j < 16; j++) {
      p.q[j] = (int8_t)(((q[j] & 15) | (high[j / 8] >> (j % 8) & 1) << 4) - offset);
      p.q[j + 16] = (int8_t)((q[j] >> 4 | (high[2 + j / 8] >> (j % 8) & 1) << 4) - offset);
    }
  }
  return p;
}

static piece_t piece_of_q2_k(const reft_block_q2_k_t* b, int j) {
  piece_t p = {{0}, {0, 0}, {0, 0}};
  for (int half = 0; half < 2; half++) {
    int scale = b->scales[2 * j + half];
    p.d[half] = reft_half_to_float(b->d) * (float)(scale & 15);
    p.m[half] = -reft_half_to_float(b->dmin) * (float)(scale >> 4);
  }
  for (int i = 0; i < 32; i++) p.q[i] = (int8_t)(b->qs[j / 4 * 32 + i] >> (2 * (j % 4)) & 3);
  return p;
}

// Codes are kept 4 too large, as nibbles, with a minimum that takes it back.
static piece_t piece_of_q3_k(const reft_block_q3_k_t* b, int j) {
  piece_t p = {{0}, {0, 0}, {0, 0}};
  uint8_t scales[16];
  reft_q3_scales(b->scales, scales);
  for (int half = 0; half < 2; half++) {
    p.d[half] = reft_half_to_float(b->d) * (float)(scales[2 * j + half] - 32);
    p.m[half] = -4 * p.d[half];
  }
  for (int i = 0; i < 32; i++) {
    int low = b->qs[j / 4 * 32 + i] >> (2 * (j % 4)) & 3;
    p.q[i] = (int8_t)(low | (b->hmask[i] >> j & 1) << 2);
  }
  return p;
}

static piece_t piece_of_iq4_xs(const reft_block_iq4_xs_t* b, int j) {
  piece_t p = {{0}, {0, 0}, {0, 0}};
  p.d[0] = reft_half_to_float(b->d) * (float)(reft_iq4_xs_scale(j, b) - 32);
  for (int i = 0; i < 16; i++) {
    p.q[i] = reft_iq4_levels[b->qs[16 * j + i] & 15];
    p.q[i + 16] = reft_iq4_levels[b->qs[16 * j + i] >> 4];
  }
  return p;
}

// 32 columns of the formats with blocks of 256, whose scales are products.
static piece_t piece_of_256(uint32_t type, const uint8_t* row, size_t block) {
  piece_t p = {{0}, {0, 0}, {0, 0}};
  int place = (int)(block % 8);
  if (type == Q2_K) return piece_of_q2_k((const reft_block_q2_k_t*)row + block / 8, place);
  if (type == Q3_K) return piece_of_q3_k((const reft_block_q3_k_t*)row + block / 8, place);
  if (type == IQ4_XS) return piece_of_iq4_xs((const reft_block_iq4_xs_t*)row + block / 8, place);
  if (type == Q4_K || type == Q5_K) {
    const uint8_t* b = row + block / 8 * (type == Q4_K ? 144 : 176);
    int j = (int)(block % 8);
    uint8_t scale, minimum;
    reft_k4_scale(j, b + 4, &scale, &minimum);
    p.d[0] = reft_float_of_half(half_at(b)) * (float)scale;
    p.m[0] = -reft_float_of_half(half_at(b + 2)) * (float)minimum;
    const uint8_t* q = b + (type == Q4_K ? 16 : 48) + j / 2 * 32;
    for (int i = 0; i < 32; i++) {
      int low = j % 2 ? q[i] >> 4 : q[i] & 15;
      p.q[i] = (int8_t)(type == Q4_K ? low : low | (b[16 + i] >> j & 1) << 4);
    }
  } else {  // Q6_K
    const uint8_t* b = row + block / 8 * 210;
    int j = (int)(block % 8), half = j / 4, part = j % 4;
    const uint8_t *low = b + half * 64 + part % 2 * 32, *high = b + 128 + half * 32;
    const int8_t* scales = (const int8_t*)b + 192 + half * 8 + part * 2;
    float d = reft_float_of_half(half_at(b + 208));
    p.d[0] = d * scales[0];
    p.d[1] = d * scales[1];
    for (int i = 0; i < 32; i++) {
      int bits = part < 2 ? low[i] & 15 : low[i] >> 4;
      p.q[i] = (int8_t)((bits | (high[i] >> (2 * part) & 3) << 4) - 32);
    }
  }
  return p;
}

static piece_t piece_of(uint32_t type, const uint8_t* row, size_t block) {
  return reft_rows16_is_small(type) ? piece_of_32(type, row, block)
                                    : piece_of_256(type, row, block);
}

// Puts the codes of 32 columns of row `r` where the layout has them, four at a time.
static void place_codes(const piece_t* p, int in_nibbles, int r, uint8_t* q) {
  uint32_t words[8];
  memcpy(words, p->q, 32);
  for (int c = 0; c < (in_nibbles ? 4 : 8); c++) {
    uint32_t word = in_nibbles ? words[c] | words[c + 4] << 4 : words[c];
    memcpy(q + c * 64 + r * 4, &word, 4);
  }
}

void reft_rows16_repack_ref(uint32_t type, size_t columns, const void* const rows[16],
                            uint8_t* out) {
  uint32_t layout = reft_rows16_layout(type);
  size_t bytes = reft_rows16_block_bytes(layout);
  if (reft_rows16_has_gaps(rows)) memset(out, 0, columns / REFT_DECODE_BLOCK * bytes);
  for (size_t block = 0; block < columns / REFT_DECODE_BLOCK; block++, out += bytes) {
    uint16_t* scales = (uint16_t*)out;
    uint8_t* q = out + reft_rows16_head_bytes(layout);
    for (int r = 0; r < REFT_DECODE_ROWS; r++) {
      if (!rows[r]) continue;
      piece_t p = piece_of(type, rows[r], block);
      scales[r] = reft_half_of_float(p.d[0]);
      if (reft_rows16_has_halves(layout)) {
        scales[REFT_DECODE_ROWS + r] = reft_half_of_float(p.d[1]);
      }
      if (layout == REFT_ROWS16_NIBBLES || layout == REFT_ROWS16_OFFSET) {
        scales[REFT_DECODE_ROWS + r] = reft_half_of_float(p.m[0]);
      }
      if (layout == REFT_ROWS16_PAIRS) {
        scales[2 * REFT_DECODE_ROWS + r] = reft_half_of_float(p.m[0]);
        scales[3 * REFT_DECODE_ROWS + r] = reft_half_of_float(p.m[1]);
      }
      place_codes(&p, reft_rows16_has_nibbles(layout), r, q);
    }
  }
}

// Where a column's code lies among words: of four columns, 0 and 2 before 1 and 3.
static size_t word_place(size_t column) {
  return column - column % 4 + column % 2 * 2 + column % 4 / 2;
}

static void store_code(const reft_activations_t* x, size_t row, size_t column, int32_t code) {
  int8_t* q = x->q + row * x->digits * x->columns;
  if (x->code_bytes == 2) {
    int16_t word = (int16_t)code;
    memcpy(q + 2 * word_place(column), &word, sizeof word);
  } else if (x->digits == 1) {
    q[column] = (int8_t)code;
  } else {
    int32_t high = (int32_t)nearbyintf((float)code * (1 / 255.0f));
    q[column] = (int8_t)high;
    q[x->columns + column] = (int8_t)(code - 255 * high);
  }
}

// Rounds the 32 numbers of a row from a column on with one scale.
static void quantize_block(const float* x, const reft_activations_t* out, size_t row,
                           size_t column) {
  size_t at = row * (out->columns / REFT_DECODE_BLOCK) + column / REFT_DECODE_BLOCK;
  int32_t* counts = out->counts + 2 * at;
  float largest = 0, levels = out->digits == 2 ? REFT_DECODE_LEVELS2 : REFT_DECODE_LEVELS1;
  int is_finite = 1;
  for (int j = 0; j < 32; j++) {
    largest = fmaxf(largest, fabsf(x[j]));
    if (!isfinite(x[j])) is_finite = 0;
  }
  float inverse = is_finite && largest > REFT_DECODE_SMALLEST ? levels / largest : 0;
  counts[0] = counts[1] = 0;
  for (int j = 0; j < 32; j++) {
    int32_t code = is_finite ? (int32_t)nearbyintf(x[j] * inverse) : 0;
    counts[j / 16] += code;
    store_code(out, row, column + (size_t)j, code);
  }
  out->scale[at] = is_finite ? largest / levels : NAN;
  out->sum[at] = out->scale[at] * (float)(counts[0] + counts[1]);
}

void reft_quantize_rows_ref(const float* x, size_t stride, const reft_activations_t* out,
                            size_t first, size_t count) {
  for (size_t i = first; i < first + count; i++) {
    for (size_t column = 0; column < out->columns; column += REFT_DECODE_BLOCK) {
      quantize_block(x + i * stride + column, out, i, column);
    }
  }
}

static int column_value(uint32_t layout, const uint8_t* q, int r, int j) {
  int c = j / 4, t = j % 4;
  if (reft_rows16_has_nibbles(layout)) {
    uint8_t byte = q[c % 4 * 64 + r * 4 + t];
    return c < 4 ? byte & 15 : byte >> 4;
  }
  return (int8_t)q[c * 64 + r * 4 + t];
}

void reft_rows16_values_ref(uint32_t layout, const uint8_t* group, size_t block, size_t count,
                            float* out) {
  int has_minima = reft_rows16_has_minima(layout), halves = reft_rows16_has_halves(layout);
  for (size_t b = block; b < block + count; b++) {
    const uint8_t* at = group + b * reft_rows16_block_bytes(layout);
    const uint16_t* scales = (const uint16_t*)at;
    for (int j = 0; j < 32; j++) {
      int half = halves ? j / 16 : 0;
      const uint16_t* d = scales + half * REFT_DECODE_ROWS;
      const uint16_t* m = scales + (halves ? 2 + half : 1) * REFT_DECODE_ROWS;
      for (int r = 0; r < REFT_DECODE_ROWS; r++) {
        float q = (float)column_value(layout, at + reft_rows16_head_bytes(layout), r, j);
        float minimum = has_minima ? reft_float_of_half(m[r]) : 0;
        *out++ = reft_float_of_half(d[r]) * q + minimum;
      }
    }
  }
}

int32_t reft_activation_code(const reft_activations_t* x, size_t row, size_t column) {
  const int8_t* q = x->q + row * x->digits * x->columns;
  if (x->code_bytes == 2) {
    int16_t word;
    memcpy(&word, q + 2 * word_place(column), sizeof word);
    return word;
  }
  return x->digits == 1 ? q[column] : 255 * q[column] + q[x->columns + column];
}

/* One row of activations times one weight row of a group. */
static float dot_of(uint32_t layout, const uint8_t* group, const reft_activations_t* x, size_t i,
                    size_t r) {
  size_t blocks = x->columns / REFT_DECODE_BLOCK, bytes = reft_rows16_block_bytes(layout);
  float sum = 0;
  for (size_t b = 0; b < blocks; b++) {
    const uint8_t* at = group + b * bytes;
    const uint16_t* scales = (const uint16_t*)at;
    const uint8_t* q = at + reft_rows16_head_bytes(layout);
    int32_t dots[2] = {0, 0};
    for (int j = 0; j < 32; j++) {
      int32_t code = reft_activation_code(x, i, b * REFT_DECODE_BLOCK + (size_t)j);
      dots[j / 16] += column_value(layout, q, (int)r, j) * code;
    }
    float scale = x->scale[i * blocks + b], d = reft_float_of_half(scales[r]);
    if (reft_rows16_has_halves(layout)) {
      sum += (float)dots[0] * (d * scale);
      sum += (float)dots[1] * (reft_float_of_half(scales[REFT_DECODE_ROWS + r]) * scale);
    } else {
      sum += (float)(dots[0] + dots[1]) * (d * scale);
    }
    if (layout == REFT_ROWS16_NIBBLES || layout == REFT_ROWS16_OFFSET) {
      sum += reft_float_of_half(scales[REFT_DECODE_ROWS + r]) * x->sum[i * blocks + b];
    }
    if (layout == REFT_ROWS16_PAIRS) {
      const int32_t* counts = x->counts + 2 * (i * blocks + b);
      sum += reft_float_of_half(scales[2 * REFT_DECODE_ROWS + r]) * ((float)counts[0] * scale);
      sum += reft_float_of_half(scales[3 * REFT_DECODE_ROWS + r]) * ((float)counts[1] * scale);
    }
  }
  return sum;
}

void reft_rows16_dot_ref(uint32_t layout, const uint8_t* groups, const reft_activations_t* x,
                         size_t rows, float* y, size_t stride) {
  size_t group_bytes = x->columns / REFT_DECODE_BLOCK * reft_rows16_block_bytes(layout);
  for (size_t i = 0; i < x->n; i++) {
    for (size_t r = 0; r < rows; r++) {
      y[i * stride + r] =
          dot_of(layout, groups + r / REFT_DECODE_ROWS * group_bytes, x, i, r % REFT_DECODE_ROWS);
    }
  }
}
