/* SPDX-License-Identifier: Apache-2.0
 * red_cuda.h: the device form of RED, s = params[0], b = params[1].
 */
#ifndef RED_CUDA_H
#define RED_CUDA_H

#include "../Shared/cuda_text.h"

/* clang-format off */
static const char red_text[] = CUDA_TEXT(
extern "C" __global__ void red_forward(reft_cuda_call_t call) {
  const float *s = call.params[0], *b = call.params[1];
  long long at = (long long)blockIdx.x * call.d;
  for (int j = threadIdx.x; j < call.d; j += blockDim.x)
    call.y[at + j] = s[j] * call.x[at + j] + b[j];
}
extern "C" __global__ void red_backward(reft_cuda_call_t call) {
  long long at = (long long)blockIdx.x * call.d;
  for (int j = threadIdx.x; j < call.d; j += blockDim.x)
    call.dx[at + j] = call.dy[at + j] * call.params[0][j];
}
)
/* 32 columns of a block; each of eight warps takes every eighth row. */
CUDA_TEXT(
extern "C" __global__ void red_gradients(reft_cuda_call_t call) {
  __shared__ float parts[2][8][32];
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, j = blockIdx.x * 32 + lane;
  float s = 0, b = 0;
  for (int i = warp; i < call.n && j < call.d; i += 8) {
    float g = call.dy[(long long)i * call.d + j];
    s += g * call.x[(long long)i * call.d + j];
    b += g;
  }
  parts[0][warp][lane] = s;
  parts[1][warp][lane] = b;
  __syncthreads();
  if (warp > 1 || j >= call.d || !call.dparams[warp]) return;
  float sum = 0;
  for (int w = 0; w < 8; w++) sum += parts[warp][w][lane];
  call.dparams[warp][j] += sum;
}
);
/* clang-format on */

static const reft_cuda_kernel_t red_kernels[] = {
    {CUDA_LAUNCH("red_forward"), .share = REFT_CUDA_ROWS, .tile = 1, .layers = 1},
    {CUDA_LAUNCH("red_backward"), .share = REFT_CUDA_ROWS, .tile = 1, .layers = 1},
    {CUDA_LAUNCH("red_gradients"), .share = REFT_CUDA_COLUMNS, .tile = 32, .layers = 1}};
static const reft_cuda_kernel_t* const red_ways[] = {&red_kernels[0], &red_kernels[1],
                                                     &red_kernels[2]};

static inline void red_cuda(reft_cuda_program_t* out) {
  out->source = (reft_str_t){red_text, sizeof red_text - 1};
  out->forward = red_ways;
  out->n_forward = 1;
  out->backward = red_ways + 1;
  out->n_backward = 2;
}

#endif
