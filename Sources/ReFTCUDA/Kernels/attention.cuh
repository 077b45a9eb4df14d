// SPDX-License-Identifier: Apache-2.0
// What the kernels of attention share: whose keys a query sees, scores, and
// tiles in shared memory. D is the size of a head rounded up to 16
// (-DREFT_HEAD); what lies between is zero.
#include "numbers.cuh"

constexpr int D = REFT_HEAD;
constexpr int TILE = 64;
constexpr float LOG2E = 1.4426950408889634f, LOWEST = -1e30f;

// A sequence's rows in the pass, and its keys; 48 bytes.
struct span {
  // Its rows, and the position of the first.
  int start, count, position;
  // Keys before this one are rows 0, 1, … of keys and values, the others rows
  // key_start, key_start
  // + 1, ….
  int prefix;
  const act *keys, *values;
  int key_stride, key_start;
  int reserved0, reserved1;

  // How many keys there are.
  __device__ __forceinline__ int total() const { return position + count; }
  __device__ __forceinline__ size_t place(int key) const {
    return (size_t)(key < prefix ? key : key_start + key - prefix) * key_stride;
  }
};

// Which keys a query sees, and what becomes of its products with them.
struct scoring {
  float scale, cap;
  int window, full;

  // The first key that the query at a position sees, and one behind the last.
  __device__ __forceinline__ int first_key(int position) const {
    return full || window <= 0 ? 0 : max(0, position - window + 1);
  }
  __device__ __forceinline__ int key_end(int position, int total) const {
    return full ? total : min(position + 1, total);
  }
  __device__ __forceinline__ bool sees(int position, int key, int total) const {
    return key >= first_key(position) && key < key_end(position, total);
  }
  // Whether all queries at positions first … last see all keys key … key +
  // count − 1.
  __device__ __forceinline__ bool all_see(int first, int last, int key, int count,
                                          int total) const {
    return key >= first_key(last) && key + count <= key_end(first, total);
  }
  // The score of a product, and d score / d product.
  __device__ __forceinline__ float score(float product) const {
    return cap > 0 ? cap * bounded(product * (scale / cap)) : product * scale;
  }
  __device__ __forceinline__ float slope(float score) const {
    return cap > 0 ? scale * (1 - (score / cap) * (score / cap)) : scale;
  }
  // tanh, with an error of some 1e-7.
  static __device__ __forceinline__ float bounded(float x) {
    return 1 - 2 / (1 + exp2f(x * (2 * LOG2E)));
  }
};

// Whether rows of heads can be read in runs of 16 bytes.
__device__ __forceinline__ bool wide_rows(const act *p, int stride, int head_size) {
  int unit = 16 / (int)sizeof(act);
  return head_size % unit == 0 && stride % unit == 0 && ((size_t)p & 15) == 0;
}

#if REFT_ACT == 1
#include "tensor.cuh"

// Numbers from a row of a tile to the next: 16 bytes more than it holds keep
// banks apart.
constexpr int PITCH = D + 8;

// Starts to bring rows into a tile: row r from `row_of(r)`, zeros from `count`
// on.
template <int ROWS, class F>
__device__ __forceinline__ void bring(act *tile, F row_of, int count, int head_size, bool is_wide) {
  constexpr int RUNS = D / 8;
  for (int i = threadIdx.x; i < ROWS * RUNS; i += blockDim.x) {
    int r = i / RUNS, column = i % RUNS * 8;
    act *to = tile + r * PITCH + column;
    const act *from = row_of(r < count ? r : 0);
    if (is_wide) {
      bool is_there = r < count && column < head_size;
      copy_later(to, is_there ? from + column : from, is_there);
    } else {
      for (int j = 0; j < 8; j++) {
        to[j] = r < count && column + j < head_size ? from[column + j] : (act)0;
      }
    }
  }
}

// The pieces of A at 16 rows and column 16 k of a tile.
__device__ __forceinline__ void left_piece(unsigned (&a)[4], const act *tile, int row, int k) {
  int lane = threadIdx.x % 32;
  load_matrices(a, tile + (row + lane % 16) * PITCH + 16 * k + lane / 16 * 8);
}
// Those of two Bs whose columns are rows of a tile: 16 from `row` on, at column
// 16 k.
__device__ __forceinline__ void right_pieces(unsigned (&b)[4], const act *tile, int row, int k) {
  int lane = threadIdx.x % 32;
  load_matrices(b, tile + (row + lane % 8 + lane / 16 * 8) * PITCH + 16 * k + lane / 8 % 2 * 8);
}
// Those of two Bs whose rows are rows of a tile: 16 from `row` on, at 16
// columns from `column` on.
__device__ __forceinline__ void row_pieces(unsigned (&b)[4], const act *tile, int row, int column) {
  int lane = threadIdx.x % 32;
  load_transposed(b, tile + (row + lane % 16) * PITCH + column + lane / 16 * 8);
}

// s[16, 8 N] = 16 rows of a tile from `row` on times the first 8 N rows of
// another, transposed.
template <int N>
__device__ __forceinline__ void score_products(float (&s)[N][4], const act *left, int row,
                                               const act *right) {
#pragma unroll
  for (int n = 0; n < N; n++) s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0;
#pragma unroll
  for (int k = 0; k < D / 16; k++) {
    unsigned a[4], b[4];
    left_piece(a, left, row, k);
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      right_pieces(b, right, 8 * n, k);
      multiply_add(s[n], a, b[0], b[1]);
      multiply_add(s[n + 1], a, b[2], b[3]);
    }
  }
}

// out[16, columns] += p[16, 8 N] times the first 8 N rows of a tile, from
// `column` on.
template <int N, int COLUMNS>
__device__ __forceinline__ void add_products(float (&out)[COLUMNS / 8][4], const float (&p)[N][4],
                                             const act *tile, int column) {
#pragma unroll
  for (int k = 0; k < N / 2; k++) {
    unsigned a[4] = {bfloat16_pair(p[2 * k][0], p[2 * k][1]),
                     bfloat16_pair(p[2 * k][2], p[2 * k][3]),
                     bfloat16_pair(p[2 * k + 1][0], p[2 * k + 1][1]),
                     bfloat16_pair(p[2 * k + 1][2], p[2 * k + 1][3])};
#pragma unroll
    for (int n = 0; n < COLUMNS / 8; n += 2) {
      unsigned b[4];
      row_pieces(b, tile, 16 * k, column + 8 * n);
      multiply_add(out[n], a, b[0], b[1]);
      multiply_add(out[n + 1], a, b[2], b[3]);
    }
  }
}

// Writes a lane's numbers of one row: columns 8 n + 2 (lane % 4) and its
// neighbour.
template <int N>
__device__ __forceinline__ void put_row(act *row, const float (&x)[N][4], int half, float factor,
                                        int column, int head_size, bool is_wide) {
#pragma unroll
  for (int n = 0; n < N; n++) {
    int at = column + 8 * n + threadIdx.x % 4 * 2;
    float first = x[n][half] * factor, second = x[n][half + 1] * factor;
    if (is_wide) {
      if (at < head_size) *(unsigned *)(row + at) = bfloat16_pair(first, second);
    } else {
      if (at < head_size) row[at] = bfloat16_of(first);
      if (at + 1 < head_size) row[at + 1] = bfloat16_of(second);
    }
  }
}
#endif
