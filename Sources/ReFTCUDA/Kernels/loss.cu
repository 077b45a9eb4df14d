// SPDX-License-Identifier: Apache-2.0
// What becomes of logits: softmax cross entropy with its gradient, the finish
// of logits for sampling, and the largest. Logits are float; z = cap
// tanh((logit + bias) / cap), or logit + bias without a cap.
#include "numbers.cuh"

// Logits are turned where they are read.
struct finish {
  const float *bias;
  float cap;

  template <int W>
  __device__ __forceinline__ void operator()(float (&z)[W], int column) const {
    if (bias) {
      float b[W];
      load<W>(bias + column, b);
      for (int k = 0; k < W; k++) z[k] += b[k];
    }
    if (cap > 0) {
      for (int k = 0; k < W; k++) z[k] = cap * tanhf(z[k] / cap);
    }
  }
};

// loss = log Σ exp z − z[label]; dlogits = scale (softmax z − onehot) d z / d
// logit. The maximum and the sum run along (Milakov and Gimelshein, arXiv
// 1805.02867).
template <int W>
__device__ void cross_entropy_row(int vocabulary, const float *logits, finish turn, int label,
                                  float scale, float *loss, act *dlogits, float *parts) {
  float most = -1e30f, sum = 0, z[W];
  for (int j = threadIdx.x * W; j < vocabulary; j += blockDim.x * W) {
    load<W>(logits + j, z);
    turn(z, j);
    float next = most;
    for (int k = 0; k < W; k++) next = fmaxf(next, z[k]);
    sum *= __expf(most - next);
    for (int k = 0; k < W; k++) sum += __expf(z[k] - next);
    most = next;
  }
  float largest = block_max(most, parts);
  float total = block_sum(sum * __expf(most - largest), parts);
  float log_sum = largest + logf(total);
  if (threadIdx.x == 0) {
    float of_label[1] = {logits[label]};
    turn(of_label, label);
    *loss = log_sum - of_label[0];
  }
  if (!dlogits) return;
  for (int j = threadIdx.x * W; j < vocabulary; j += blockDim.x * W) {
    load<W>(logits + j, z);
    turn(z, j);
    for (int k = 0; k < W; k++) {
      float slope = turn.cap > 0 ? 1 - (z[k] / turn.cap) * (z[k] / turn.cap) : 1;
      z[k] = scale * slope * (__expf(z[k] - log_sum) - (j + k == label ? 1 : 0));
    }
    store<W>(dlogits + j, z);
  }
}

// One block a row.
extern "C" __global__ void cross_entropy(int n, int vocabulary, const float *logits,
                                         const float *bias, float cap, const int *labels,
                                         float scale, float *losses, act *dlogits) {
  __shared__ float parts[32];
  int row = blockIdx.x;
  if (row >= n) return;
  size_t at = (size_t)row * vocabulary;
  bool of_eight = vocabulary % 8 == 0 && wide(logits) && wide(bias) && wide(dlogits);
  in_runs(of_eight, [&](auto width) {
    constexpr int W = decltype(width)::value;
    cross_entropy_row<W>(vocabulary, logits + at, finish{bias, cap}, labels[row], scale,
                         losses + row, dlogits ? dlogits + at : nullptr, parts);
  });
}

// logits = z, in place.
extern "C" __global__ void finish_logits(int n, int vocabulary, const float *bias, float cap,
                                         float *logits) {
  in_runs(vocabulary % 8 == 0 && wide(bias) && wide(logits), [&](auto width) {
    constexpr int W = decltype(width)::value;
    each_run<W>(n, vocabulary, [&](int row, int column) {
      float *at = logits + (size_t)row * vocabulary + column, z[W];
      load<W>(at, z);
      finish{bias, cap}(z, column);
      store<W>(at, z);
    });
  });
}

// A number and where it is; of equal ones the first counts.
struct candidate {
  float value;
  int index;
  __device__ __forceinline__ bool beats(candidate other) const {
    return value > other.value || (value == other.value && index < other.index);
  }
};

// out[row] = the place of the row's largest logit, and the logit; of the first
// that is not finite, where there is one. One block a row.
struct likeliest {
  int place;
  float logit;
};

extern "C" __global__ void argmax(int n, int vocabulary, const float *logits, likeliest *out) {
  __shared__ candidate parts[32];
  int row = blockIdx.x;
  if (row >= n) return;
  const float *from = logits + (size_t)row * vocabulary;
  const float infinity = __int_as_float(0x7f800000);
  candidate best{-infinity, 0x7fffffff};
#pragma unroll 8
  for (int j = threadIdx.x; j < vocabulary; j += blockDim.x) {
    float x = from[j];
    candidate next{fabsf(x) < infinity ? x : infinity, j};
    if (next.beats(best)) best = next;
  }
  for (int with = 16; with > 0; with >>= 1) {
    candidate other{__shfl_xor_sync(0xffffffffu, best.value, with),
                    __shfl_xor_sync(0xffffffffu, best.index, with)};
    if (other.beats(best)) best = other;
  }
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = best;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int w = 1; w < (int)blockDim.x / 32; w++) {
    if (parts[w].beats(best)) best = parts[w];
  }
  out[row] = {best.index, from[best.index]};
}
