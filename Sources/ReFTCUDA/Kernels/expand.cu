// SPDX-License-Identifier: Apache-2.0
// GGUF's blocks as activations: out[i] for i < count, eight numbers a thread.
// Counts are multiples of a block's size, or of anything for the plain formats.
#include "blocks.cuh"
#include "numbers.cuh"

template <class B>
__device__ __forceinline__ void expand(const unsigned char *blocks, long long count, act *out) {
  long long step = (long long)gridDim.x * blockDim.x * 8;
  for (long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * 8; i < count; i += step) {
    const unsigned char *block = blocks + i / B::SIZE * B::BYTES;
    int first = (int)(i % B::SIZE);
    float x[8];
    if (count - i >= 8 && wide(out)) {
#pragma unroll
      for (int j = 0; j < 8; j++) x[j] = B::at(block, first + j);
      store<8>(out + i, x);
    } else {
      for (int j = 0; j < 8 && i + j < count; j++) narrow(B::at(block, first + j), out[i + j]);
    }
  }
}

extern "C" __global__ void expand_q4_0(const unsigned char *blocks, long long count, act *out) {
  expand<q4_0>(blocks, count, out);
}
extern "C" __global__ void expand_q4_1(const unsigned char *blocks, long long count, act *out) {
  expand<q4_1>(blocks, count, out);
}
extern "C" __global__ void expand_q5_0(const unsigned char *blocks, long long count, act *out) {
  expand<q5_0>(blocks, count, out);
}
extern "C" __global__ void expand_q5_1(const unsigned char *blocks, long long count, act *out) {
  expand<q5_1>(blocks, count, out);
}
extern "C" __global__ void expand_q8_0(const unsigned char *blocks, long long count, act *out) {
  expand<q8_0>(blocks, count, out);
}
extern "C" __global__ void expand_q4_k(const unsigned char *blocks, long long count, act *out) {
  expand<q4_k>(blocks, count, out);
}
extern "C" __global__ void expand_q5_k(const unsigned char *blocks, long long count, act *out) {
  expand<q5_k>(blocks, count, out);
}
extern "C" __global__ void expand_q6_k(const unsigned char *blocks, long long count, act *out) {
  expand<q6_k>(blocks, count, out);
}
extern "C" __global__ void expand_f16(const unsigned char *blocks, long long count, act *out) {
  expand<f16>(blocks, count, out);
}
extern "C" __global__ void expand_bf16(const unsigned char *blocks, long long count, act *out) {
  expand<bf16>(blocks, count, out);
}
extern "C" __global__ void expand_f32(const unsigned char *blocks, long long count, act *out) {
  expand<f32>(blocks, count, out);
}
