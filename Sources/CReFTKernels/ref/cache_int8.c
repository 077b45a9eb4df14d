// SPDX-License-Identifier: Apache-2.0
// Cached keys and values of eight bits: plain loops, the specification.
#include "cache_int8.h"

#include <string.h>

#include "ref_kernels.h"

void reft_cache_store_int8_ref(size_t head_size, size_t first, size_t count, const float* key,
                               const float* value, size_t stride, uint8_t* keys, uint8_t* values) {
  reft_int8_store(head_size, first, count, key, value, stride, keys, values);
}

float reft_cache_key_int8_ref(size_t head_size, const uint8_t* keys, size_t k, size_t j) {
  size_t blocks = reft_int8_columns(head_size) / REFT_DECODE_BLOCK;
  const uint8_t* block = keys + reft_int8_block(k, j, blocks);
  uint16_t scale;
  memcpy(&scale, block + reft_int8_scale(k), 2);
  return reft_float_of_half(scale) * (int8_t)block[reft_int8_code(k, j)];
}

float reft_cache_value_int8_ref(size_t head_size, const uint8_t* values, size_t k, size_t j) {
  size_t place = k % REFT_CACHE_PANEL;
  const uint8_t* panel = values + (k - place) * reft_cache_value_bytes(REFT_CACHE_INT8, head_size);
  const uint8_t* block = panel + reft_int8_block(j, place, REFT_INT8_PANEL_BLOCKS);
  float scale;
  memcpy(&scale, panel + reft_int8_panel_codes(head_size) + 4 * place, 4);
  return scale * (int8_t)block[reft_int8_code(j, place)];
}
