// SPDX-License-Identifier: Apache-2.0
// The rotation of queries and keys by their position (Su et al., arXiv
// 2104.09864); sign −1 turns back.
#include "numbers.cuh"

// Turns one run of W pairs whose cosines and sines alternate in `angles`.
template <int W>
__device__ void turn(const float *angles, float sign, float (&first)[W], float (&second)[W]) {
  for (int k = 0; k < W; k++) {
    float cosine = angles[2 * k], sine = sign * angles[2 * k + 1];
    float x = first[k], y = second[k];
    first[k] = x * cosine - y * sine;
    second[k] = x * sine + y * cosine;
  }
}

// Pairs (i, width / 2 + i) of each head, in place.
template <int W>
__device__ void rotate_halves(int rows, int stride, int heads, int head_size, int width,
                              const int *positions, const float *table, float sign, act *x) {
  int half = width / 2;
  each_run<W>(rows, heads * half, [&](int row, int column) {
    int head = column / half, i = column % half;
    act *pair = x + (size_t)row * stride + head * head_size + i;
    float first[W], second[W];
    load<W>(pair, first);
    load<W>(pair + half, second);
    turn<W>(table + (size_t)positions[row] * width + 2 * i, sign, first, second);
    store<W>(pair, first);
    store<W>(pair + half, second);
  });
}

// Pairs (2i, 2i + 1) of each head, in place.
__device__ void rotate_neighbours(int rows, int stride, int heads, int head_size, int width,
                                  const int *positions, const float *table, float sign, act *x) {
  int half = width / 2;
  each_run<1>(rows, heads * half, [&](int row, int column) {
    int head = column / half, i = column % half;
    act *pair = x + (size_t)row * stride + head * head_size + 2 * i;
    float first[1] = {widen(pair[0])}, second[1] = {widen(pair[1])};
    turn<1>(table + (size_t)positions[row] * width + 2 * i, sign, first, second);
    narrow(first[0], pair[0]);
    narrow(second[0], pair[1]);
  });
}

// Turns the first `width` numbers of each of `heads` heads that begin at column
// `offset`; the table has for each position the cosine and the sine of each
// pair.
extern "C" __global__ void rotate(int rows, int stride, int offset, int heads, int head_size,
                                  int width, int halves, const int *positions, const float *table,
                                  float sign, act *x) {
  act *from = x + offset;
  if (!halves) {
    rotate_neighbours(rows, stride, heads, head_size, width, positions, table, sign, from);
  } else if (width % 16 == 0 && (stride | head_size) % 8 == 0 && wide(from)) {
    rotate_halves<8>(rows, stride, heads, head_size, width, positions, table, sign, from);
  } else {
    rotate_halves<1>(rows, stride, heads, head_size, width, positions, table, sign, from);
  }
}
