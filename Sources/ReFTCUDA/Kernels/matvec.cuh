// SPDX-License-Identifier: Apache-2.0
// The end of a product of a matrix and few rows: one block has sums for four
// rows of W and N rows of x.
#include "numbers.cuh"

constexpr int N = REFT_N, ROWS = 4, THREADS = 128;

// Adds up what the threads have, in a fixed order, and writes it.
template <class T>
__device__ __forceinline__ void finish(int rows, int first, float (&sums)[ROWS][N],
                                       const float *bias, int accumulate, T *y) {
  __shared__ float parts[THREADS / 32][ROWS * N];
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
#pragma unroll
    for (int n = 0; n < N; n++) {
      float sum = warp_sum(sums[r][n]);
      if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32][r * N + n] = sum;
    }
  }
  __syncthreads();
  int row = first + threadIdx.x / N, n = threadIdx.x % N;
  if (threadIdx.x >= ROWS * N || row >= rows) return;
  float sum = 0;
  for (int warp = 0; warp < THREADS / 32; warp++) sum += parts[warp][threadIdx.x];
  T *out = y + (size_t)n * rows + row;
  if (bias) sum += bias[row];
  if (accumulate) sum += widen(*out);
  narrow(sum, *out);
}
