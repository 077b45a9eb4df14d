// SPDX-License-Identifier: Apache-2.0
// Products of split numbers as plain loops: the specification, to the bit for numbers that are not
// too small for float32 (which tiles take for zero).
#include <math.h>
#include <string.h>

#include "ref_kernels.h"

// To nearest, ties to even; numbers too small for normal ones become zero.
static uint16_t half_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if ((bits & 0x7f800000) == 0) return (uint16_t)((bits >> 16) & 0x8000);
  if (x != x) return (uint16_t)((bits >> 16) | 0x40);
  return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static float float_of(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

static void store(float x, uint8_t* tile, size_t place) {
  uint16_t high = half_of(x), low = half_of(x - float_of(high));
  memcpy(tile + 2 * place, &high, 2);
  memcpy(tile + 1024 + 2 * place, &low, 2);
}

static float part(const uint8_t* tile, size_t place) {
  uint16_t half;
  memcpy(&half, tile + 2 * place, 2);
  return float_of(half);
}

void reft_split_left_ref(size_t kc, size_t count, const float* rows, size_t stride,
                         uint8_t* tiles) {
  for (size_t i = 0; i < REFT_SPLIT_SIDE; i++) {
    for (size_t k = 0; k < kc; k++) {
      float x = i < count ? rows[i * stride + k] : 0;
      store(x, tiles + k / 32 * REFT_SPLIT_TILE, i * 32 + k % 32);
    }
  }
}

void reft_split_columns_ref(size_t kc, size_t count, const float* rows, size_t stride,
                            uint8_t* tiles) {
  for (size_t j = 0; j < REFT_SPLIT_SIDE; j++) {
    for (size_t k = 0; k < kc; k++) {
      float x = j < count ? rows[j * stride + k] : 0;
      store(x, tiles + k / 32 * REFT_SPLIT_TILE, k % 32 / 2 * 32 + j * 2 + k % 2);
    }
  }
}

void reft_split_pair_ref(size_t columns, const float* even, const float* odd, uint8_t* tiles,
                         size_t stride) {
  for (size_t j = 0; j < columns; j++) {
    uint8_t* panel = tiles + j / 16 * stride;
    store(even[j], panel, j % 16 * 2);
    store(odd[j], panel, j % 16 * 2 + 1);
  }
}

void reft_split_rows16_ref(uint32_t layout, const uint8_t* group, size_t block, size_t count,
                           uint8_t* tiles) {
  for (size_t b = 0; b < count; b++, tiles += REFT_SPLIT_TILE) {
    float values[REFT_SPLIT_RUN * REFT_SPLIT_SIDE];
    reft_rows16_values_ref(layout, group, block + b, 1, values);
    for (size_t k = 0; k < REFT_SPLIT_RUN; k += 2) {
      const float* even = values + k * REFT_SPLIT_SIDE;
      reft_split_pair_ref(REFT_SPLIT_SIDE, even, even + REFT_SPLIT_SIDE, tiles + 32 * k, 0);
    }
  }
}

float reft_split_weights_ref(size_t width, size_t first, size_t end, float scale,
                             const float* scores, float* largest, float* sum, uint8_t* tiles) {
  float before = *largest, m = before, added = 0;
  for (size_t j = first; j < end; j++) m = scores[j] * scale > m ? scores[j] * scale : m;
  for (size_t j = 0; j < width; j++) {
    float weight = j >= first && j < end ? exp2f(fmaf(scores[j], scale, -m)) : 0;
    added += weight;
    store(weight, tiles + j / 32 * REFT_SPLIT_TILE, j % 32);
  }
  float factor = m == before ? 1 : exp2f(before - m);
  *largest = m;
  *sum = factor * *sum + added;
  return factor;
}

// What one tile of A and one of B add to an element: sums of the even k and of the odd ones.
static float tile_dot(const uint8_t* a, const uint8_t* b, size_t i, size_t j) {
  float even = 0, odd = 0;
  for (size_t pair = 0; pair < 16; pair++) {
    even = fmaf(part(a, i * 32 + 2 * pair), part(b, pair * 32 + 2 * j), even);
    odd = fmaf(part(a, i * 32 + 2 * pair + 1), part(b, pair * 32 + 2 * j + 1), odd);
  }
  return even + odd;
}

void reft_gemm_split_ref(size_t m, size_t columns, size_t runs, const uint8_t* left,
                         size_t left_stride, const uint8_t* right, size_t right_stride, int halves,
                         float* c, size_t ldc, int accumulate) {
  for (size_t i = 0; i < m; i++) {
    for (size_t j = 0; j < columns; j++) {
      const uint8_t* a = left + i / 16 * left_stride;
      const uint8_t* b = right + j / 16 * right_stride;
      float sum = accumulate ? c[i * ldc + j] : 0;
      for (size_t run = 0; run < runs; run++, a += REFT_SPLIT_TILE, b += REFT_SPLIT_TILE) {
        if (halves == 2) sum += tile_dot(a, b + 1024, i % 16, j % 16);
        sum += tile_dot(a, b, i % 16, j % 16);
        if (halves == 2) sum += tile_dot(a + 1024, b, i % 16, j % 16);
      }
      c[i * ldc + j] = sum;
    }
  }
}
