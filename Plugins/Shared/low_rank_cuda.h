/* SPDX-License-Identifier: Apache-2.0
 * low_rank_cuda.h: the device form of edits through r directions, y = h + A^T e with A = params[0],
 * a matrix [r, d], for what our C plugins make of e: LOW_RANK_DIFFERENCE  e = act(W h + b) - (A h +
 * c) LOW_RANK_READOUT     e = act(W h + b), the largest top_k alone where that is not negative
 *   LOW_RANK_CONSTANT    e = b
 *   LOW_RANK_SCALED      e = f * A h + b, f a number, or s - 1 with a vector s
 * A block takes one row there, and one row back to dx; gradients in 32 columns are one block's,
 * which adds the rows up in an order that depends on their number alone.
 */
#ifndef SHARED_LOW_RANK_CUDA_H
#define SHARED_LOW_RANK_CUDA_H

#include "cuda_text.h"

/* Places in ints. W, B, C, S: indices of parameters, -1 where there is none. Behind RANGES, a
 * count, stand first and last + 1 of each range of rows of A that is edited; no range: all. */
#define LOW_RANK_PLACES \
  enum low_rank_place { \
    PLACE_R,            \
    PLACE_KIND,         \
    PLACE_ACT,          \
    PLACE_TOP_K,        \
    PLACE_W,            \
    PLACE_B,            \
    PLACE_C,            \
    PLACE_S,            \
    PLACE_RANGES        \
  };                    \
  enum low_rank_kind { LOW_RANK_DIFFERENCE, LOW_RANK_READOUT, LOW_RANK_CONSTANT, LOW_RANK_SCALED }
#define LOW_RANK_RANGES ((REFT_CUDA_NUMBERS - PLACE_RANGES - 1) / 2)

LOW_RANK_PLACES;

#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Woverlength-strings"
#endif

/* clang-format off */
static const char low_rank_text[] = CUDA_EXPANDED(LOW_RANK_PLACES;)
/* Activations in the order of activation_t. */
CUDA_TEXT(
__device__ float activate(int act, float a) {
  switch (act) {
    case 1: return a > 0 ? a : 0;
    case 2: return 0.5f * a * (1 + erff(a * 0.70710678f));
    case 3: return a / (1 + expf(-a));
    case 4: return tanhf(a);
    default: return a;
  }
}
__device__ float slope(int act, float a) {
  switch (act) {
    case 1: return a > 0 ? 1 : 0;
    case 2: return 0.5f * (1 + erff(a * 0.70710678f)) + a * 0.39894228f * expf(-0.5f * a * a);
    case 3: { float s = 1 / (1 + expf(-a)); return s * (1 + a * (1 - s)); }
    case 4: { float t = tanhf(a); return 1 - t * t; }
    default: return 1;
  }
}
)
/* x . y by one warp; every lane gets the sum. */
CUDA_TEXT(
__device__ float warp_sum(float s) {
  for (int o = 16; o > 0; o >>= 1) s += __shfl_xor_sync(0xffffffffu, s, o);
  return s;
}
__device__ float warp_dot(int d, const float *x, const float *y) {
  float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  int j = threadIdx.x & 31;
  for (; j + 96 < d; j += 128) {
    s0 += x[j] * y[j];
    s1 += x[j + 32] * y[j + 32];
    s2 += x[j + 64] * y[j + 64];
    s3 += x[j + 96] * y[j + 96];
  }
  for (; j < d; j += 32) s0 += x[j] * y[j];
  return warp_sum((s0 + s1) + (s2 + s3));
}
)
/* The row of A that edited direction k is, and parameters by their places. */
CUDA_TEXT(
__device__ long long row_of(const reft_cuda_call_t &call, int k) {
  for (int i = 0; i < call.ints[PLACE_RANGES]; i++) {
    int first = call.ints[PLACE_RANGES + 1 + 2 * i], last = call.ints[PLACE_RANGES + 2 + 2 * i];
    if (k < last - first) return first + k;
    k -= last - first;
  }
  return k;
}
__device__ const float *param(const reft_cuda_call_t &call, int place) {
  return call.ints[place] < 0 ? nullptr : call.params[call.ints[place]];
}
__device__ float *gradient(const reft_cuda_call_t &call, int place) {
  return call.ints[place] < 0 ? nullptr : call.dparams[call.ints[place]];
}
__device__ float factor(const reft_cuda_call_t &call, long long row) {
  const float *s = param(call, PLACE_S);
  return s ? s[row] - 1 : call.floats[0];
}
)
/* out = in + A^T p + W^T q over one row, by a block; without W or p, these terms are none. */
CUDA_TEXT(
__device__ void lift(const reft_cuda_call_t &call, const float *in, const float *p, const float *W,
                     const float *q, float *out) {
  int d = call.d, step = blockDim.x;
  for (int start = threadIdx.x; start < d; start += 4 * step) {
    float s[4];
    for (int i = 0; i < 4; i++) s[i] = start + i * step < d ? in[start + i * step] : 0;
    for (int k = 0; k < call.ints[PLACE_R]; k++) {
      long long at = row_of(call, k) * d + start;
      for (int i = 0; i < 4; i++) {
        if (start + i * step >= d) continue;
        if (p) s[i] += p[k] * call.params[0][at + i * step];
        if (W) s[i] += q[k] * W[at + i * step];
      }
    }
    for (int i = 0; i < 4; i++)
      if (start + i * step < d) out[start + i * step] = s[i];
  }
}
)
/* Of each row, saved: e, and a = W h + b, or A h where there is no W. */
CUDA_TEXT(
__device__ void read_out(const reft_cuda_call_t &call, const float *h, float *e, float *a) {
  int r = call.ints[PLACE_R], kind = call.ints[PLACE_KIND], warps = blockDim.x >> 5;
  const float *W = param(call, PLACE_W), *b = param(call, PLACE_B);
  int projects = kind == LOW_RANK_DIFFERENCE || kind == LOW_RANK_SCALED;
  for (int task = threadIdx.x >> 5; task < 2 * r; task += warps) {
    int k = task >> 1, of_source = task & 1;
    if (of_source ? !W : !projects) continue;
    long long row = row_of(call, k);
    float sum = warp_dot(call.d, (of_source ? W : call.params[0]) + row * call.d, h);
    if ((threadIdx.x & 31) != 0) continue;
    if (of_source) a[k] = sum + b[row]; else (W ? e : a)[k] = sum;
  }
}
__device__ int is_kept(const reft_cuda_call_t &call, const float *a, int k) {
  int ahead = 0;
  for (int j = 0; j < call.ints[PLACE_R]; j++) ahead += a[j] > a[k] || (a[j] == a[k] && j < k);
  return ahead < call.ints[PLACE_TOP_K];
}
extern "C" __global__ void low_rank_forward(reft_cuda_call_t call) {
  int r = call.ints[PLACE_R], kind = call.ints[PLACE_KIND], act = call.ints[PLACE_ACT];
  const float *b = param(call, PLACE_B), *c = param(call, PLACE_C);
  const float *h = call.x + (long long)blockIdx.x * call.d;
  float *e = call.saved + (long long)blockIdx.x * 2 * r, *a = e + r;
  read_out(call, h, e, a);
  __syncthreads();
  for (int k = threadIdx.x; k < r; k += blockDim.x) {
    long long row = row_of(call, k);
    if (kind == LOW_RANK_DIFFERENCE) e[k] = activate(act, a[k]) - (e[k] + (c ? c[row] : 0));
    if (kind == LOW_RANK_READOUT)
      e[k] = call.ints[PLACE_TOP_K] <= 0 || is_kept(call, a, k) ? activate(act, a[k]) : 0;
    if (kind == LOW_RANK_CONSTANT) e[k] = b[row];
    if (kind == LOW_RANK_SCALED) e[k] = factor(call, row) * a[k] + (b ? b[row] : 0);
  }
  __syncthreads();
  lift(call, h, e, nullptr, nullptr, call.y + (long long)blockIdx.x * call.d);
}
)
/* Of each row, scratch: de = A dy, and d loss / d (A h) and d loss / d (W h + b). */
CUDA_TEXT(
extern "C" __global__ void low_rank_backward(reft_cuda_call_t call) {
  int r = call.ints[PLACE_R], kind = call.ints[PLACE_KIND], act = call.ints[PLACE_ACT];
  const float *g = call.dy + (long long)blockIdx.x * call.d, *W = param(call, PLACE_W);
  const float *e = call.saved + (long long)blockIdx.x * 2 * r, *a = e + r;
  float *de = call.scratch + (long long)blockIdx.x * 3 * r, *dp = de + r, *da = dp + r;
  for (int k = threadIdx.x >> 5; k < r; k += blockDim.x >> 5) {
    long long row = row_of(call, k);
    float sum = warp_dot(call.d, call.params[0] + row * call.d, g);
    if ((threadIdx.x & 31) != 0) continue;
    de[k] = sum;
    dp[k] = kind == LOW_RANK_DIFFERENCE ? -sum
            : kind == LOW_RANK_SCALED   ? factor(call, row) * sum : 0;
    da[k] = W && (call.ints[PLACE_TOP_K] < 0 || e[k] != 0) ? sum * slope(act, a[k]) : 0;
  }
  __syncthreads();
  int projects = kind == LOW_RANK_DIFFERENCE || kind == LOW_RANK_SCALED;
  lift(call, g, projects ? dp : nullptr, W, da, call.dx + (long long)blockIdx.x * call.d);
}
)
/* b += da, or de where there is no W; c += d loss / d (A h); s += de * A h. One warp per direction. */
CUDA_TEXT(
__device__ void add_vectors(const reft_cuda_call_t &call, int k) {
  int r = call.ints[PLACE_R];
  float b = 0, c = 0, s = 0;
  for (int i = threadIdx.x & 31; i < call.n; i += 32) {
    const float *de = call.scratch + (long long)i * 3 * r + k;
    b += call.ints[PLACE_W] < 0 ? de[0] : de[2 * r];
    c += de[r];
    s += de[0] * call.saved[(long long)i * 2 * r + r + k];
  }
  b = warp_sum(b);
  c = warp_sum(c);
  s = warp_sum(s);
  if ((threadIdx.x & 31) != 0) return;
  long long row = row_of(call, k);
  if (gradient(call, PLACE_B)) gradient(call, PLACE_B)[row] += b;
  if (gradient(call, PLACE_C)) gradient(call, PLACE_C)[row] += c;
  if (gradient(call, PLACE_S)) gradient(call, PLACE_S)[row] += s;
}
)
/* A += e dy^T + dp h^T, W += da h^T, for 4 directions at a time. Each of eight warps takes every eighth
 * row. */
CUDA_TEXT(
__device__ void add_matrices(const reft_cuda_call_t &call, int first, float (&parts)[8][8][32]) {
  int r = call.ints[PLACE_R], d = call.d, lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  int j = blockIdx.x * 32 + lane;
  float sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  for (int i = warp; i < call.n; i += 8) {
    float g = j < d ? call.dy[(long long)i * d + j] : 0;
    float h = j < d ? call.x[(long long)i * d + j] : 0;
    const float *e = call.saved + (long long)i * 2 * r + first;
    const float *dp = call.scratch + (long long)i * 3 * r + r + first;
    for (int k = 0; k < 4; k++) {
      if (first + k >= r) continue;
      sums[k] += e[k] * g + dp[k] * h;
      sums[4 + k] += dp[r + k] * h;
    }
  }
  for (int v = 0; v < 8; v++) parts[warp][v][lane] = sums[v];
  __syncthreads();
  float sum = 0;
  for (int w = 0; w < 8; w++) sum += parts[w][warp][lane];
  int k = first + (warp & 3);
  float *target = warp < 4 ? call.dparams[0] : gradient(call, PLACE_W);
  if (target && k < r && j < d) target[row_of(call, k) * d + j] += sum;
}
extern "C" __global__ void low_rank_gradients(reft_cuda_call_t call) {
  __shared__ float parts[8][8][32];
  int r = call.ints[PLACE_R], warp = threadIdx.x >> 5;
  for (int first = blockIdx.y * 4; first < r; first += gridDim.y * 4) {
    add_matrices(call, first, parts);
    if (blockIdx.x == 0 && warp < 4 && first + warp < r) add_vectors(call, first + warp);
    __syncthreads();
  }
}
);
/* clang-format on */

static const reft_cuda_kernel_t low_rank_rows[2] = {
    {CUDA_LAUNCH("low_rank_forward"), .share = REFT_CUDA_ROWS, .tile = 1, .layers = 1},
    {CUDA_LAUNCH("low_rank_backward"), .share = REFT_CUDA_ROWS, .tile = 1, .layers = 1},
};

/* Four directions to a layer of blocks; where there are more, a block takes several times four. */
#define LOW_RANK_GRADIENTS(count) \
  { CUDA_LAUNCH("low_rank_gradients"), .share = REFT_CUDA_COLUMNS, .tile = 32, .layers = count }
static const reft_cuda_kernel_t low_rank_gradients[5] = {
    LOW_RANK_GRADIENTS(1), LOW_RANK_GRADIENTS(2), LOW_RANK_GRADIENTS(4), LOW_RANK_GRADIENTS(8),
    LOW_RANK_GRADIENTS(16)};
static const reft_cuda_kernel_t *const low_rank_forward[1] = {&low_rank_rows[0]};
static const reft_cuda_kernel_t *const low_rank_backward[5][2] = {
    {&low_rank_rows[1], &low_rank_gradients[0]},
    {&low_rank_rows[1], &low_rank_gradients[1]},
    {&low_rank_rows[1], &low_rank_gradients[2]},
    {&low_rank_rows[1], &low_rank_gradients[3]},
    {&low_rank_rows[1], &low_rank_gradients[4]}};

// Fills in the device form of an edit with r edited directions, A alone as its parameter and no
// ranges.
static inline void low_rank_cuda(reft_cuda_program_t *out, int64_t r, enum low_rank_kind kind) {
  int layers = 0;
  while (layers < 4 && (4 << layers) < r) layers++;
  out->source = (reft_str_t){low_rank_text, sizeof low_rank_text - 1};
  CUDA_SET(out, forward, low_rank_forward);
  CUDA_SET(out, backward, low_rank_backward[layers]);
  out->saved_per_row = 2 * (uint64_t)r;
  out->scratch_per_row = 3 * (uint64_t)r;
  out->ints[PLACE_R] = (int32_t)r;
  out->ints[PLACE_KIND] = (int32_t)kind;
  for (int place = PLACE_TOP_K; place <= PLACE_S; place++) out->ints[place] = -1;
}

#endif
