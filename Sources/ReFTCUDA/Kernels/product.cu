// SPDX-License-Identifier: Apache-2.0
// Products of a weight matrix with up to eight rows, at the memory's rate, with
// what comes before and after in one kernel: x may be the residual stream, which
// is normed on the way, and y gets its bias, its activation and its sum. Groups
// of eight warps, of which a block has one or more, take tiles of sixteen rows of
// W; the warps of a group share the columns. `cols` is a multiple of 32;
// activations are bfloat16.
#include "activation.cuh"
#include "launch.cuh"
#include "packed.cuh"

constexpr int GROUP = 8, MOST_ROWS = 8;

// W [rows, cols] in its format; x, activations [n, cols], or a float stream of
// the same shape and its norm; and what becomes of a sum: where `gate` is not
// negative f(first) · second of the two halves of a tile, else the sum and its
// bias, to floats or to activations.
struct product_call {
  const void *weights;
  int n, rows, cols, half;
  const act *x;
  const float *stream, *norm_weight, *norm_bias;
  float eps;
  int kind;
  const float *bias;
  float *floats;
  act *acts;
  int gate, accumulate;

  __device__ __forceinline__ void write(size_t at, float sum) const {
    if (floats) {
      floats[at] = accumulate ? floats[at] + sum : sum;
    } else {
      acts[at] = bfloat16_of(sum);
    }
  }
};

// Numbers from one row of x to the next in shared memory: two neighbours lie in
// different banks.
__device__ __forceinline__ int normed_stride(int cols) {
  return (cols + 63) / 64 * 64 + 32;
}

// x normed, into shared memory; as many warps to a row as there are for it.
__device__ __forceinline__ void norm_rows(const product_call &in, act *to, float *parts) {
  int share = blockDim.x / 32 / (in.n == 1 ? 1 : in.n == 2 ? 2 : in.n <= 4 ? 4 : 8);
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = warp / share, d = in.cols;
  int first = (warp % share * 32 + lane) * 8, step = share * 256;
  const float *x = in.stream + (size_t)row * d;
  if (row >= in.n) first = d;
  auto total = [&](float mine) {
    mine = warp_sum(mine);
    __syncthreads();
    if (lane == 0) parts[warp] = mine;
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < share; i++) sum += parts[row * share + i];
    return sum;
  };
  float mean = 0, square = 0, values[8], w[8], b[8];
  if (in.kind == 1) {
    for (int j = first; j < d; j += step) {
      load<8>(x + j, values);
      for (int k = 0; k < 8; k++) mean += values[k];
    }
    mean = total(mean) / (float)d;
  }
#pragma unroll 2
  for (int j = first; j < d; j += step) {
    load<8>(x + j, values);
    for (int k = 0; k < 8; k++) square += (values[k] - mean) * (values[k] - mean);
  }
  float inverse = 1 / sqrtf(total(square) / (float)d + in.eps);
#pragma unroll 2
  for (int j = first; j < d; j += step) {
    load<8>(x + j, values);
    load<8>(in.norm_weight + j, w);
    for (int k = 0; k < 8; k++) values[k] = (values[k] - mean) * inverse * w[k];
    if (in.kind == 1) {
      load<8>(in.norm_bias + j, b);
      for (int k = 0; k < 8; k++) values[k] += b[k];
    }
    store<8>(to + row * normed_stride(d) + j, values);
  }
  __syncthreads();
}

template <int RUN>
__device__ __forceinline__ uint4 right_run(const act *from) {
  if constexpr (RUN == 8) return *(const uint4 *)from;
  uint2 first = *(const uint2 *)from, second = *(const uint2 *)(from + 16);
  return make_uint4(first.x, first.y, second.x, second.y);
}

// A lane's runs of x at a unit's blocks; where x ends, any: weights there are
// zeros. `own` is where the lane's runs begin.
template <class P>
__device__ __forceinline__ void right_runs(const act *own, int column, int cols,
                                           uint4 (&x)[P::BLOCKS]) {
  if (column + 32 * P::BLOCKS <= cols) {
#pragma unroll
    for (int b = 0; b < P::BLOCKS; b++) x[b] = right_run<P::RUN>(own + column + 32 * b);
  } else {
#pragma unroll
    for (int b = 0; b < P::BLOCKS; b++) {
      x[b] = right_run<P::RUN>(own + min(column + 32 * b, cols - 32));
    }
  }
}

// Adds up what the warps of a group have of a tile, in a fixed order, and ends
// it; `thread` counts those of the group.
__device__ __forceinline__ void end_tile(const float *parts, int thread, int tile,
                                         const product_call &call) {
  int r = thread % 16, i = thread / 16, row = row_of(tile, r, call.half);
  if (i >= call.n || row >= call.rows || (call.gate >= 0 && r >= 8)) return;
  auto sum = [&](int of) {
    float x = 0;
#pragma unroll
    for (int warp = 0; warp < GROUP; warp++) x += parts[(warp * 16 + of) * call.n + i];
    return call.bias ? x + call.bias[row_of(tile, of, call.half)] : x;
  };
  if (call.gate >= 0) {
    float value = activation_of(call.gate, sum(r)).value;
    call.write((size_t)i * call.half + row, value * sum(r + 8));
  } else {
    call.write((size_t)i * call.rows + row, sum(r));
  }
}

template <class P>
__device__ __forceinline__ void product(const product_call &call) {
  extern __shared__ __align__(16) unsigned char memory[];
  P w(call.weights, call.cols, call.half);
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  int group = warp / GROUP, own = warp % GROUP, step = gridDim.x * (warps / GROUP);
  int units = (call.cols + P::COLUMNS - 1) / P::COLUMNS;
  int tiles = call.half ? call.half / 8 : (call.rows + 15) / 16;
  unsigned char *stages = memory + warp * P::STAGES * P::STAGE;
  float *parts = (float *)(memory + warps * P::STAGES * P::STAGE);
  act *normed = (act *)(parts + 2 * warps * 16 * call.n);

  // What is fetched next, some units ahead of what is multiplied.
  int next_tile = own < units ? blockIdx.x + group * gridDim.x : tiles, next_unit = own;
  const char *next = w.place_of(next_tile, own, lane);
  auto fetch = [&](int slot) {
    if (next_tile < tiles) {
      w.fetch(stages + slot * P::STAGE, next, next_unit, lane);
      next_unit += GROUP, next += GROUP * P::STEP;
      if (next_unit >= units) {
        next_unit = own, next_tile += step;
        next = w.place_of(next_tile, own, lane);
      }
    }
    copies_end();
  };
#pragma unroll
  for (int slot = 0; slot < P::STAGES - 1; slot++) fetch(slot);
  let_next_begin();
  wait_for_previous();

  if (call.stream) norm_rows(call, normed, parts);
  // Columns of y behind the n-th are nobody's.
  int stride = call.stream ? normed_stride(call.cols) : call.cols;
  const act *x = call.stream ? normed : call.x;
  x += (size_t)min(lane / 4, call.n - 1) * stride + lane % 4 * P::RUN;
  int slot = 0, round = 0;
  for (int first = blockIdx.x; first < tiles; first += step, round++) {
    int tile = first + group * gridDim.x;
    float sums[4] = {};
    for (int unit = own; unit < units && tile < tiles; unit += GROUP) {
      uint4 right[P::BLOCKS];
      right_runs<P>(x, unit * P::COLUMNS, call.cols, right);
      copies_done<P::STAGES - 2>();
      __syncwarp();
      fetch(slot == 0 ? P::STAGES - 1 : slot - 1);
      P::add(sums, stages + slot * P::STAGE, lane, right, 0);
      if constexpr (P::PARTS == 2) {
        right_runs<P>(x, unit * P::COLUMNS + P::COLUMNS / 2, call.cols, right);
        P::add(sums, stages + slot * P::STAGE, lane, right, 1);
      }
      slot = slot + 1 == P::STAGES ? 0 : slot + 1;
    }
    float *of_group = parts + (round % 2 * warps + group * GROUP) * 16 * call.n;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int r = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      if (column < call.n) of_group[(own * 16 + r) * call.n + column] = sums[i];
    }
    __syncthreads();
    // Each time others do it, so that no warp falls behind.
    int thread = (threadIdx.x + round * 32) % (GROUP * 32);
    if (tile < tiles) end_tile(of_group, thread, tile, call);
  }
}

// Grids of any size do; shared memory as KernelShapes says.
extern "C" __global__ void __launch_bounds__(512) product_plain(product_call call) {
  product<plain>(call);
}
// The bound on registers: some compilers would take more, and the work is no faster for it.
extern "C" __global__ void __launch_bounds__(512, 2) product_nibbles(product_call call) {
  product<nibbles>(call);
}
extern "C" __global__ void __launch_bounds__(512) product_nibbles_from(product_call call) {
  product<nibbles_from>(call);
}
extern "C" __global__ void __launch_bounds__(512) product_bytes(product_call call) {
  product<bytes>(call);
}
extern "C" __global__ void __launch_bounds__(512) product_bytes_from(product_call call) {
  product<bytes_from>(call);
}
extern "C" __global__ void __launch_bounds__(512) product_bytes_of_halves(product_call call) {
  product<bytes_of_halves>(call);
}
