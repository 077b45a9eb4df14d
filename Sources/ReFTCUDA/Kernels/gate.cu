// SPDX-License-Identifier: Apache-2.0
// The middle of an MLP, forward and backward: hidden = f(gate) · up, or f(x)
// alone. Gate and up lie side by side, [rows, 2f].
#include "activation.cuh"
#include "numbers.cuh"

extern "C" __global__ void gate(int rows, int f, int kind, const act *in, act *hidden) {
  in_runs(f % 8 == 0 && wide(in) && wide(hidden), [&](auto width) {
    constexpr int W = decltype(width)::value;
    each_run<W>(rows, f, [&](int row, int column) {
      const act *at = in + (size_t)row * 2 * f + column;
      float g[W], u[W];
      load<W>(at, g);
      load<W>(at + f, u);
      for (int k = 0; k < W; k++) g[k] = activation_of(kind, g[k]).value * u[k];
      store<W>(hidden + (size_t)row * f + column, g);
    });
  });
}

// Gradients of gate and up take their places.
extern "C" __global__ void gate_backward(int rows, int f, int kind, act *in, const act *dhidden) {
  in_runs(f % 8 == 0 && wide(in) && wide(dhidden), [&](auto width) {
    constexpr int W = decltype(width)::value;
    each_run<W>(rows, f, [&](int row, int column) {
      act *at = in + (size_t)row * 2 * f + column;
      float g[W], u[W], dh[W];
      load<W>(at, g);
      load<W>(at + f, u);
      load<W>(dhidden + (size_t)row * f + column, dh);
      for (int k = 0; k < W; k++) {
        activated a = activation_of(kind, g[k]);
        g[k] = dh[k] * u[k] * a.slope;
        u[k] = dh[k] * a.value;
      }
      store<W>(at, g);
      store<W>(at + f, u);
    });
  });
}

// out = f(in), of the first f numbers of rows `in_stride` apart.
extern "C" __global__ void activate(int rows, int f, int kind, const act *in, int in_stride,
                                    act *out) {
  in_runs((f | in_stride) % 8 == 0 && wide(in) && wide(out), [&](auto width) {
    constexpr int W = decltype(width)::value;
    each_run<W>(rows, f, [&](int row, int column) {
      float x[W];
      load<W>(in + (size_t)row * in_stride + column, x);
      for (int k = 0; k < W; k++) x[k] = activation_of(kind, x[k]).value;
      store<W>(out + (size_t)row * f + column, x);
    });
  });
}

// The gradient takes the place of what it is the gradient of.
extern "C" __global__ void activate_backward(int rows, int f, int kind, act *in, int in_stride,
                                             const act *dout) {
  in_runs((f | in_stride) % 8 == 0 && wide(in) && wide(dout), [&](auto width) {
    constexpr int W = decltype(width)::value;
    each_run<W>(rows, f, [&](int row, int column) {
      act *at = in + (size_t)row * in_stride + column;
      float x[W], dy[W];
      load<W>(at, x);
      load<W>(dout + (size_t)row * f + column, dy);
      for (int k = 0; k < W; k++) x[k] = dy[k] * activation_of(kind, x[k]).slope;
      store<W>(at, x);
    });
  });
}

// hidden = activation · up.
extern "C" __global__ void multiply_up(int rows, int f, const act *activation, const act *in,
                                       act *hidden) {
  in_runs(f % 8 == 0 && wide(activation) && wide(in) && wide(hidden), [&](auto width) {
    constexpr int W = decltype(width)::value;
    each_run<W>(rows, f, [&](int row, int column) {
      float a[W], u[W];
      load<W>(activation + (size_t)row * f + column, a);
      load<W>(in + (size_t)row * 2 * f + f + column, u);
      for (int k = 0; k < W; k++) a[k] *= u[k];
      store<W>(hidden + (size_t)row * f + column, a);
    });
  });
}

// d loss / d up takes the place of up, d loss / d activation that of dhidden.
extern "C" __global__ void multiply_up_backward(int rows, int f, const act *activation, act *in,
                                                act *dhidden) {
  in_runs(f % 8 == 0 && wide(activation) && wide(in) && wide(dhidden), [&](auto width) {
    constexpr int W = decltype(width)::value;
    each_run<W>(rows, f, [&](int row, int column) {
      size_t at = (size_t)row * f + column;
      act *up = in + (size_t)row * 2 * f + f + column;
      float a[W], u[W], dh[W];
      load<W>(activation + at, a);
      load<W>(up, u);
      load<W>(dhidden + at, dh);
      for (int k = 0; k < W; k++) {
        u[k] *= dh[k];
        a[k] *= dh[k];
      }
      store<W>(dhidden + at, u);
      store<W>(up, a);
    });
  });
}
