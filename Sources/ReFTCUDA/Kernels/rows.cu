// SPDX-License-Identifier: Apache-2.0
// Rows: embeddings, gathering and scattering for edits, copies between formats,
// sums and biases. Grids of any size do; strides, offsets and widths count
// numbers.
#include "numbers.cuh"

// stream[row] = scale · table[ids[row]] + position_rows[first_position +
// positions[row]] + type_rows[types[row]].
extern "C" __global__ void embed(int rows, int d, const int *ids, const int *positions,
                                 const int *types, const act *table, float scale,
                                 const act *position_rows, int first_position,
                                 const float *type_rows, float *stream) {
  auto body = [&](auto width_of_run) {
    constexpr int W = decltype(width_of_run)::value;
    each_run<W>(rows, d, [&](int row, int column) {
      float x[W], more[W];
      load<W>(table + (size_t)ids[row] * d + column, x);
      for (int j = 0; j < W; j++) x[j] *= scale;
      if (position_rows) {
        load<W>(position_rows + (size_t)(first_position + positions[row]) * d + column, more);
        for (int j = 0; j < W; j++) x[j] += more[j];
      }
      if (type_rows) {
        load<W>(type_rows + (size_t)(types ? types[row] : 0) * d + column, more);
        for (int j = 0; j < W; j++) x[j] += more[j];
      }
      store<W>(stream + (size_t)row * d + column, x);
    });
  };
  in_runs(d % 8 == 0 && wide(table) && wide(position_rows) && wide(type_rows) && wide(stream),
          body);
}

// out[i] = x[rows[i]], or x[i] without rows.
template <class T>
__device__ void gather(int n, int width, const int *rows, const T *x, int stride, int offset,
                       float *out) {
  auto body = [&](auto width_of_run) {
    constexpr int W = decltype(width_of_run)::value;
    each_run<W>(n, width, [&](int i, int column) {
      float values[W];
      load<W>(x + (size_t)(rows ? rows[i] : i) * stride + offset + column, values);
      store<W>(out + (size_t)i * width + column, values);
    });
  };
  in_runs((width | stride | offset) % 8 == 0 && wide(x) && wide(out), body);
}

extern "C" __global__ void gather_float(int n, int width, const int *rows, const float *x,
                                        int stride, int offset, float *out) {
  gather(n, width, rows, x, stride, offset, out);
}

extern "C" __global__ void gather_act(int n, int width, const int *rows, const act *x, int stride,
                                      int offset, float *out) {
  gather(n, width, rows, x, stride, offset, out);
}

// x[i] *= factors[i].
extern "C" __global__ void scale_rows(int n, int width, const float *factors, act *x) {
  auto body = [&](auto width_of_run) {
    constexpr int W = decltype(width_of_run)::value;
    each_run<W>(n, width, [&](int i, int column) {
      float values[W];
      load<W>(x + (size_t)i * width + column, values);
      for (int j = 0; j < W; j++) values[j] *= factors[i];
      store<W>(x + (size_t)i * width + column, values);
    });
  };
  in_runs(width % 8 == 0 && wide(x), body);
}

// x[rows[i]] = in[i], or old[i] + strength · (in[i] − old[i]). No row may be
// there twice. Where a number is not finite, *fault is 1.
template <class T>
__device__ void scatter(int n, int width, const int *rows, const float *in, const float *old,
                        float strength, T *x, int stride, int offset, int *fault) {
  auto body = [&](auto width_of_run) {
    constexpr int W = decltype(width_of_run)::value;
    each_run<W>(n, width, [&](int i, int column) {
      float values[W], before[W];
      load<W>(in + (size_t)i * width + column, values);
      if (old) {
        load<W>(old + (size_t)i * width + column, before);
        for (int j = 0; j < W; j++) values[j] = before[j] + strength * (values[j] - before[j]);
      }
      for (int j = 0; j < W && fault; j++) {
        if ((__float_as_uint(values[j]) & 0x7f800000u) == 0x7f800000u) *fault = 1;
      }
      store<W>(x + (size_t)(rows ? rows[i] : i) * stride + offset + column, values);
    });
  };
  in_runs((width | stride | offset) % 8 == 0 && wide(in) && wide(old) && wide(x), body);
}

extern "C" __global__ void scatter_float(int n, int width, const int *rows, const float *in,
                                         const float *old, float strength, float *x, int stride,
                                         int offset, int *fault) {
  scatter(n, width, rows, in, old, strength, x, stride, offset, fault);
}

extern "C" __global__ void scatter_act(int n, int width, const int *rows, const float *in,
                                       const float *old, float strength, act *x, int stride,
                                       int offset, int *fault) {
  scatter(n, width, rows, in, old, strength, x, stride, offset, fault);
}

// y[i] = x[pick[i]] for i < rows, from columns `offset` on; both may be of
// either format.
template <class S, class T>
__device__ void copy(int rows, int width, const int *pick, const S *x, int stride, int offset,
                     T *y) {
  auto body = [&](auto width_of_run) {
    constexpr int W = decltype(width_of_run)::value;
    each_run<W>(rows, width, [&](int row, int column) {
      float values[W];
      load<W>(x + (size_t)(pick ? pick[row] : row) * stride + offset + column, values);
      store<W>(y + (size_t)row * width + column, values);
    });
  };
  in_runs((width | stride | offset) % 8 == 0 && wide(x) && wide(y), body);
}

extern "C" __global__ void cast_rows(int rows, int width, const int *pick, const float *x, act *y) {
  copy(rows, width, pick, x, width, 0, y);
}

extern "C" __global__ void widen_rows(int rows, int width, const act *x, int stride, int offset,
                                      float *y) {
  copy(rows, width, nullptr, x, stride, offset, y);
}

extern "C" __global__ void copy_columns(int rows, int width, const act *x, int stride, int offset,
                                        act *y) {
  copy(rows, width, nullptr, x, stride, offset, y);
}

// y += x, and the sum in an activation's format where `rounded` wants it.
template <class T>
__device__ void add(int rows, int d, const T *x, float *y, act *rounded) {
  auto body = [&](auto width_of_run) {
    constexpr int W = decltype(width_of_run)::value;
    each_run<W>(rows, d, [&](int row, int column) {
      size_t at = (size_t)row * d + column;
      float sum[W], more[W];
      load<W>(y + at, sum);
      load<W>(x + at, more);
      for (int j = 0; j < W; j++) sum[j] += more[j];
      store<W>(y + at, sum);
      if (rounded) store<W>(rounded + at, sum);
    });
  };
  in_runs(d % 8 == 0 && wide(x) && wide(y) && wide(rounded), body);
}

extern "C" __global__ void add_rows_float(int rows, int d, const float *x, float *y) {
  add(rows, d, x, y, nullptr);
}

extern "C" __global__ void add_act(int rows, int d, const act *dy, float *gradient, act *copy) {
  add(rows, d, dy, gradient, copy);
}

// x ← factor · x.
extern "C" __global__ void scale_float(int count, float factor, float *x) {
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (unsigned)count;
       i += gridDim.x * blockDim.x) {
    x[i] *= factor;
  }
}

// y += bias, in each row.
template <class T>
__device__ void add_bias(int rows, int width, const float *bias, T *y) {
  auto body = [&](auto width_of_run) {
    constexpr int W = decltype(width_of_run)::value;
    each_run<W>(rows, width, [&](int row, int column) {
      float sum[W], more[W];
      load<W>(y + (size_t)row * width + column, sum);
      load<W>(bias + column, more);
      for (int j = 0; j < W; j++) sum[j] += more[j];
      store<W>(y + (size_t)row * width + column, sum);
    });
  };
  in_runs(width % 8 == 0 && wide(bias) && wide(y), body);
}

extern "C" __global__ void add_bias_act(int rows, int width, const float *bias, act *y) {
  add_bias(rows, width, bias, y);
}

extern "C" __global__ void add_bias_float(int rows, int width, const float *bias, float *y) {
  add_bias(rows, width, bias, y);
}
