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

constexpr int GROUP = 8;

// W [rows, cols] in its format; x; and what becomes of a sum: where `gate` is not
// negative f(first) · second of the two halves of a tile, else the sum and its
// bias, to floats or to activations.
struct product_call {
  const void *weights;
  product_operand in;
  int rows, half;
  const float *bias;
  float *floats;
  act *acts;
  int gate, accumulate;
};

// What a thread ends a tile with; threads count within a group.
struct tile_end {
  int r, i, row;
  bool is_there;
  size_t at;
  // What the sum is added to, read while the products are made.
  float before;

  __device__ __forceinline__ tile_end(const product_call &call, int thread, int tile, int tiles)
      : r(thread % 16), i(thread / 16), row(row_of(tile, r, call.half)) {
    is_there = tile < tiles && i < call.in.n && row < call.rows && (call.gate < 0 || r < 8);
    at = (size_t)i * (call.gate < 0 ? call.rows : call.half) + row;
    before = is_there && call.accumulate ? call.floats[at] : 0;
  }
  // Adds up what the warps of a group have of it, in a fixed order, and ends it.
  __device__ __forceinline__ void write(const product_call &call, const float *parts) const {
    if (!is_there) return;
    int n = call.in.n;
    auto sum = [&](int of) {
      float x = 0;
#pragma unroll
      for (int warp = 0; warp < GROUP; warp++) x += parts[(warp * 16 + of) * n + i];
      return call.bias ? x + call.bias[row + (of == r ? 0 : call.half)] : x;
    };
    float value = sum(r);
    if (call.gate >= 0) value = activation_of(call.gate, value).value * sum(r + 8);
    if (call.floats) {
      call.floats[at] = before + value;
    } else {
      call.acts[at] = bfloat16_of(value);
    }
  }
};

template <class P, class Operand, class Sums>
__device__ __forceinline__ void product(const product_call &call) {
  extern __shared__ __align__(16) unsigned char memory[];
  int cols = call.in.cols, n = call.in.n;
  P w(call.weights, cols, call.half);
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  int group = warp / GROUP, own = warp % GROUP, step = gridDim.x * (warps / GROUP);
  int units = (cols + P::COLUMNS - 1) / P::COLUMNS;
  int tiles = call.half ? call.half / 8 : (call.rows + 15) / 16;
  unsigned char *stages = memory + warp * P::STAGES * P::STAGE;
  float *parts = (float *)(memory + warps * P::STAGES * P::STAGE);

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
  row_share rows(call.in);
  let_next_begin();
  wait_for_previous();

  Operand x(call.in, rows, parts + 2 * warps * 16 * n, parts);
  int slot = 0, round = 0;
  for (int first = blockIdx.x; first < tiles; first += step, round++) {
    int tile = first + group * gridDim.x;
    // Each time others end it, so that no warp falls behind.
    tile_end end(call, (threadIdx.x + round * 32) % (GROUP * 32), tile, tiles);
    Sums sums;
    for (int unit = own; unit < units && tile < tiles; unit += GROUP) {
      auto runs = x.at(unit);
      copies_done<P::STAGES - 2>();
      __syncwarp();
      fetch(slot == 0 ? P::STAGES - 1 : slot - 1);
      sums.add(stages + slot * P::STAGE, lane, runs);
      slot = slot + 1 == P::STAGES ? 0 : slot + 1;
    }
    float *of_group = parts + (round % 2 * warps + group * GROUP) * 16 * n;
    sums.each(lane, [&](int r, int i, float sum) {
      if (i < n) of_group[(own * 16 + r) * n + i] = sum;
    });
    __syncthreads();
    end.write(call, of_group);
  }
}

template <class P>
__device__ __forceinline__ void product_of_codes(const product_call &call) {
  if (call.in.n <= 4) {
    product<P, typename P::template operand<1>, typename P::template sums<1>>(call);
  } else {
    product<P, typename P::template operand<2>, typename P::template sums<2>>(call);
  }
}

// Grids of any size do; shared memory as KernelShapes says.
extern "C" __global__ void __launch_bounds__(512) product_plain(product_call call) {
  product<plain, plain::operand, plain::sums>(call);
}
extern "C" __global__ void __launch_bounds__(512) product_nibbles(product_call call) {
  product_of_codes<nibbles>(call);
}
extern "C" __global__ void __launch_bounds__(512) product_nibbles_from(product_call call) {
  product_of_codes<nibbles_from>(call);
}
extern "C" __global__ void __launch_bounds__(512) product_bytes(product_call call) {
  product_of_codes<bytes>(call);
}
extern "C" __global__ void __launch_bounds__(512) product_bytes_from(product_call call) {
  product_of_codes<bytes_from>(call);
}
extern "C" __global__ void __launch_bounds__(512) product_bytes_of_halves(product_call call) {
  product_of_codes<bytes_of_halves>(call);
}

// The digits of x, for products that have no room for them, a row a y of the
// grid, 256 columns a warp.
struct digit_call {
  product_operand in;
  unsigned char *to;
};

template <class P>
__device__ __forceinline__ void digits_of(const digit_call &call) {
  let_next_begin();
  wait_for_previous();
  typename P::digits all(call.to, call.in.n, call.in.cols);
  int row = blockIdx.y, lane = threadIdx.x % 32;
  int column = (blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32) * 256 + lane * 8;
  float values[8] = {};
  if (column < call.in.cols) load<8>(call.in.x + (size_t)row * call.in.cols + column, values);
  all.take(row, column, values);
}

extern "C" __global__ void digits_nibbles(digit_call call) {
  digits_of<nibbles>(call);
}
extern "C" __global__ void digits_nibbles_from(digit_call call) {
  digits_of<nibbles_from>(call);
}
extern "C" __global__ void digits_bytes(digit_call call) {
  digits_of<bytes>(call);
}
extern "C" __global__ void digits_bytes_from(digit_call call) {
  digits_of<bytes_from>(call);
}
extern "C" __global__ void digits_bytes_of_halves(digit_call call) {
  digits_of<bytes_of_halves>(call);
}
