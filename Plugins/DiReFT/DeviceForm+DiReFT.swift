// SPDX-License-Identifier: Apache-2.0
// DiReFT as CUDA kernels: W2, W1, b are params[0...2]; the rank is ints[0], the activation ints[1]. A block
// takes one row there, and one row back to dx; gradients in 32 columns are one block's, which adds the rows
// up in an order that depends on their number alone.

import ReFTPluginKit

extension DeviceForm {
  /// The kernels of an instance.
  static func direft(rank: Int, activation: Activation) -> DeviceForm {
    // Four directions to a layer of blocks; where there are more, a block takes several times four.
    var size = 0
    while size < sizes.count - 1, 4 << size < rank { size += 1 }
    return sizes[size].with(
      integers: [rank, Activation.allCases.firstIndex(of: activation) ?? 0],
      savedPerRow: rank,
      scratchPerRow: rank
    )
  }

  private static let sizes = [1, 2, 4, 8, 16].map { layers in
    DeviceForm(
      source: source,
      forward: [Kernel("direft_forward", over: .rows)],
      backward: [
        Kernel("direft_backward", over: .rows),
        Kernel("direft_gradients", over: .columns, tile: 32, layers: layers),
      ]
    )
  }
}

/// The function between the two matrices and its slope, numbered as `Activation.allCases`.
private let activations = """
  __device__ float activate(int act, float a) {
    switch (act) {
      case 1: return a > 0 ? a : 0;
      case 2: return 0.5f * a * (1 + erff(a * 0.70710678f));
      case 3: return a / (1 + expf(-a));
      case 4: return tanhf(a);
      default: return a;
    }
  }
  __device__ float slope(int act, float a) {
    switch (act) {
      case 1: return a > 0 ? 1 : 0;
      case 2: return 0.5f * (1 + erff(a * 0.70710678f)) + a * 0.39894228f * expf(-0.5f * a * a);
      case 3: { float s = 1 / (1 + expf(-a)); return s * (1 + a * (1 - s)); }
      case 4: { float t = tanhf(a); return 1 - t * t; }
      default: return 1;
    }
  }

  """

/// Sums of a warp, and out = in + Mᵀ f(values) over one row.
private let rows = """
  __device__ float warp_sum(float s) {
    for (int o = 16; o > 0; o >>= 1) s += __shfl_xor_sync(0xffffffffu, s, o);
    return s;
  }
  __device__ float warp_dot(int d, const float *x, const float *y) {
    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    int j = threadIdx.x & 31;
    for (; j + 96 < d; j += 128) {
      s0 += x[j] * y[j];
      s1 += x[j + 32] * y[j + 32];
      s2 += x[j + 64] * y[j + 64];
      s3 += x[j + 96] * y[j + 96];
    }
    for (; j < d; j += 32) s0 += x[j] * y[j];
    return warp_sum((s0 + s1) + (s2 + s3));
  }
  __device__ void lift(int d, int r, int act, const float *in, const float *M, const float *values,
                       float *out) {
    int step = blockDim.x;
    for (int start = threadIdx.x; start < d; start += 4 * step) {
      float s[4];
      for (int i = 0; i < 4; i++) s[i] = start + i * step < d ? in[start + i * step] : 0;
      for (int k = 0; k < r; k++) {
        float value = activate(act, values[k]);
        for (int i = 0; i < 4; i++)
          if (start + i * step < d) s[i] += value * M[(long long)k * d + start + i * step];
      }
      for (int i = 0; i < 4; i++)
        if (start + i * step < d) out[start + i * step] = s[i];
    }
  }

  """

// Saved of a row: a = W1 h + b. Scratch: da = (W2 g) act'(a).
private let source =
  activations + rows + """
    extern "C" __global__ void direft_forward(reft_cuda_call_t call) {
      int d = call.d, r = call.ints[0];
      const float *h = call.x + (long long)blockIdx.x * d;
      float *a = call.saved + (long long)blockIdx.x * r;
      for (int k = threadIdx.x >> 5; k < r; k += blockDim.x >> 5) {
        float sum = warp_dot(d, call.params[1] + (long long)k * d, h);
        if ((threadIdx.x & 31) == 0) a[k] = sum + call.params[2][k];
      }
      __syncthreads();
      lift(d, r, call.ints[1], h, call.params[0], a, call.y + (long long)blockIdx.x * d);
    }
    extern "C" __global__ void direft_backward(reft_cuda_call_t call) {
      int d = call.d, r = call.ints[0];
      const float *g = call.dy + (long long)blockIdx.x * d;
      const float *a = call.saved + (long long)blockIdx.x * r;
      float *da = call.scratch + (long long)blockIdx.x * r;
      for (int k = threadIdx.x >> 5; k < r; k += blockDim.x >> 5) {
        float sum = warp_dot(d, call.params[0] + (long long)k * d, g);
        if ((threadIdx.x & 31) == 0) da[k] = sum * slope(call.ints[1], a[k]);
      }
      __syncthreads();
      lift(d, r, 0, g, call.params[1], da, call.dx + (long long)blockIdx.x * d);
    }
    // dW2 += act(a) g^T, dW1 += da h^T. Each of eight warps takes every eighth row.
    __device__ void add_matrices(const reft_cuda_call_t &call, int first, float (&parts)[8][8][32]) {
      int r = call.ints[0], d = call.d, lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
      int j = blockIdx.x * 32 + lane;
      float sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
      for (int i = warp; i < call.n; i += 8) {
        float g = j < d ? call.dy[(long long)i * d + j] : 0;
        float h = j < d ? call.x[(long long)i * d + j] : 0;
        for (int k = 0; k < 4 && first + k < r; k++) {
          sums[k] += activate(call.ints[1], call.saved[(long long)i * r + first + k]) * g;
          sums[4 + k] += call.scratch[(long long)i * r + first + k] * h;
        }
      }
      for (int v = 0; v < 8; v++) parts[warp][v][lane] = sums[v];
      __syncthreads();
      float sum = 0;
      for (int w = 0; w < 8; w++) sum += parts[w][warp][lane];
      int k = first + (warp & 3);
      float *target = call.dparams[warp >> 2];
      if (target && k < r && j < d) target[(long long)k * d + j] += sum;
    }
    // db += da, by one warp.
    __device__ void add_bias(const reft_cuda_call_t &call, int k) {
      float sum = 0;
      for (int i = threadIdx.x & 31; i < call.n; i += 32)
        sum += call.scratch[(long long)i * call.ints[0] + k];
      sum = warp_sum(sum);
      if ((threadIdx.x & 31) == 0 && call.dparams[2]) call.dparams[2][k] += sum;
    }
    extern "C" __global__ void direft_gradients(reft_cuda_call_t call) {
      __shared__ float parts[8][8][32];
      int r = call.ints[0], warp = threadIdx.x >> 5;
      for (int first = blockIdx.y * 4; first < r; first += gridDim.y * 4) {
        add_matrices(call, first, parts);
        if (blockIdx.x == 0 && warp < 4 && first + warp < r) add_bias(call, first + warp);
        __syncthreads();
      }
    }

    """
