// SPDX-License-Identifier: Apache-2.0
// Floating-point weights times few rows, and rounded ones times many, as plain loops: the
// specification.
#include <math.h>

#include "ref_kernels.h"
#include "reft_dequantize.h"

int reft_is_plain(uint32_t type) {
  return type == 0 || type == 1 || type == 30;
}

static float number(uint32_t type, const uint8_t* row, size_t j) {
  float value;
  if (type == 0) {
    reft_dequantize_f32_ref(row + 4 * j, &value, 1);
  } else if (type == 1) {
    reft_dequantize_f16_ref(row + 2 * j, &value, 1);
  } else {
    reft_dequantize_bf16_ref(row + 2 * j, &value, 1);
  }
  return value;
}

void reft_plain_rows_dot_ref(const reft_plain_rows_t* w, size_t n, const float* x, size_t x_stride,
                             float* y, size_t y_stride, int accumulate) {
  for (size_t r = 0; r < w->rows; r++) {
    const uint8_t* row = (const uint8_t*)w->data + r * w->bytes;
    for (size_t i = 0; i < n; i++) {
      float sum = 0;
      for (size_t j = 0; j < w->columns; j++) {
        sum += number(w->type, row, j) * x[i * x_stride + j];
      }
      float* out = y + i * y_stride + r;
      *out = accumulate ? *out + sum : sum;
    }
  }
}

// Columns of a weight's row that share a scale.
#define PLAIN_BLOCK (REFT_DECODE_BLOCK / 2)

// Sixteen rounded rows of 32 columns.
typedef struct block {
  int16_t codes[REFT_DECODE_ROWS][REFT_DECODE_BLOCK];
  float scales[REFT_DECODE_ROWS][2];
} block_t;
_Static_assert(sizeof(block_t) <= REFT_ROUNDED_BLOCK, "what callers keep for a rounded block");

// The codes of some numbers; returns their scale.
static float round_numbers(const float* values, int16_t* codes) {
  float largest = 0;
  int is_finite = 1;
  for (size_t j = 0; j < PLAIN_BLOCK; j++) {
    is_finite &= isfinite(values[j]) != 0;
    largest = fmaxf(largest, fabsf(values[j]));
  }
  float inverse = is_finite && largest > REFT_DECODE_SMALLEST ? REFT_PLAIN_LEVELS / largest : 0;
  for (size_t j = 0; j < PLAIN_BLOCK; j++) {
    codes[j] = is_finite ? (int16_t)rintf(values[j] * inverse) : 0;
  }
  return is_finite ? largest / REFT_PLAIN_LEVELS : NAN;
}

void reft_round_plain_rows_ref(const reft_plain_rows_t* w, void* out) {
  block_t* blocks = (block_t*)out;
  size_t across = w->columns / REFT_DECODE_BLOCK;
  for (size_t r = 0; r < w->rows; r++) {
    const uint8_t* row = (const uint8_t*)w->data + r * w->bytes;
    block_t* group = blocks + r / REFT_DECODE_ROWS * across;
    for (size_t at = 0; at < w->columns; at += PLAIN_BLOCK) {
      float values[PLAIN_BLOCK];
      for (size_t j = 0; j < PLAIN_BLOCK; j++) values[j] = number(w->type, row, at + j);
      block_t* block = group + at / REFT_DECODE_BLOCK;
      size_t place = r % REFT_DECODE_ROWS, first = at % REFT_DECODE_BLOCK;
      block->scales[place][first / PLAIN_BLOCK] =
          round_numbers(values, block->codes[place] + first);
    }
  }
}

void reft_rounded_rows_dot_ref(const void* weights, size_t rows, const reft_activations_t* x,
                               float* y, size_t stride) {
  size_t across = x->columns / REFT_DECODE_BLOCK;
  for (size_t r = 0; r < rows; r++) {
    const block_t* group = (const block_t*)weights + r / REFT_DECODE_ROWS * across;
    for (size_t i = 0; i < x->n; i++) {
      float total = 0;
      for (size_t half = 0; half < 2 * across; half++) {
        const block_t* block = group + half / 2;
        const int16_t* codes = block->codes[r % REFT_DECODE_ROWS] + half % 2 * PLAIN_BLOCK;
        int32_t sum = 0;
        for (size_t j = 0; j < PLAIN_BLOCK; j++) {
          sum += codes[j] * reft_activation_code(x, i, half * PLAIN_BLOCK + j);
        }
        float scale = block->scales[r % REFT_DECODE_ROWS][half % 2];
        total = fmaf((float)sum, scale * x->scale[i * across + half / 2], total);
      }
      y[i * stride + r] = total;
    }
  }
}
