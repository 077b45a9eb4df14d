// SPDX-License-Identifier: Apache-2.0
// Attention of one new token per sequence over its cache, in `splits` parts
// that are joined afterwards. How many there are does not depend on positions,
// so that a recorded graph of launches stays right.
#include "numbers.cuh"

constexpr int D = REFT_HEAD;
// Lanes that share a key, eight numbers each; keys that a warp reads at once,
// and in a row.
constexpr int LANES = D <= 16 ? 2 : D <= 32 ? 4 : D <= 64 ? 8 : D <= 128 ? 16 : 32;
constexpr int KEYS = 32 / LANES, STEPS = 4, WARPS = 4, MOST_HEADS = 4;
constexpr float LOWEST = -1e30f;

// A run of eight numbers of a head; zeros behind its end.
__device__ __forceinline__ void head_run(const act *head, int column, int head_size, bool of_eight,
                                         float (&x)[8]) {
  if (of_eight && column < head_size) {
    load<8>(head + column, x);
  } else {
    for (int j = 0; j < 8; j++) x[j] = column + j < head_size ? widen(head[column + j]) : 0;
  }
}

// The softmax of one query head so far: the lane's eight numbers, the largest
// score and the sum of weights.
struct running {
  float out[8], most, sum;

  __device__ __forceinline__ void add(const running &other) {
    float next = fmaxf(most, other.most), a = __expf(most - next), b = __expf(other.most - next);
    for (int j = 0; j < 8; j++) out[j] = out[j] * a + other.out[j] * b;
    sum = sum * a + other.sum * b;
    most = next;
  }
};

struct decode_inputs {
  int head_size, kv_width;
  float scale, cap;
  const act *keys, *values;
  bool of_eight;
};

// One warp's share of keys [begin, end) for M query heads.
template <int M>
__device__ __forceinline__ void attend(const decode_inputs &in, const float (&q)[M][8], int begin,
                                       int end, running (&heads)[M]) {
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, column = lane % LANES * 8;
  for (int first = begin + warp * KEYS * STEPS; first < end; first += WARPS * KEYS * STEPS) {
    float k[STEPS][8], v[STEPS][8];
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
      size_t key = min(first + step * KEYS + lane / LANES, end - 1);
      head_run(in.keys + key * in.kv_width, column, in.head_size, in.of_eight, k[step]);
      head_run(in.values + key * in.kv_width, column, in.head_size, in.of_eight, v[step]);
    }
#pragma unroll
    for (int m = 0; m < M; m++) {
      float score[STEPS], next = heads[m].most;
#pragma unroll
      for (int step = 0; step < STEPS; step++) {
        float x = 0;
        for (int j = 0; j < 8; j++) x += q[m][j] * k[step][j];
        for (int with = LANES / 2; with > 0; with >>= 1) x += __shfl_xor_sync(0xffffffffu, x, with);
        x = in.cap > 0 ? in.cap * tanhf(x * (in.scale / in.cap)) : x * in.scale;
        score[step] = first + step * KEYS + lane / LANES < end ? x : LOWEST;
        next = fmaxf(next, score[step]);
      }
      float shrink = __expf(heads[m].most - next);
      heads[m].most = next;
      heads[m].sum *= shrink;
      for (int j = 0; j < 8; j++) heads[m].out[j] *= shrink;
#pragma unroll
      for (int step = 0; step < STEPS; step++) {
        float weight = score[step] <= LOWEST ? 0 : __expf(score[step] - next);
        heads[m].sum += weight;
        for (int j = 0; j < 8; j++) heads[m].out[j] += weight * v[step][j];
      }
    }
  }
}

// What the lanes of a warp and then the warps of the block have, together;
// written by the first.
__device__ __forceinline__ void join_block(running r, float *part, int head_size) {
  __shared__ float shared[WARPS][D + 2];
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, column = lane % LANES * 8;
  for (int with = LANES; with < 32; with <<= 1) {
    running other;
    for (int j = 0; j < 8; j++) other.out[j] = __shfl_xor_sync(0xffffffffu, r.out[j], with);
    other.most = __shfl_xor_sync(0xffffffffu, r.most, with);
    other.sum = __shfl_xor_sync(0xffffffffu, r.sum, with);
    r.add(other);
  }
  __syncthreads();
  if (lane < LANES && column < D) {
    for (int j = 0; j < 8; j++) shared[warp][column + j] = r.out[j];
  }
  if (lane == 0) shared[warp][D] = r.most, shared[warp][D + 1] = r.sum;
  __syncthreads();
  float most = LOWEST, sum = 0;
  for (int w = 0; w < WARPS; w++) most = fmaxf(most, shared[w][D]);
  for (int w = 0; w < WARPS; w++) sum += shared[w][D + 1] * __expf(shared[w][D] - most);
  for (int j = threadIdx.x; j < head_size; j += blockDim.x) {
    float x = 0;
    for (int w = 0; w < WARPS; w++) x += shared[w][j] * __expf(shared[w][D] - most);
    part[j] = x;
  }
  if (threadIdx.x == 0) part[head_size] = most, part[head_size + 1] = sum;
}

// Query heads first … first + count − 1, all of one key-value head.
template <int M>
__device__ __forceinline__ void decode_heads(const decode_inputs &in, const act *query, int first,
                                             int count, int begin, int end, int splits,
                                             float *parts) {
  float q[M][8];
  running heads[M];
  int column = threadIdx.x % LANES * 8;
#pragma unroll
  for (int m = 0; m < M; m++) {
    const act *head = query + (first + min(m, count - 1)) * in.head_size;
    head_run(head, column, in.head_size, false, q[m]);
    for (int j = 0; j < 8; j++) heads[m].out[j] = 0;
    heads[m].most = LOWEST, heads[m].sum = 0;
  }
  attend<M>(in, q, begin, end, heads);
#pragma unroll
  for (int m = 0; m < M; m++) {
    if (m < count) {
      join_block(heads[m], parts + (size_t)(first + m) * splits * (in.head_size + 2), in.head_size);
    }
  }
}

// parts[sequence, head, split]: head_size sums, the largest score, the sum of
// weights. Grid (splits, kv_heads, sequences). The new token's own key is in
// the cache already, at positions[sequence].
extern "C" __global__ void __launch_bounds__(128)
    attention_decode(const act *queries, int stride, int sequences, int heads, int kv_heads,
                     int head_size, float scale, float cap, int window, act *const *keys,
                     act *const *values, const int *positions, int splits, float *parts) {
  int split = blockIdx.x, kv_head = blockIdx.y, sequence = blockIdx.z, group = heads / kv_heads;
  int count = positions[sequence] + 1, low = window > 0 ? max(0, count - window) : 0;
  int share = (count - low + splits - 1) / splits;
  int begin = min(low + split * share, count), end = min(begin + share, count);
  decode_inputs in{head_size, kv_heads * head_size, scale, cap, nullptr, nullptr, false};
  in.keys = keys[sequence] + kv_head * head_size;
  in.values = values[sequence] + kv_head * head_size;
  in.of_eight = head_size % 8 == 0 && wide(in.keys) && wide(in.values);
  const act *query = queries + (size_t)sequence * stride;
  parts += ((size_t)sequence * heads * splits + split) * (head_size + 2);
  for (int first = kv_head * group; first < (kv_head + 1) * group; first += MOST_HEADS) {
    int members = min(MOST_HEADS, (kv_head + 1) * group - first);
    if (members == 1) {
      decode_heads<1>(in, query, first, members, begin, end, splits, parts);
    } else {
      decode_heads<MOST_HEADS>(in, query, first, members, begin, end, splits, parts);
    }
  }
}

// out[sequence, head · head_size …] = the parts together. Grid (heads,
// sequences).
extern "C" __global__ void attention_decode_join(int heads, int head_size, int splits,
                                                 const float *parts, act *out, int out_stride) {
  int head = blockIdx.x, sequence = blockIdx.y, width = head_size + 2;
  parts += ((size_t)sequence * heads + head) * splits * width;
  float most = LOWEST, sum = 0;
  for (int i = 0; i < splits; i++) most = fmaxf(most, parts[i * width + head_size]);
  for (int i = 0; i < splits; i++) {
    sum += parts[i * width + head_size + 1] * __expf(parts[i * width + head_size] - most);
  }
  act *to = out + (size_t)sequence * out_stride + head * head_size;
  for (int j = threadIdx.x; j < head_size; j += blockDim.x) {
    float x = 0;
    for (int i = 0; i < splits; i++) {
      x += parts[i * width + j] * __expf(parts[i * width + head_size] - most);
    }
    narrow(x / sum, to[j]);
  }
}
