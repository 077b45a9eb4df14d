// SPDX-License-Identifier: Apache-2.0
// What products with few rows multiply weights with: x, or the residual stream,
// which is normed on the way. Plain weights take it as activations; codes take
// it in digits, so that their products are exact sums of integers.
#include "numbers.cuh"

// x, activations [n, cols], or a float stream of the same shape and its norm; or
// the digits of either, ready.
struct product_operand {
  const act *x;
  const float *stream, *norm_weight, *norm_bias;
  const unsigned char *digits;
  float eps;
  int kind, n, cols;

  // A run of eight of the stream, normed.
  __device__ __forceinline__ void norm(int row, int column, float mean, float inverse,
                                       const float (&w)[8], float (&values)[8]) const {
    float b[8];
    load<8>(stream + (size_t)row * cols + column, values);
    for (int k = 0; k < 8; k++) values[k] = (values[k] - mean) * inverse * w[k];
    if (kind != 1) return;
    load<8>(norm_bias + column, b);
    for (int k = 0; k < 8; k++) values[k] += b[k];
  }
};

// How the warps of a block share the rows of x: as many to a row as there are
// for it, 256 columns at a time.
struct row_share {
  int share, row, first, step;
  // The norm's weights at a lane's first run, which nobody writes: they are read
  // while others still write x.
  float weights[8];

  __device__ __forceinline__ row_share(const product_operand &in) {
    share = blockDim.x / 32 / (in.n == 1 ? 1 : in.n == 2 ? 2 : in.n <= 4 ? 4 : 8);
    int warp = threadIdx.x / 32, column;
    row = warp / share, first = warp % share * 256, step = share * 256;
    column = first + threadIdx.x % 32 * 8;
    if (in.stream && column < in.cols) load<8>(in.norm_weight + column, weights);
  }
};

// take(row, column, values) for each run of eight numbers of x up to column
// `end`, zeros behind the last, by whole warps of the block.
template <class Take>
__device__ __forceinline__ void each_run_of(const product_operand &in, const row_share &rows,
                                            int end, float *parts, Take take) {
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, d = in.cols;
  int share = rows.share, row = rows.row, step = rows.step;
  int first = row < in.n ? rows.first : end;
  float mean = 0, inverse = 1, values[8];
  if (in.stream) {
    const float *x = in.stream + (size_t)row * d;
    auto total = [&](auto of) {
      float mine = 0;
#pragma unroll 2
      for (int j = first + lane * 8; j < min(d, end); j += step) {
        load<8>(x + j, values);
        for (int k = 0; k < 8; k++) mine += of(values[k]);
      }
      mine = warp_sum(mine);
      __syncthreads();
      if (lane == 0) parts[warp] = mine;
      __syncthreads();
      float sum = 0;
      for (int i = 0; i < share; i++) sum += parts[warp / share * share + i];
      return sum;
    };
    if (in.kind == 1) mean = total([](float v) { return v; }) / (float)d;
    float square = total([=](float v) { return (v - mean) * (v - mean); });
    inverse = 1 / sqrtf(square / (float)d + in.eps);
  }
#pragma unroll 2
  for (int from = first; from < end; from += step) {
    int j = from + lane * 8;
    for (int k = 0; k < 8; k++) values[k] = 0;
    if (j < d && in.stream) {
      float w[8];
      for (int k = 0; k < 8; k++) w[k] = rows.weights[k];
      if (from > first) load<8>(in.norm_weight + j, w);
      in.norm(row, j, mean, inverse, w, values);
    } else if (j < d) {
      load<8>(in.x + (size_t)row * d + j, values);
    }
    take(row, j, values);
  }
}

// Numbers from one row of x to the next in shared memory: two neighbours lie in
// different banks.
__device__ __forceinline__ int normed_stride(int cols) {
  return (cols + 63) / 64 * 64 + 32;
}

// x in digits of base 256, for products in units of UNIT columns whose codes
// count TIMES what they stand for. Of each row the higher digits and then the
// lower ones, both signed, in chunks of 128 columns, in which a lane's runs of
// four blocks follow each other; then, for each row, what 1 stands for in each
// block of 32 columns, and the blocks' sums.
template <int UNIT, int RUN, int TIMES>
struct digit_rows {
  static constexpr float LARGEST = 127 * 256;
  unsigned char *base;
  int n, columns;

  __device__ __forceinline__ digit_rows(void *base, int n, int cols)
      : base((unsigned char *)base), n(n), columns((cols + UNIT - 1) / UNIT * UNIT) {}
  __device__ __forceinline__ unsigned char *row(int i, int digit) const {
    return base + (size_t)(2 * i + digit) * (columns + 16);
  }
  __device__ __forceinline__ float *scales(int i) const {
    return (float *)row(n, 0) + i * 2 * (columns / 32);
  }
  __device__ __forceinline__ float *sums(int i) const { return scales(i) + columns / 32; }

  // Where four neighbouring columns are in a row.
  static __device__ __forceinline__ int place(int column) {
    int lane = RUN == 8 ? column / 8 % 4 : column / 4 % 4;
    int second = RUN == 8 ? column / 4 % 2 : column / 16 % 2;
    return column / 128 * 128 + lane * 32 + column / 32 % 4 * 8 + second * 4;
  }
  // Takes a run of eight; four lanes have a block.
  __device__ __forceinline__ void take(int i, int column, const float (&x)[8]) const {
    float most = 0, sum = 0;
    for (int k = 0; k < 8; k++) most = fmaxf(most, fabsf(x[k])), sum += x[k];
    for (int with = 1; with < 4; with <<= 1) {
      most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, with));
      sum += __shfl_xor_sync(0xffffffffu, sum, with);
    }
    if (column >= columns) return;
    float inverse = most > 0 ? LARGEST / most : 0;
#pragma unroll
    for (int four = 0; four < 2; four++) {
      unsigned digits[2] = {};
      for (int k = 0; k < 4; k++) {
        int v = __float2int_rn(x[4 * four + k] * inverse);
        digits[0] |= ((unsigned)(v + 128) >> 8 & 255) << 8 * k;
        digits[1] |= ((unsigned)v & 255) << 8 * k;
      }
      for (int digit = 0; digit < 2; digit++) {
        *(unsigned *)(row(i, digit) + place(column + 4 * four)) = digits[digit];
      }
    }
    if (column % 32 != 0) return;
    // What is not finite stays so.
    scales(i)[column / 32] = most * (1 / (LARGEST * TIMES)) + (sum - sum);
    sums(i)[column / 32] = sum;
  }
};
