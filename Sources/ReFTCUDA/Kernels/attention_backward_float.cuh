// SPDX-License-Identifier: Apache-2.0
// Gradients of attention in float; who does what is in attention_float.cuh.
#include "attention_float.cuh"

__device__ __forceinline__ void query_gradients(const backward_inputs &in, const span &s, int first,
                                                int head, int kv_head, scoring how, act *dqueries,
                                                int dstride) {
  extern __shared__ __align__(128) unsigned char memory[];
  float *keys = (float *)memory, *values = keys + STEP * PITCH;
  int total = s.total(), size = in.head_size;
  for (int low = first; low < min(first + TILE, s.count); low += 32) {
    int query = low + threadIdx.x / 4, position = s.position + query;
    bool is_there = query < s.count;
    size_t place = (size_t)(s.start + (is_there ? query : low));
    float q[OWN], dy[OWN], sums[OWN] = {};
    take(q, in.query(place, head), size, is_there);
    take(dy, in.gradient(place, head), size, is_there);
    float lse = in.lse[place * in.heads + head], dot = in.dots[place * in.heads + head];
    int end = how.key_end(min(s.position + low + 31, total - 1), total);
    for (int key = how.first_key(s.position + low); key < end; key += STEP) {
      __syncthreads();
      bring(
          keys, [&](int r) { return s.keys + s.place(key + r) + kv_head * size; }, end - key, size);
      bring(
          values, [&](int r) { return s.values + s.place(key + r) + kv_head * size; }, end - key,
          size);
      __syncthreads();
      for (int r = 0; r < STEP; r++) {
        float score = how.score(product(q, keys + r * PITCH)), dp = product(dy, values + r * PITCH);
        bool sees = is_there && how.sees(position, key + r, total);
        float weight = sees ? expf(score - lse) : 0;
        add_row(sums, weight * (dp - dot) * how.slope(score), keys + r * PITCH);
      }
    }
    if (is_there) give(dqueries + place * dstride + head * size, sums, 1, size);
  }
}

// Adds what the queries of one sequence give to a thread's key; `low` is the
// first key of the block's half.
__device__ __forceinline__ void add_queries(const backward_inputs &in, const span &s, int low,
                                            int key, bool is_there, int head, const scoring &how,
                                            const float (&k)[OWN], const float (&v)[OWN],
                                            float (&dk)[OWN], float (&dv)[OWN]) {
  extern __shared__ __align__(128) unsigned char memory[];
  float *queries = (float *)memory, *gradients = queries + STEP * PITCH;
  float *lse = gradients + STEP * PITCH, *dots = lse + STEP;
  int total = s.total(), size = in.head_size, begin = how.full ? 0 : max(0, low - s.position);
  int end =
      how.full || how.window <= 0 ? s.count : min(s.count, low + 31 + how.window - s.position);
  for (int first = begin; first < end; first += STEP) {
    int count = min(STEP, s.count - first);
    size_t place = (size_t)(s.start + first);
    __syncthreads();
    bring(
        queries, [&](int r) { return in.query(place + r, head); }, count, size);
    bring(
        gradients, [&](int r) { return in.gradient(place + r, head); }, count, size);
    if (threadIdx.x < STEP) {
      int r = threadIdx.x;
      lse[r] = r < count ? in.lse[(place + r) * in.heads + head] : 0;
      dots[r] = r < count ? in.dots[(place + r) * in.heads + head] : 0;
    }
    __syncthreads();
    for (int r = 0; r < STEP; r++) {
      float score = how.score(product(k, queries + r * PITCH));
      float dp = product(v, gradients + r * PITCH);
      bool sees = is_there && r < count && how.sees(s.position + first + r, key, total);
      float weight = sees ? expf(score - lse[r]) : 0;
      add_row(dv, weight, gradients + r * PITCH);
      add_row(dk, weight * (dp - dots[r]) * how.slope(score), queries + r * PITCH);
    }
  }
}

__device__ __forceinline__ void all_key_gradients(const backward_inputs &in, const span *spans,
                                                  int spans_count, int index, int first,
                                                  int kv_head, int group, scoring how, act *dkeys,
                                                  act *dvalues, int dstride) {
  span s = spans[index];
  int size = in.head_size;
  for (int row = first; row < min(first + TILE, s.count); row += 32) {
    int own = row + threadIdx.x / 4, low = s.position + row, key = s.position + own;
    bool is_there = own < s.count;
    float k[OWN], v[OWN], dk[OWN] = {}, dv[OWN] = {};
    size_t place = s.place(is_there ? key : low);
    take(k, s.keys + place + kv_head * size, size, is_there);
    take(v, s.values + place + kv_head * size, size, is_there);
    for (int head = kv_head * group; head < (kv_head + 1) * group; head++) {
      // Keys of a shared prefix, which is the first sequence, are the first
      // ones of others too.
      for (int other = index; other < (index == 0 ? spans_count : index + 1); other++) {
        span t = spans[other];
        if (other != index && t.prefix <= low) continue;
        bool is_seen = is_there && (other == index || key < t.prefix);
        add_queries(in, t, low, key, is_seen, head, how, k, v, dk, dv);
      }
    }
    if (!is_there) continue;
    size_t at = (size_t)(s.start + own) * dstride + kv_head * size;
    give(dkeys + at, dk, 1, size);
    give(dvalues + at, dv, 1, size);
  }
}
