// SPDX-License-Identifier: Apache-2.0
// RMSNorm (kind 0) and LayerNorm (kind 1) of rows, one block each, and of
// heads, one warp each; forward and backward. Statistics are those of the float
// row, computed again on the way back.
#include "numbers.cuh"

// What a row is normalised with: y = (x − mean) · inverse · weight + bias.
struct statistics {
  float mean, inverse;
};

// The sum over a block or over a warp, as T says.
struct by_block {
  float *parts;
  __device__ float sum(float x) const { return block_sum(x, parts); }
  __device__ int first() const { return (int)threadIdx.x; }
  __device__ int step() const { return (int)blockDim.x; }
};
struct by_warp {
  __device__ float sum(float x) const { return warp_sum(x); }
  __device__ int first() const { return (int)threadIdx.x % 32; }
  __device__ int step() const { return 32; }
};

template <int W, class T, class G>
__device__ statistics statistics_of(G group, int d, int kind, const T *x, float eps) {
  float mean = 0, sum = 0, values[W];
  if (kind == 1) {
    for (int j = group.first() * W; j < d; j += group.step() * W) {
      load<W>(x + j, values);
      for (int k = 0; k < W; k++) mean += values[k];
    }
    mean = group.sum(mean) / (float)d;
  }
  for (int j = group.first() * W; j < d; j += group.step() * W) {
    load<W>(x + j, values);
    for (int k = 0; k < W; k++) sum += (values[k] - mean) * (values[k] - mean);
  }
  return {mean, 1 / sqrtf(group.sum(sum) / (float)d + eps)};
}

// y = norm(x), or added + norm(x).
template <int W, class S, class T, class G>
__device__ void norm_row(G group, int d, int kind, const S *x, const float *weight,
                         const float *bias, float eps, const float *added, T *y) {
  statistics s = statistics_of<W>(group, d, kind, x, eps);
  for (int j = group.first() * W; j < d; j += group.step() * W) {
    float values[W], w[W], b[W];
    load<W>(x + j, values);
    load<W>(weight + j, w);
    for (int k = 0; k < W; k++) values[k] = (values[k] - s.mean) * s.inverse * w[k];
    if (kind == 1) {
      load<W>(bias + j, b);
      for (int k = 0; k < W; k++) values[k] += b[k];
    }
    if (added) {
      load<W>(added + j, b);
      for (int k = 0; k < W; k++) values[k] += b[k];
    }
    store<W>(y + j, values);
  }
}

// With u = (x − mean) s and g = dy · weight: dx = s (g − mean(g) − u mean(g
// u)), where RMSNorm has neither mean. dx = that, or dx += that; `rounded`
// takes it too, in an activation's format.
template <int W, class S, class T, class D, class G>
__device__ void norm_row_backward(G group, int d, int kind, const S *x, const float *weight,
                                  float eps, const T *dy, D *dx, bool accumulates, act *rounded) {
  statistics s = statistics_of<W>(group, d, kind, x, eps);
  float sum = 0, product = 0, values[W], w[W], g[W], out[W];
  for (int j = group.first() * W; j < d; j += group.step() * W) {
    load<W>(x + j, values);
    load<W>(weight + j, w);
    load<W>(dy + j, g);
    for (int k = 0; k < W; k++) {
      sum += g[k] * w[k];
      product += g[k] * w[k] * (values[k] - s.mean);
    }
  }
  product = group.sum(product) * s.inverse * s.inverse / (float)d;
  sum = kind == 1 ? group.sum(sum) / (float)d : 0;
  for (int j = group.first() * W; j < d; j += group.step() * W) {
    load<W>(x + j, values);
    load<W>(weight + j, w);
    load<W>(dy + j, g);
    if (accumulates) load<W>(dx + j, out);
    for (int k = 0; k < W; k++) {
      float slope = s.inverse * (g[k] * w[k] - sum - (values[k] - s.mean) * product);
      out[k] = accumulates ? out[k] + slope : slope;
    }
    store<W>(dx + j, out);
    if (rounded) store<W>(rounded + j, out);
  }
}

extern "C" __global__ void norm_act(int rows, int d, int kind, const float *x, const int *pick,
                                    const float *weight, const float *bias, float eps, act *y) {
  __shared__ float parts[32];
  int row = blockIdx.x;
  if (row >= rows) return;
  const float *from = x + (size_t)(pick ? pick[row] : row) * d;
  act *to = y + (size_t)row * d;
  in_runs(d % 8 == 0 && wide(x) && wide(weight) && wide(bias) && wide(y), [&](auto width) {
    constexpr int W = decltype(width)::value;
    norm_row<W>(by_block{parts}, d, kind, from, weight, bias, eps, (const float *)nullptr, to);
  });
}

__device__ void norm_in_float(int rows, int d, int kind, const float *x, const float *weight,
                              const float *bias, float eps, const float *stream, float *y) {
  __shared__ float parts[32];
  int row = blockIdx.x;
  if (row >= rows) return;
  size_t at = (size_t)row * d;
  bool of_eight = d % 8 == 0 && wide(x) && wide(weight) && wide(bias) && wide(stream) && wide(y);
  in_runs(of_eight, [&](auto width) {
    constexpr int W = decltype(width)::value;
    const float *added = stream ? stream + at : nullptr;
    norm_row<W>(by_block{parts}, d, kind, x + at, weight, bias, eps, added, y + at);
  });
}

// y may be x.
extern "C" __global__ void norm_float(int rows, int d, int kind, const float *x,
                                      const float *weight, const float *bias, float eps, float *y) {
  norm_in_float(rows, d, kind, x, weight, bias, eps, nullptr, y);
}

// out = stream + norm(x); out may be stream.
extern "C" __global__ void norm_add(int rows, int d, int kind, const float *x, const float *weight,
                                    const float *bias, float eps, const float *stream, float *out) {
  norm_in_float(rows, d, kind, x, weight, bias, eps, stream, out);
}

// out = stream + x, and y = norm(out) of the same row; without a weight the sum alone.
extern "C" __global__ void add_norm(int rows, int d, int kind, const act *x, const float *stream,
                                    const float *weight, const float *bias, float eps, float *out,
                                    act *y) {
  __shared__ float parts[32];
  int row = blockIdx.x;
  if (row >= rows) return;
  size_t at = (size_t)row * d;
  bool of_eight =
      d % 8 == 0 && wide(x) && wide(stream) && wide(out) && wide(weight) && wide(bias) && wide(y);
  in_runs(of_eight, [&](auto width) {
    constexpr int W = decltype(width)::value;
    // A thread reads below what it has written here.
    for (int j = (int)threadIdx.x * W; j < d; j += (int)blockDim.x * W) {
      float values[W], more[W];
      load<W>(stream + at + j, values);
      load<W>(x + at + j, more);
      for (int k = 0; k < W; k++) values[k] += more[k];
      store<W>(out + at + j, values);
    }
    if (weight) {
      norm_row<W>(by_block{parts}, d, kind, out + at, weight, bias, eps, (const float *)nullptr,
                  y + at);
    }
  });
}

// gradient += d norm / d x, at row pick[i] for row i of dy; `copy` takes the
// sum too, at the same rows.
extern "C" __global__ void norm_backward(int rows, int d, int kind, const float *x, const int *pick,
                                         const float *weight, float eps, const act *dy,
                                         float *gradient, act *copy) {
  __shared__ float parts[32];
  int row = blockIdx.x;
  if (row >= rows) return;
  size_t at = (size_t)(pick ? pick[row] : row) * d;
  bool of_eight = d % 8 == 0 && wide(x) && wide(weight) && wide(dy) && wide(gradient) && wide(copy);
  in_runs(of_eight, [&](auto width) {
    constexpr int W = decltype(width)::value;
    norm_row_backward<W>(by_block{parts}, d, kind, x + at, weight, eps, dy + (size_t)row * d,
                         gradient + at, true, copy ? copy + at : nullptr);
  });
}

// dx = d norm / d x; dx may be dy.
extern "C" __global__ void norm_backward_float(int rows, int d, int kind, const float *x,
                                               const float *weight, float eps, const float *dy,
                                               float *dx) {
  __shared__ float parts[32];
  int row = blockIdx.x;
  if (row >= rows) return;
  size_t at = (size_t)row * d;
  in_runs(d % 8 == 0 && wide(x) && wide(weight) && wide(dy) && wide(dx), [&](auto width) {
    constexpr int W = decltype(width)::value;
    norm_row_backward<W>(by_block{parts}, d, kind, x + at, weight, eps, dy + at, dx + at, false,
                         (act *)nullptr);
  });
}

// In place, each of `groups` runs of `size` numbers of a row, from column
// `offset` on.
extern "C" __global__ void head_norm(int rows, int stride, int offset, int groups, int size,
                                     int kind, const float *weight, const float *bias, float eps,
                                     act *x) {
  int index = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (index >= rows * groups) return;
  act *head = x + (size_t)(index / groups) * stride + offset + index % groups * size;
  bool of_eight = (size | stride | offset) % 8 == 0 && wide(x) && wide(weight) && wide(bias);
  in_runs(of_eight, [&](auto width) {
    constexpr int W = decltype(width)::value;
    norm_row<W>(by_warp{}, size, kind, head, weight, bias, eps, (const float *)nullptr, head);
  });
}

// gradient = d head_norm / d bare, in place; `bare` are the heads as they were
// before.
extern "C" __global__ void head_norm_backward(int rows, int groups, int size, int kind,
                                              const act *bare, int bare_stride, int bare_offset,
                                              const float *weight, float eps, act *gradient,
                                              int stride, int offset) {
  int index = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (index >= rows * groups) return;
  size_t row = index / groups, column = index % groups * size;
  const act *head = bare + row * bare_stride + bare_offset + column;
  act *slope = gradient + row * stride + offset + column;
  bool of_eight = (size | bare_stride | bare_offset | stride | offset) % 8 == 0 && wide(bare) &&
                  wide(weight) && wide(gradient);
  in_runs(of_eight, [&](auto width) {
    constexpr int W = decltype(width)::value;
    norm_row_backward<W>(by_warp{}, size, kind, head, weight, eps, slope, slope, false,
                         (act *)nullptr);
  });
}
