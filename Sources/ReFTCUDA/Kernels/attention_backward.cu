// SPDX-License-Identifier: Apache-2.0
// Gradients of attention. With P the weights, dP = dO Vᵀ and dot = Σ O dO of a
// query's head: dS = P (dP − dot) times the score's slope, dQ = dS K, dK = dSᵀ
// Q, dV = Pᵀ dO. P is computed again from the log-sum-exp. Queries and keys
// have a kernel each, so that every sum has one owner and one order.
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

// Products become weights, and dP d loss / d product, of a tile whose columns
// have lse and dots as given: by row and column of a lane's part. Rows and
// columns that are not there are zeros, and stay so.
template <class L, class S>
__device__ __forceinline__ void slopes(float (&p)[STEP / 8][4], float (&dp)[STEP / 8][4],
                                       const scoring &how, L statistics, bool is_masked, S sees) {
#pragma unroll
  for (int n = 0; n < STEP / 8; n++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int row = j / 2 * 8, column = 8 * n + threadIdx.x % 4 * 2 + j % 2;
      float2 s = statistics(row, column);
      float weight, bend = how.scale;
      if (how.cap > 0) {
        float score = how.score(p[n][j]);
        weight = power_of_two((score - s.x) * LOG2E);
        bend = how.slope(score);
      } else {
        weight = power_of_two(p[n][j] * (how.scale * LOG2E) - s.x * LOG2E);
      }
      if (is_masked && !sees(row, column)) weight = 0;
      p[n][j] = weight;
      dp[n][j] = weight * (dp[n][j] - s.y) * bend;
    }
  }
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
    bool is_masked = !how.all_see(position, position + count - 1, key, STEP, total);
    slopes(
        p, dp, how, [&](int r, int) { return make_float2(lse[r / 8], dots[r / 8]); }, is_masked,
        [&](int r, int column) { return how.sees(position + row + r, key + column, total); });
    add_products<STEP / 8, D>(sums, dp, keys, 0);
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    if (row + 8 * half >= count) continue;
    act *to = dqueries + (place + row + 8 * half) * dstride + head * in.head_size;
    put_row(to, sums, 2 * half, 1, 0, in.head_size, (in.head_size | dstride) % 2 == 0);
  }
}

// Adds what the queries of one sequence give to a tile's keys and values; `key`
// is the first key's position.
template <bool WITH_KEYS, bool WITH_VALUES>
__device__ __forceinline__ void add_queries(const backward_inputs &in, const span &s, int key,
                                            int key_count, int tile_count, int head,
                                            const scoring &how, act *keys, act *values,
                                            act *queries, act *gradients, float (&dk)[D / 8][4],
                                            float (&dv)[D / 8][4]) {
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
    if constexpr (!WITH_KEYS) {
#pragma unroll
      for (int n = 0; n < STEP / 8; n++) dp[n][0] = dp[n][1] = dp[n][2] = dp[n][3] = 0;
    }
    int of = s.position + first;
    bool is_masked =
        key_count < tile_count || !how.all_see(of, of + count - 1, key, key_count, total);
    slopes(
        p, dp, how, [&](int, int column) { return make_float2(lse[column], dots[column]); },
        is_masked,
        [&](int r, int column) {
          return row + r < key_count && how.sees(of + column, key + row + r, total);
        });
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
    // Keys of a shared prefix, which is the first sequence, are the first ones
    // of others too.
    for (int other = index; other < (index == 0 ? spans_count : index + 1); other++) {
      span t = spans[other];
      int seen = other == index ? count : min(count, t.prefix - key);
      if (seen <= 0) continue;
      add_queries<WITH_KEYS, WITH_VALUES>(in, t, key, seen, count, head, how, keys, values, queries,
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
#endif

// dots[row, head] = Σ out · dout; a warp for each four of them, eight lanes
// each.
extern "C" __global__ void attention_dots(int rows, int heads, int head_size, const act *out,
                                          int out_stride, const act *dout, int dout_stride,
                                          float *dots) {
  int index = (blockIdx.x * blockDim.x + threadIdx.x) / 8, lane = threadIdx.x % 8;
  bool is_there = index < rows * heads;
  size_t row = is_there ? index / heads : 0, column = is_there ? index % heads * head_size : 0;
  const act *x = out + row * out_stride + column, *y = dout + row * dout_stride + column;
  float sum = 0;
  bool of_eight = (head_size | out_stride | dout_stride) % 8 == 0 && wide(out) && wide(dout);
  in_runs(of_eight, [&](auto width) {
    constexpr int W = decltype(width)::value;
    for (int j = lane * W; j < head_size; j += 8 * W) {
      float a[W], b[W];
      load<W>(x + j, a);
      load<W>(y + j, b);
      for (int k = 0; k < W; k++) sum += a[k] * b[k];
    }
  });
  for (int with = 4; with > 0; with >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, with);
  if (is_there && lane == 0) dots[index] = sum;
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

// Takes one block for each tile (span, first key of the span's own rows) and
// key-value head. Spans whose keys lie outside the pass's rows get no tile.
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
