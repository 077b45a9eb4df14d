/* SPDX-License-Identifier: Apache-2.0
 * rows.h: the arithmetic of one row that our C plugins share. d is the width of a row, r the rank;
 * matrices are [r, d] row-major. Sums run in 16 lanes, added up as a tree: fast without
 * -ffast-math, and the same bits whatever other rows there are. A clone for a level of x86-64
 * serves every processor of that level; one for a named processor, such as haswell, serves that one
 * alone.
 */
#ifndef SHARED_ROWS_H
#define SHARED_ROWS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define SHARED static __attribute__((unused))
#if defined(__x86_64__)
#define FAST \
  static inline __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FAST SHARED
#endif
#define INLINE static inline __attribute__((always_inline))

#define LANES 16

typedef enum { ACT_LINEAR, ACT_RELU, ACT_GELU, ACT_SILU, ACT_TANH } activation_t;

SHARED float activate(activation_t act, float a) {
  switch (act) {
    case ACT_RELU:
      return a > 0 ? a : 0;
    case ACT_GELU:
      return 0.5f * a * (1 + erff(a * 0.70710678f));
    case ACT_SILU:
      return a / (1 + expf(-a));
    case ACT_TANH:
      return tanhf(a);
    default:
      return a;
  }
}

SHARED float slope(activation_t act, float a) {
  switch (act) {
    case ACT_RELU:
      return a > 0;
    case ACT_GELU:
      return 0.5f * (1 + erff(a * 0.70710678f)) + a * 0.39894228f * expf(-0.5f * a * a);
    case ACT_SILU: {
      float s = 1 / (1 + expf(-a));
      return s * (1 + a * (1 - s));
    }
    case ACT_TANH: {
      float t = tanhf(a);
      return 1 - t * t;
    }
    default:
      return 1;
  }
}

// 16 numbers from any address on; what is done with them is done lane by lane.
typedef float lanes_t __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

// The sum of the lanes, as a tree, after the rest of x . y, less than 16 products.
INLINE float total(const lanes_t* sums, int64_t rest, const float* x, const float* y) {
  float lanes[LANES];
  memcpy(lanes, sums, sizeof lanes);
  for (int64_t l = 0; l < rest; l++) lanes[l] += x[l] * y[l];
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int l = 0; l < half; l++) lanes[l] += lanes[l + half];
  return lanes[0];
}

INLINE float dot(int64_t n, const float* x, const float* y) {
  lanes_t sums = {0};
  int64_t j = 0;
  for (; j + LANES <= n; j += LANES) sums += *(const lanes_t*)(x + j) * *(const lanes_t*)(y + j);
  return total(&sums, n - j, x + j, y + j);
}

// out = M x. Four sums at a time, as one alone would wait for each of its additions.
INLINE void multiply(int64_t d, int64_t r, const float* M, const float* x, float* out) {
  int64_t k = 0;
  for (; k + 4 <= r; k += 4, M += 4 * d) {
    lanes_t a = {0}, b = {0}, c = {0}, e = {0};
    int64_t j = 0;
    for (; j + LANES <= d; j += LANES) {
      lanes_t at = *(const lanes_t*)(x + j);
      a += *(const lanes_t*)(M + j) * at;
      b += *(const lanes_t*)(M + d + j) * at;
      c += *(const lanes_t*)(M + 2 * d + j) * at;
      e += *(const lanes_t*)(M + 3 * d + j) * at;
    }
    out[k] = total(&a, d - j, M + j, x + j);
    out[k + 1] = total(&b, d - j, M + d + j, x + j);
    out[k + 2] = total(&c, d - j, M + 2 * d + j, x + j);
    out[k + 3] = total(&e, d - j, M + 3 * d + j, x + j);
  }
  for (; k < r; k++, M += d) out[k] = dot(d, M, x);
}

// out = M x + b; b may be NULL.
FAST void rows_multiply(int64_t d, int64_t r, const float* M, const float* b, const float* x,
                        float* out) {
  multiply(d, r, M, x, out);
  for (int64_t k = 0; k < r; k++) out[k] += b ? b[k] : 0;
}

#define TILE 4 /* lanes_t that stay in registers while rows or directions go by */

// y[i] += factor * M^T e[i] for each of `rows` rows, of as many columns of M, a row of M being d
// long.
FAST void rows_add_transposed(int64_t rows, int64_t columns, int64_t d, int64_t r, float factor,
                              const float* M, const float* const* e, float* const* y) {
  int64_t j = 0;
  for (; j + TILE * LANES <= columns; j += TILE * LANES) {
    for (int64_t i = 0; i < rows; i++) {
      lanes_t sums[TILE], *out = (lanes_t*)(y[i] + j);
      for (int t = 0; t < TILE; t++) sums[t] = out[t];
      for (int64_t k = 0; k < r; k++) {
        const lanes_t* m = (const lanes_t*)(M + k * d + j);
        for (int t = 0; t < TILE; t++) sums[t] += factor * e[i][k] * m[t];
      }
      for (int t = 0; t < TILE; t++) out[t] = sums[t];
    }
  }
  for (int64_t i = 0; i < rows; i++)
    for (int64_t k = 0; k < r; k++)
      for (int64_t l = j; l < columns; l++) y[i][l] += factor * e[i][k] * M[k * d + l];
}

// M += s e[i] x[i]^T and then, where there is an f, M += t f[i] z[i]^T, for each of `rows` rows in
// turn, of as many columns of M, a row of M being d long.
FAST void rows_add_outer(int64_t rows, int64_t columns, int64_t d, int64_t r, float s,
                         const float* const* e, const float* const* x, float t,
                         const float* const* f, const float* const* z, float* M) {
  for (int64_t k = 0; k < r; k++, M += d) {
    int64_t j = 0;
    for (; j + TILE * LANES <= columns; j += TILE * LANES) {
      lanes_t sums[TILE], *out = (lanes_t*)(M + j);
      for (int c = 0; c < TILE; c++) sums[c] = out[c];
      for (int64_t i = 0; i < rows; i++) {
        const lanes_t* at = (const lanes_t*)(x[i] + j);
        for (int c = 0; c < TILE; c++) sums[c] += s * e[i][k] * at[c];
        if (!f) continue;
        at = (const lanes_t*)(z[i] + j);
        for (int c = 0; c < TILE; c++) sums[c] += t * f[i][k] * at[c];
      }
      for (int c = 0; c < TILE; c++) out[c] = sums[c];
    }
    for (int64_t i = 0; i < rows; i++)
      for (int64_t l = j; l < columns; l++) {
        M[l] += s * e[i][k] * x[i][l];
        if (f) M[l] += t * f[i][k] * z[i][l];
      }
  }
}

// y = mask * x / (1 - p), where the mask is 1 where uniform >= p.
FAST void rows_drop(int64_t d, float p, const float* uniform, const float* x, float* y) {
  float scale = 1 / (1 - p);
  for (int64_t j = 0; j < d; j++) y[j] = uniform[j] >= p ? x[j] * scale : 0;
}

// y = x
SHARED void rows_copy(int64_t d, const float* x, float* y) {
  if (x != y) memcpy(y, x, (size_t)d * sizeof(float));
}

#endif
