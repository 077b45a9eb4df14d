// SPDX-License-Identifier: Apache-2.0
// Gradients of attention. With P the weights, dP = dO Vᵀ and dot = Σ O dO of a query's head: dS = P
// (dP − dot) times the score's slope, dQ = dS K, dK = dSᵀ Q, dV = Pᵀ dO. P is computed again from
// the log-sum-exp. Queries and keys have a kernel each, so that every sum has one owner and one
// order.
#include "attention.cuh"
#include "numbers.cuh"

// What both kernels read.
struct backward_inputs {
  const act *queries;
  int query_stride;
  const act *dout;
  int dout_stride;
  const float *lse, *dots;
  int heads, head_size;

  __device__ __forceinline__ const act *query(size_t row, int head) const {
    return queries + row * query_stride + head * head_size;
  }
  __device__ __forceinline__ const act *gradient(size_t row, int head) const {
    return dout + row * dout_stride + head * head_size;
  }
  __device__ __forceinline__ bool is_wide() const {
    return wide_rows(queries, query_stride, head_size) && wide_rows(dout, dout_stride, head_size);
  }
};

#if REFT_ACT == 1
// Rows of a step's tiles.
constexpr int STEP = D <= 64 ? 64 : 32;

// The weight of a product and d loss / d product: dP becomes the latter, the product the former.
__device__ __forceinline__ void slope(float &product, float &dp, const scoring &how, bool sees,
                                      float lse, float dot) {
  float score = how.score(product);
  float weight = sees ? exp2f((score - lse) * LOG2E) : 0;
  product = weight;
  dp = weight * (dp - dot) * how.slope(score);
}

__device__ __forceinline__ void query_gradients(const backward_inputs &in, const span &s, int first,
                                                int head, int kv_head, scoring how, act *dqueries,
                                                int dstride) {
  extern __shared__ __align__(128) unsigned char memory[];
  act *queries = (act *)memory, *gradients = queries + TILE * PITCH;
  act *keys = gradients + TILE * PITCH, *values = keys + STEP * PITCH;
  int count = min(TILE, s.count - first), total = s.total(), position = s.position + first;
  int lane = threadIdx.x % 32, warp_row = threadIdx.x / 32 * 16, row = warp_row + lane / 4;
  size_t place = (size_t)(s.start + first);
  const act *key_base = s.keys + kv_head * in.head_size;
  const act *value_base = s.values + kv_head * in.head_size;
  bool wide_keys = wide_rows(key_base, s.key_stride, in.head_size) &&
                   wide_rows(value_base, s.key_stride, in.head_size);
  bring<TILE>(
      queries, [&](int r) { return in.query(place + r, head); }, count, in.head_size, in.is_wide());
  bring<TILE>(
      gradients, [&](int r) { return in.gradient(place + r, head); }, count, in.head_size,
      in.is_wide());
  float lse[2], dots[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    bool is_there = row + 8 * half < count;
    size_t at = (place + row + 8 * half) * in.heads + head;
    lse[half] = is_there ? in.lse[at] : 0;
    dots[half] = is_there ? in.dots[at] : 0;
  }
  float sums[D / 8][4] = {};
  int begin = how.first_key(position) / STEP * STEP, end = how.key_end(position + count - 1, total);
  for (int key = begin; key < end; key += STEP) {
    __syncthreads();
    bring<STEP>(
        keys, [&](int r) { return key_base + s.place(key + r); }, end - key, in.head_size,
        wide_keys);
    bring<STEP>(
        values, [&](int r) { return value_base + s.place(key + r); }, end - key, in.head_size,
        wide_keys);
    copies_end();
    copies_done<0>();
    __syncthreads();
    float p[STEP / 8][4], dp[STEP / 8][4];
    score_products(p, queries, warp_row, keys);
    score_products(dp, gradients, warp_row, values);
#pragma unroll
    for (int n = 0; n < STEP / 8; n++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        int at = row + j / 2 * 8, of = key + 8 * n + lane % 4 * 2 + j % 2;
        bool sees = at < count && how.sees(position + at, of, total);
        slope(p[n][j], dp[n][j], how, sees, lse[j / 2], dots[j / 2]);
      }
    }
    add_products<STEP / 8, D>(sums, dp, keys, 0);
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    if (row + 8 * half >= count) continue;
    act *to = dqueries + (place + row + 8 * half) * dstride + head * in.head_size;
    put_row(to, sums, 2 * half, 1, 0, in.head_size, (in.head_size | dstride) % 2 == 0);
  }
}

// Adds what the queries of one sequence give to a tile's keys and values; `key` is the first key's
// position.
template <bool WITH_KEYS, bool WITH_VALUES>
__device__ __forceinline__ void add_queries(const backward_inputs &in, const span &s, int key,
                                            int key_count, int head, const scoring &how, act *keys,
                                            act *values, act *queries, act *gradients,
                                            float (&dk)[D / 8][4], float (&dv)[D / 8][4]) {
  float *lse = (float *)(gradients + STEP * PITCH), *dots = lse + STEP;
  int lane = threadIdx.x % 32, warp_row = threadIdx.x / 32 * 16, row = warp_row + lane / 4;
  int total = s.total(), last = key + key_count - 1;
  // The first query that sees a key, and one behind the last.
  int begin = how.full ? 0 : max(0, key - s.position);
  int end = how.full || how.window <= 0 ? s.count : min(s.count, last + how.window - s.position);
  for (int first = begin / STEP * STEP; first < end; first += STEP) {
    int count = min(STEP, s.count - first);
    size_t place = (size_t)(s.start + first);
    __syncthreads();
    bring<STEP>(
        queries, [&](int r) { return in.query(place + r, head); }, count, in.head_size,
        in.is_wide());
    bring<STEP>(
        gradients, [&](int r) { return in.gradient(place + r, head); }, count, in.head_size,
        in.is_wide());
    copies_end();
    for (int r = threadIdx.x; r < STEP; r += blockDim.x) {
      lse[r] = r < count ? in.lse[(place + r) * in.heads + head] : 0;
      dots[r] = r < count ? in.dots[(place + r) * in.heads + head] : 0;
    }
    copies_done<0>();
    __syncthreads();
    float p[STEP / 8][4], dp[STEP / 8][4];
    score_products(p, keys, warp_row, queries);
    if constexpr (WITH_KEYS) score_products(dp, values, warp_row, gradients);
#pragma unroll
    for (int n = 0; n < STEP / 8; n++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        int at = row + j / 2 * 8, of = 8 * n + lane % 4 * 2 + j % 2;
        bool sees =
            at < key_count && of < count && how.sees(s.position + first + of, key + at, total);
        if constexpr (!WITH_KEYS) dp[n][j] = 0;
        slope(p[n][j], dp[n][j], how, sees, lse[of], dots[of]);
      }
    }
    if constexpr (WITH_VALUES) add_products<STEP / 8, D>(dv, p, gradients, 0);
    if constexpr (WITH_KEYS) add_products<STEP / 8, D>(dk, dp, queries, 0);
  }
}

template <bool WITH_KEYS, bool WITH_VALUES>
__device__ __forceinline__ void key_gradients(const backward_inputs &in, const span *spans,
                                              int spans_count, int index, int first, int kv_head,
                                              int group, scoring how, act *dkeys, act *dvalues,
                                              int dstride) {
  extern __shared__ __align__(128) unsigned char memory[];
  act *keys = (act *)memory, *values = keys + TILE * PITCH;
  act *queries = values + TILE * PITCH, *gradients = queries + STEP * PITCH;
  span s = spans[index];
  int count = min(TILE, s.count - first), key = s.position + first;
  int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane / 4;
  const act *key_base = s.keys + kv_head * in.head_size;
  const act *value_base = s.values + kv_head * in.head_size;
  bool wide_keys = wide_rows(key_base, s.key_stride, in.head_size) &&
                   wide_rows(value_base, s.key_stride, in.head_size);
  __syncthreads();
  bring<TILE>(
      keys, [&](int r) { return key_base + s.place(key + r); }, count, in.head_size, wide_keys);
  bring<TILE>(
      values, [&](int r) { return value_base + s.place(key + r); }, count, in.head_size, wide_keys);
  float dk[D / 8][4] = {}, dv[D / 8][4] = {};
  for (int member = 0; member < group; member++) {
    int head = kv_head * group + member;
    // Keys of a shared prefix, which is the first sequence, are the first ones of others too.
    for (int other = index; other < (index == 0 ? spans_count : index + 1); other++) {
      span t = spans[other];
      int seen = other == index ? count : min(count, t.prefix - key);
      if (seen <= 0) continue;
      add_queries<WITH_KEYS, WITH_VALUES>(in, t, key, seen, head, how, keys, values, queries,
                                          gradients, dk, dv);
    }
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    if (row + 8 * half >= count) continue;
    size_t at = (size_t)(s.start + first + row + 8 * half) * dstride + kv_head * in.head_size;
    bool is_wide =
        (in.head_size | dstride) % 2 == 0 && (((size_t)dkeys | (size_t)dvalues) & 3) == 0;
    if (WITH_KEYS) put_row(dkeys + at, dk, 2 * half, 1, 0, in.head_size, is_wide);
    if (WITH_VALUES) put_row(dvalues + at, dv, 2 * half, 1, 0, in.head_size, is_wide);
  }
}

__device__ __forceinline__ void all_key_gradients(const backward_inputs &in, const span *spans,
                                                  int spans_count, int index, int first,
                                                  int kv_head, int group, scoring how, act *dkeys,
                                                  act *dvalues, int dstride) {
  if constexpr (D <= 128) {
    key_gradients<true, true>(in, spans, spans_count, index, first, kv_head, group, how, dkeys,
                              dvalues, dstride);
  } else {
    // The sums of both do not fit into the registers.
    key_gradients<false, true>(in, spans, spans_count, index, first, kv_head, group, how, dkeys,
                               dvalues, dstride);
    key_gradients<true, false>(in, spans, spans_count, index, first, kv_head, group, how, dkeys,
                               dvalues, dstride);
  }
}
#else
#include "attention_backward_float.cuh"
#include "attention_float.cuh"
#endif

// dots[row, head] = Σ out · dout, a warp each.
extern "C" __global__ void attention_dots(int rows, int heads, int head_size, const act *out,
                                          int out_stride, const act *dout, int dout_stride,
                                          float *dots) {
  int index = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (index >= rows * heads) return;
  size_t row = index / heads, column = index % heads * head_size;
  const act *x = out + row * out_stride + column, *y = dout + row * dout_stride + column;
  float sum = 0;
  for (int j = threadIdx.x % 32; j < head_size; j += 32) sum += widen(x[j]) * widen(y[j]);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) dots[index] = sum;
}

// Takes one block for each tile (span, first query of its rows) and head.
extern "C" __global__ void __launch_bounds__(128)
    attention_backward_queries(const act *queries, int query_stride, const span *spans,
                               const int2 *tiles, int heads, int kv_heads, int head_size,
                               float scale, float cap, int window, int full, const act *dout,
                               int dout_stride, const float *lse, const float *dots, act *dqueries,
                               int dstride) {
  int2 tile = tiles[blockIdx.x];
  int head = blockIdx.y;
  span s = spans[tile.x];
  backward_inputs in{queries, query_stride, dout, dout_stride, lse, dots, heads, head_size};
  query_gradients(in, s, tile.y, head, head / (heads / kv_heads), scoring{scale, cap, window, full},
                  dqueries, dstride);
}

// Takes one block for each tile (span, first key of the span's own rows) and key-value head. Spans
// whose keys lie outside the pass's rows get no tile.
extern "C" __global__ void __launch_bounds__(128)
    attention_backward_keys(const act *queries, int query_stride, const span *spans,
                            int spans_count, const int2 *tiles, int heads, int kv_heads,
                            int head_size, float scale, float cap, int window, int full,
                            const act *dout, int dout_stride, const float *lse, const float *dots,
                            act *dkeys, act *dvalues, int dstride) {
  int2 tile = tiles[blockIdx.x];
  backward_inputs in{queries, query_stride, dout, dout_stride, lse, dots, heads, head_size};
  all_key_gradients(in, spans, spans_count, tile.x, tile.y, blockIdx.y, heads / kv_heads,
                    scoring{scale, cap, window, full}, dkeys, dvalues, dstride);
}
