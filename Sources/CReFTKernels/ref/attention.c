// SPDX-License-Identifier: Apache-2.0
// Cached keys and values, and attention of one row over them, unnormalised: the specification.
#include <math.h>

#include "half.h"
#include "ref_kernels.h"
#include "reft_attention.h"

size_t reft_cache_number_bytes(uint32_t format) {
  return format == REFT_CACHE_FLOAT16 ? 2 : 4;
}

static size_t place_of_key(size_t head_size, size_t k, size_t j) {
  return ((k / REFT_CACHE_PANEL) * head_size + j) * REFT_CACHE_PANEL + k % REFT_CACHE_PANEL;
}

static float number_at(uint32_t format, const void* numbers, size_t at) {
  if (format == REFT_CACHE_FLOAT16) return reft_float_of_half(((const uint16_t*)numbers)[at]);
  return ((const float*)numbers)[at];
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
      panels[((k / 16) * head_size + j) * 16 + k % 16] =
          number_at(format, keys, place_of_key(head_size, k, j));
    }
  }
}

void reft_cache_value_rows_ref(uint32_t format, size_t head_size, size_t count, const void* values,
                               float* rows) {
  for (size_t at = 0; at < count * head_size; at++) rows[at] = number_at(format, values, at);
}

void reft_attend_ref(uint32_t format, size_t group, size_t head_size, size_t skip, size_t keys,
                     float scale, float cap, const float* q, const void* k, const void* v,
                     float* scores, float* out) {
  for (size_t g = 0; g < group; g++, q += head_size, out += head_size + 2) {
    float largest = -INFINITY, sum = 0;
    for (size_t key = skip; key < keys; key++) {
      float dot = 0;
      for (size_t j = 0; j < head_size; j++) {
        dot += q[j] * number_at(format, k, place_of_key(head_size, key, j));
      }
      scores[key] = cap > 0 ? cap * tanhf(scale * dot / cap) : scale * dot;
      largest = scores[key] > largest ? scores[key] : largest;
    }
    for (size_t j = 0; j < head_size; j++) out[j] = 0;
    for (size_t key = skip; key < keys; key++) {
      float weight = expf(scores[key] - largest);
      sum += weight;
      for (size_t j = 0; j < head_size; j++) {
        out[j] += weight * number_at(format, v, key * head_size + j);
      }
    }
    out[head_size] = largest;
    out[head_size + 1] = sum;
  }
}
