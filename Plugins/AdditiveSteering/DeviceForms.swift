// SPDX-License-Identifier: Apache-2.0
// Both edits as CUDA kernels: α is floats[0], v is params[0].

import ReFTPluginKit

extension DeviceForm {
  private static let gradient = Kernel("vector_gradient", over: .columns, tile: 32)

  static let additive = DeviceForm(
    source: additiveSource,
    forward: [Kernel("additive_forward", over: .rows)],
    backward: [Kernel("additive_backward", over: .rows), gradient]
  )

  static let norm = DeviceForm(
    source: normSource,
    forward: [Kernel("norm_forward", over: .rows)],
    backward: [Kernel("norm_backward", over: .rows), gradient],
    scratchPerRow: 2
  )
}

/// dv += α Σ change(row, column), 32 columns of a block; each of eight warps takes every eighth row.
private let vectorGradient = """
  extern "C" __global__ void vector_gradient(reft_cuda_call_t call) {
    __shared__ float parts[8][32];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, j = blockIdx.x * 32 + lane;
    float sum = 0;
    for (int i = warp; i < call.n && j < call.d; i += 8) sum += change(call, i, j);
    parts[warp][lane] = sum;
    __syncthreads();
    if (warp > 0 || j >= call.d || !call.dparams[0]) return;
    sum = 0;
    for (int w = 0; w < 8; w++) sum += parts[w][lane];
    call.dparams[0][j] += call.floats[0] * sum;
  }

  """

private let additiveSource =
  """
  __device__ float change(const reft_cuda_call_t &call, int i, int j) {
    return call.dy[(long long)i * call.d + j];
  }
  extern "C" __global__ void additive_forward(reft_cuda_call_t call) {
    long long at = (long long)blockIdx.x * call.d;
    for (int j = threadIdx.x; j < call.d; j += blockDim.x)
      call.y[at + j] = call.x[at + j] + call.floats[0] * call.params[0][j];
  }
  extern "C" __global__ void additive_backward(reft_cuda_call_t call) {
    long long at = (long long)blockIdx.x * call.d;
    for (int j = threadIdx.x; j < call.d; j += blockDim.x) call.dx[at + j] = call.dy[at + j];
  }

  """ + vectorGradient

// With u = h + α v, q = ‖h‖ / ‖u‖ and s = u · g: du = q (g − u s / ‖u‖²), dh = du + h s / (‖h‖ ‖u‖). Sums in
// double, as on the host. Scratch of a row: q and s / ‖u‖².
private let normSource =
  """
  __device__ float moved(const reft_cuda_call_t &call, int i, int j) {
    return call.x[(long long)i * call.d + j] + call.floats[0] * call.params[0][j];
  }
  __device__ float change(const reft_cuda_call_t &call, int i, int j) {
    const float *row = call.scratch + 2 * (long long)i;
    return row[0] * (call.dy[(long long)i * call.d + j] - moved(call, i, j) * row[1]);
  }
  // The sums of h h, u u and u g of a block's row.
  __device__ void measure(const reft_cuda_call_t &call, const float *g, double *sums) {
    __shared__ double parts[3][256];
    double before = 0, after = 0, product = 0;
    for (int j = threadIdx.x; j < call.d; j += blockDim.x) {
      double h = call.x[(long long)blockIdx.x * call.d + j], u = moved(call, blockIdx.x, j);
      before += h * h;
      after += u * u;
      if (g) product += u * g[j];
    }
    parts[0][threadIdx.x] = before;
    parts[1][threadIdx.x] = after;
    parts[2][threadIdx.x] = product;
    for (int half = 128; half > 0; half /= 2) {
      __syncthreads();
      if (threadIdx.x < half)
        for (int s = 0; s < 3; s++) parts[s][threadIdx.x] += parts[s][threadIdx.x + half];
    }
    __syncthreads();
    for (int s = 0; s < 3; s++) sums[s] = parts[s][0];
  }
  extern "C" __global__ void norm_forward(reft_cuda_call_t call) {
    double sums[3];
    measure(call, nullptr, sums);
    float ratio = sums[1] > 0 ? (float)sqrt(sums[0] / sums[1]) : 0;
    for (int j = threadIdx.x; j < call.d; j += blockDim.x)
      call.y[(long long)blockIdx.x * call.d + j] = moved(call, blockIdx.x, j) * ratio;
  }
  extern "C" __global__ void norm_backward(reft_cuda_call_t call) {
    double sums[3];
    long long at = (long long)blockIdx.x * call.d;
    measure(call, call.dy + at, sums);
    float ratio = sums[1] > 0 ? (float)sqrt(sums[0] / sums[1]) : 0;
    float along = sums[1] > 0 ? (float)(sums[2] / sums[1]) : 0;
    float outward = sums[0] > 0 && sums[1] > 0 ? (float)(sums[2] / sqrt(sums[0] * sums[1])) : 0;
    if (threadIdx.x == 0) {
      call.scratch[2 * (long long)blockIdx.x] = ratio;
      call.scratch[2 * (long long)blockIdx.x + 1] = along;
    }
    for (int j = threadIdx.x; j < call.d; j += blockDim.x) {
      float du = ratio * (call.dy[at + j] - moved(call, blockIdx.x, j) * along);
      call.dx[at + j] = du + call.x[at + j] * outward;
    }
  }

  """ + vectorGradient
