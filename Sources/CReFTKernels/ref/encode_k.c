// SPDX-License-Identifier: Apache-2.0
// Numbers in blocks of 256. The scale of each run of a block is tried at several widths, and the
// one whose least-squares fit leaves the smallest weighted error is taken; large numbers weigh
// more.
#include "encode.h"

// The widths that are tried, from `levels - 1` to `levels + 1` steps over the range of a run.
enum { TRIALS = 21 };

static float mean_square(const float* x, int n) {
  float sum = 0;
  for (int j = 0; j < n; j++) sum += x[j] * x[j];
  return sum / (float)n;
}

// A scale and a minimum, not above 0, for 32 numbers with codes from 0 to `top`.
static void fit_range(const float* x, int top, float* scale, float* minimum) {
  float low = 0, high = x[0], best = INFINITY;
  const float size = sqrtf(mean_square(x, 32));
  for (int j = 0; j < 32; j++) {
    low = fminf(low, x[j]);
    high = fmaxf(high, x[j]);
  }
  *scale = 0;
  *minimum = low;
  if (!(high > low)) return;
  for (int trial = 0; trial < TRIALS; trial++) {
    const float step = (high - low) / ((float)top - 1 + 0.1f * (float)trial);
    int codes[32];
    double w = 0, l = 0, ll = 0, v = 0, vl = 0;
    for (int j = 0; j < 32; j++) {
      const double weight = size + fabsf(x[j]),
                   code = codes[j] = reft_code(x[j] - low, step, 0, top);
      w += weight;
      l += weight * code;
      ll += weight * code * code;
      v += weight * x[j];
      vl += weight * x[j] * code;
    }
    const double determinant = w * ll - l * l;
    if (!(determinant > 0)) continue;
    float s = (float)((w * vl - v * l) / determinant);
    float m = (float)((ll * v - l * vl) / determinant);
    if (m > 0) {
      m = 0;
      s = (float)(vl / ll);
    }
    float error = 0;
    for (int j = 0; j < 32; j++) {
      const float off = s * (float)codes[j] + m - x[j];
      error += (size + fabsf(x[j])) * off * off;
    }
    if (error < best && s > 0) {
      best = error;
      *scale = s;
      *minimum = m;
    }
  }
}

// Scales and minima of eight runs as six bits each, with the block's own two factors.
typedef struct {
  reft_half_t d, dmin;
  uint8_t scales[8], minima[8];
} runs_t;

static runs_t fit_runs(const float* x, int top) {
  runs_t runs;
  float scales[8], minima[8], largest = 0, deepest = 0;
  for (int j = 0; j < 8; j++) {
    fit_range(x + 32 * j, top, scales + j, minima + j);
    largest = fmaxf(largest, scales[j]);
    deepest = fmaxf(deepest, -minima[j]);
  }
  runs.d = reft_half(largest / 63);
  runs.dmin = reft_half(deepest / 63);
  const float d = reft_half_to_float(runs.d), dmin = reft_half_to_float(runs.dmin);
  for (int j = 0; j < 8; j++) {
    runs.scales[j] = (uint8_t)reft_code(scales[j], d, 0, 63);
    runs.minima[j] = (uint8_t)reft_code(-minima[j], dmin, 0, 63);
  }
  return runs;
}

// Twelve bytes, as reft_k4_scale takes them apart.
static void pack_runs(const runs_t* runs, uint8_t* out) {
  memset(out, 0, 12);
  for (int j = 0; j < 8; j++) {
    const int scale = runs->scales[j], minimum = runs->minima[j];
    if (j < 4) {
      out[j] |= (uint8_t)scale;
      out[j + 4] |= (uint8_t)minimum;
    } else {
      out[j + 4] = (uint8_t)((scale & 15) | (minimum & 15) << 4);
      out[j - 4] |= (uint8_t)(scale >> 4 << 6);
      out[j] |= (uint8_t)(minimum >> 4 << 6);
    }
  }
}

static int run_code(const runs_t* runs, int run, float value, int top) {
  const float d = reft_half_to_float(runs->d) * (float)runs->scales[run];
  const float m = reft_half_to_float(runs->dmin) * (float)runs->minima[run];
  return reft_code(value + m, d, 0, top);
}

void reft_encode_q4_k(const float* values, void* out, size_t count) {
  reft_block_q4_k_t* x = out;
  for (size_t i = 0; i < count / 256; i++, values += 256) {
    const runs_t runs = fit_runs(values, 15);
    x[i].d = runs.d;
    x[i].dmin = runs.dmin;
    pack_runs(&runs, x[i].scales);
    memset(x[i].qs, 0, 128);
    for (int j = 0; j < 256; j++) {
      const int q = run_code(&runs, j / 32, values[j], 15);
      x[i].qs[j / 64 * 32 + j % 32] |= (uint8_t)(q << (j / 32 % 2 * 4));
    }
  }
}

void reft_encode_q5_k(const float* values, void* out, size_t count) {
  reft_block_q5_k_t* x = out;
  for (size_t i = 0; i < count / 256; i++, values += 256) {
    const runs_t runs = fit_runs(values, 31);
    x[i].d = runs.d;
    x[i].dmin = runs.dmin;
    pack_runs(&runs, x[i].scales);
    memset(x[i].qs, 0, 128);
    memset(x[i].qh, 0, 32);
    for (int j = 0; j < 256; j++) {
      const int q = run_code(&runs, j / 32, values[j], 31);
      x[i].qs[j / 64 * 32 + j % 32] |= (uint8_t)((q & 15) << (j / 32 % 2 * 4));
      x[i].qh[j % 32] |= (uint8_t)(q >> 4 << (j / 32));
    }
  }
}

// A scale for sixteen numbers with codes from -32 to 31.
static float fit_signed(const float* x) {
  const float extreme = reft_extreme(x, 16), size = mean_square(x, 16);
  if (extreme == 0) return 0;
  float scale = extreme / -32;
  double best = 0;
  for (int trial = 0; trial < TRIALS; trial++) {
    const float step = extreme / (-31 - 0.1f * (float)trial);
    double vl = 0, ll = 0;
    for (int j = 0; j < 16; j++) {
      const double weight = size + x[j] * x[j], code = reft_code(x[j], step, -32, 31);
      vl += weight * x[j] * code;
      ll += weight * code * code;
    }
    // The weighted error of the fit is what is left of the weighted square of x.
    if (ll > 0 && vl * vl > best * ll) {
      best = vl * vl / ll;
      scale = (float)(vl / ll);
    }
  }
  return scale;
}

void reft_encode_q6_k(const float* values, void* out, size_t count) {
  reft_block_q6_k_t* x = out;
  for (size_t i = 0; i < count / 256; i++, values += 256) {
    float scales[16];
    for (int j = 0; j < 16; j++) scales[j] = fit_signed(values + 16 * j);
    x[i].d = reft_half(reft_extreme(scales, 16) / -128);
    const float d = reft_half_to_float(x[i].d);
    for (int j = 0; j < 16; j++) x[i].scales[j] = (int8_t)reft_code(scales[j], d, -128, 127);
    memset(x[i].ql, 0, 128);
    memset(x[i].qh, 0, 64);
    for (int j = 0; j < 256; j++) {
      const int q = reft_code(values[j], d * (float)x[i].scales[j / 16], -32, 31) + 32;
      const int half = j / 128, quarter = j % 128 / 32, column = j % 32;
      x[i].ql[half * 64 + quarter % 2 * 32 + column] |= (uint8_t)((q & 15) << (quarter / 2 * 4));
      x[i].qh[half * 32 + column] |= (uint8_t)(q >> 4 << (quarter * 2));
    }
  }
}
