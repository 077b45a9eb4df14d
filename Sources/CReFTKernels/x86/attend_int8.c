// SPDX-License-Identifier: Apache-2.0
// Attention of one row over keys and values of eight bits: both are matrices that the products of
// decoded rows read, queries and weights become two digits. So the bits are the same whichever
// instruction set multiplies.
#if defined(__x86_64__)
#include <string.h>

#include "../ref/cache_int8.h"
#include "x86_kernels.h"

#define TARGET __attribute__((target("avx2,fma,f16c")))
// Queries that share a load of keys and values.
#define QUERIES 4

// Codes and scales of a panel's weights.
typedef struct panel_weights {
  int8_t q[QUERIES * REFT_CACHE_PANEL * 2];
  float scale[QUERIES * REFT_INT8_PANEL_BLOCKS];
  float sum[QUERIES * REFT_INT8_PANEL_BLOCKS];
  int32_t counts[QUERIES * REFT_INT8_PANEL_BLOCKS * 2];
} panel_weights_t;

// scores[g][k] = q[g] . k for all keys.
TARGET static void score(size_t count, size_t n, size_t keys, const float* q, const uint8_t* k,
                         float* scores, size_t stride, float* scratch) {
  size_t columns = reft_int8_columns(n), blocks = columns / REFT_DECODE_BLOCK;
  const float* padded = q;
  if (columns != n) {
    float* copy = scratch + 2 * QUERIES * columns;
    memset(copy, 0, count * columns * sizeof(float));
    for (size_t g = 0; g < count; g++) memcpy(copy + g * columns, q + g * n, n * sizeof(float));
    padded = copy;
  }
  float* scale = scratch + QUERIES * columns;
  reft_activations_t x = {count,
                          2,
                          reft_rows16_code_bytes(2),
                          columns,
                          (int8_t*)scratch,
                          scale,
                          scale + QUERIES * blocks,
                          (int32_t*)(scale + 2 * QUERIES * blocks)};
  reft_quantize_rows(padded, columns, &x, 0, count);
  reft_rows16_dot(REFT_ROWS16_BYTES, k, &x, keys, scores, stride);
}

// out[g] = sum_k weights[g][k] v_k. The scales of values become part of the weights, which are zero
// behind the last key.
TARGET static void weigh(size_t count, size_t n, size_t keys, float* weights, size_t stride,
                         const uint8_t* v, float* out, float* scratch) {
  size_t rows = reft_int8_rows(n), bytes = reft_cache_value_bytes(REFT_CACHE_INT8, n);
  for (size_t first = 0; first < keys; first += REFT_CACHE_PANEL, weights += REFT_CACHE_PANEL) {
    const uint8_t* panel = v + first * bytes;
    const float* scales = (const float*)(panel + reft_int8_panel_codes(n));
    size_t seen = keys - first < REFT_CACHE_PANEL ? keys - first : REFT_CACHE_PANEL;
    panel_weights_t codes;
    reft_activations_t x = {
        count,     2,           reft_rows16_code_bytes(2), REFT_CACHE_PANEL, codes.q, codes.scale,
        codes.sum, codes.counts};
    for (size_t g = 0; g < count; g++) {
      float* own = weights + g * stride;
      for (size_t key = 0; key < seen; key++) own[key] *= scales[key];
      for (size_t key = seen; key < REFT_CACHE_PANEL; key++) own[key] = 0;
    }
    reft_quantize_rows(weights, stride, &x, 0, count);
    reft_rows16_dot(REFT_ROWS16_BYTES, panel, &x, rows, scratch, rows);
    for (size_t g = 0; g < count; g++) {
      float* sums = out + g * (n + 2);
      for (size_t j = 0; j < n; j++) {
        sums[j] = (first == 0 ? 0 : sums[j]) + scratch[g * rows + j];
      }
    }
  }
}

TARGET void reft_attend_int8(size_t group, size_t n, size_t skip, size_t keys, float scale,
                             float cap, const float* q, const uint8_t* k, const uint8_t* v,
                             float* scratch, float* out) {
  size_t stride = (keys + REFT_CACHE_PANEL - 1) / REFT_CACHE_PANEL * REFT_CACHE_PANEL;
  float *scores = scratch, *rest = scratch + QUERIES * stride;
  for (size_t first = 0, count = 0; first < group; first += count) {
    count = group - first < QUERIES ? group - first : QUERIES;
    score(count, n, keys, q + first * n, k, scores, stride, rest);
    float* sums = out + first * (n + 2);
    for (size_t g = 0; g < count; g++) {
      float *row = scores + g * stride, *end = sums + g * (n + 2) + n;
      for (size_t key = 0; key < skip; key++) row[key] = 0;
      for (size_t key = skip; key < keys; key++) row[key] *= scale;
      if (cap > 0) reft_softcap_f32(keys - skip, 1, cap, row + skip);
      end[0] = reft_max_f32(keys - skip, row + skip);
      end[1] = reft_exp_sum_f32(keys - skip, end[0], row + skip);
    }
    weigh(count, n, keys, scores, stride, v, sums, rest);
  }
}

TARGET void reft_cache_store_int8(size_t head_size, size_t first, size_t count, const float* key,
                                  const float* value, size_t stride, uint8_t* keys,
                                  uint8_t* values) {
  reft_int8_store(head_size, first, count, key, value, stride, keys, values);
}

TARGET void reft_cache_key_panels_int8(size_t head_size, size_t count, const uint8_t* keys,
                                       float* panels) {
  size_t blocks = reft_int8_columns(head_size) / REFT_DECODE_BLOCK;
  for (size_t first = 0; first < count; first += REFT_DECODE_ROWS) {
    const uint8_t* group = keys + first / REFT_DECODE_ROWS * blocks * REFT_INT8_BLOCK;
    size_t whole = head_size / REFT_DECODE_BLOCK, rest = head_size % REFT_DECODE_BLOCK;
    if (whole > 0) reft_rows16_values(REFT_ROWS16_BYTES, group, 0, whole, panels);
    panels += whole * REFT_DECODE_BLOCK * REFT_DECODE_ROWS;
    if (rest > 0) {
      float block[REFT_DECODE_BLOCK * REFT_DECODE_ROWS];
      reft_rows16_values(REFT_ROWS16_BYTES, group, whole, 1, block);
      memcpy(panels, block, rest * REFT_DECODE_ROWS * sizeof(float));
      panels += rest * REFT_DECODE_ROWS;
    }
  }
}

TARGET void reft_cache_value_rows_int8(size_t head_size, size_t count, const uint8_t* values,
                                       float* rows) {
  size_t bytes = reft_cache_value_bytes(REFT_CACHE_INT8, head_size);
  for (size_t first = 0; first < count; first += REFT_DECODE_BLOCK) {
    size_t place = first % REFT_CACHE_PANEL;
    const uint8_t* panel = values + (first - place) * bytes;
    const float* scales = (const float*)(panel + reft_int8_panel_codes(head_size)) + place;
    size_t seen = count - first < REFT_DECODE_BLOCK ? count - first : REFT_DECODE_BLOCK;
    for (size_t j = 0; j < head_size; j += REFT_DECODE_ROWS) {
      const uint8_t* group = panel + reft_int8_block(j, 0, REFT_INT8_PANEL_BLOCKS);
      size_t width = head_size - j < REFT_DECODE_ROWS ? head_size - j : REFT_DECODE_ROWS;
      float block[REFT_DECODE_BLOCK * REFT_DECODE_ROWS];
      reft_rows16_values(REFT_ROWS16_BYTES, group, place / REFT_DECODE_BLOCK, 1, block);
      for (size_t k = 0; k < seen; k++) {
        float scaled[REFT_DECODE_ROWS];
        for (size_t c = 0; c < REFT_DECODE_ROWS; c++) {
          scaled[c] = scales[k] * block[k * REFT_DECODE_ROWS + c];
        }
        memcpy(rows + (first + k) * head_size + j, scaled, width * sizeof(float));
      }
    }
  }
}
#endif
