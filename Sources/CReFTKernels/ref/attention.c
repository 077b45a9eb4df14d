// SPDX-License-Identifier: Apache-2.0
// Cached keys and values, and attention of one row over them, unnormalised: the specification.
#include <math.h>

#include "cache_int8.h"
#include "half.h"
#include "ref_kernels.h"
#include "reft_attention.h"

static size_t place_of_key(size_t head_size, size_t k, size_t j) {
  return ((k / REFT_CACHE_PANEL) * head_size + j) * REFT_CACHE_PANEL + k % REFT_CACHE_PANEL;
}

static size_t number_bytes(uint32_t format) {
  return format == REFT_CACHE_FLOAT16 ? 2 : 4;
}

size_t reft_cache_key_bytes(uint32_t format, size_t head_size) {
  if (format != REFT_CACHE_INT8) return head_size * number_bytes(format);
  size_t blocks = reft_int8_columns(head_size) / REFT_DECODE_BLOCK;
  return blocks * REFT_INT8_BLOCK / REFT_DECODE_ROWS;
}

size_t reft_cache_value_bytes(uint32_t format, size_t head_size) {
  if (format != REFT_CACHE_INT8) return head_size * number_bytes(format);
  return reft_int8_panel_codes(head_size) / REFT_CACHE_PANEL + sizeof(float);
}

static float number_at(uint32_t format, const void* numbers, size_t at) {
  if (format == REFT_CACHE_FLOAT16) return reft_float_of_half(((const uint16_t*)numbers)[at]);
  return ((const float*)numbers)[at];
}

// Number j of key or value k.
static float key_at(uint32_t format, size_t head_size, const void* keys, size_t k, size_t j) {
  if (format == REFT_CACHE_INT8) return reft_cache_key_int8_ref(head_size, keys, k, j);
  return number_at(format, keys, place_of_key(head_size, k, j));
}

static float value_at(uint32_t format, size_t head_size, const void* values, size_t k, size_t j) {
  if (format == REFT_CACHE_INT8) return reft_cache_value_int8_ref(head_size, values, k, j);
  return number_at(format, values, k * head_size + j);
}

static void put(uint32_t format, void* numbers, size_t at, float value) {
  if (format == REFT_CACHE_FLOAT16) {
    ((uint16_t*)numbers)[at] = reft_half_of_float(value);
  } else {
    ((float*)numbers)[at] = value;
  }
}

void reft_cache_store_ref(uint32_t format, size_t head_size, size_t first, size_t count,
                          const float* key, const float* value, size_t stride, void* keys,
                          void* values) {
  if (format == REFT_CACHE_INT8) {
    reft_cache_store_int8_ref(head_size, first, count, key, value, stride, keys, values);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < head_size; j++) {
      put(format, keys, place_of_key(head_size, first + i, j), key[i * stride + j]);
      put(format, values, (first + i) * head_size + j, value[i * stride + j]);
    }
  }
}

void reft_cache_key_panels_ref(uint32_t format, size_t head_size, size_t count, const void* keys,
                               float* panels) {
  for (size_t k = 0; k < (count + 15) / 16 * 16; k++) {
    for (size_t j = 0; j < head_size; j++) {
      panels[((k / 16) * head_size + j) * 16 + k % 16] = key_at(format, head_size, keys, k, j);
    }
  }
}

void reft_cache_value_rows_ref(uint32_t format, size_t head_size, size_t count, const void* values,
                               float* rows) {
  for (size_t k = 0; k < count; k++) {
    for (size_t j = 0; j < head_size; j++) *rows++ = value_at(format, head_size, values, k, j);
  }
}

size_t reft_attend_scratch(size_t head_size, size_t keys) {
  size_t places = (keys + REFT_CACHE_PANEL - 1) / REFT_CACHE_PANEL * REFT_CACHE_PANEL;
  return 4 * places + 16 * reft_int8_columns(head_size);
}

void reft_attend_ref(uint32_t format, size_t group, size_t head_size, size_t skip, size_t keys,
                     float scale, float cap, const float* q, const void* k, const void* v,
                     float* scores, float* out) {
  for (size_t g = 0; g < group; g++, q += head_size, out += head_size + 2) {
    float largest = -INFINITY, sum = 0;
    for (size_t key = skip; key < keys; key++) {
      float dot = 0;
      for (size_t j = 0; j < head_size; j++) {
        dot += q[j] * key_at(format, head_size, k, key, j);
      }
      scores[key] = cap > 0 ? cap * tanhf(scale * dot / cap) : scale * dot;
      largest = scores[key] > largest ? scores[key] : largest;
    }
    for (size_t j = 0; j < head_size; j++) out[j] = 0;
    for (size_t key = skip; key < keys; key++) {
      float weight = expf(scores[key] - largest);
      sum += weight;
      for (size_t j = 0; j < head_size; j++) {
        out[j] += weight * value_at(format, head_size, v, key, j);
      }
    }
    out[head_size] = largest;
    out[head_size + 1] = sum;
  }
}
