// SPDX-License-Identifier: Apache-2.0
// y[N, rows] (+)= x[N, cols] Wᵀ (+ bias) for few rows of x (N = 1 … 8,
// -DREFT_N): a block reads four rows of W once, at the memory's rate.
#include "matvec.cuh"
#include "numbers.cuh"

template <class T>
__device__ __forceinline__ void matvec(int rows, int cols, const act *w, const act *x,
                                       const float *bias, int accumulate, T *y) {
  int first = blockIdx.x * ROWS;
  float sums[ROWS][N] = {};
  in_runs(cols % 8 == 0 && wide(w) && wide(x), [&](auto width) {
    constexpr int W = decltype(width)::value;
#pragma unroll 2
    for (int j = threadIdx.x * W; j < cols; j += THREADS * W) {
      float a[ROWS][W];
#pragma unroll
      for (int r = 0; r < ROWS; r++) load<W>(w + (size_t)min(first + r, rows - 1) * cols + j, a[r]);
#pragma unroll
      for (int n = 0; n < N; n++) {
        float b[W];
        load<W>(x + (size_t)n * cols + j, b);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
#pragma unroll
          for (int k = 0; k < W; k++) sums[r][n] += a[r][k] * b[k];
        }
      }
    }
  });
  finish(rows, first, sums, bias, accumulate, y);
}

extern "C" __global__ void __launch_bounds__(128)
    matvec_act(int rows, int cols, const act *w, const act *x, const float *bias, int accumulate,
               float *y) {
  matvec(rows, cols, w, x, bias, accumulate, y);
}

extern "C" __global__ void __launch_bounds__(128)
    matvec_act_to_act(int rows, int cols, const act *w, const act *x, const float *bias,
                      int accumulate, act *y) {
  matvec(rows, cols, w, x, bias, accumulate, y);
}
