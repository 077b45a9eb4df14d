// SPDX-License-Identifier: Apache-2.0
// Attention of many queries, forward: out = softmax(score(q Kᵀ)) V, one block
// for 64 queries of a sequence and one head. The softmax runs along (Milakov
// and Gimelshein, arXiv 1805.02867), so that no score is kept (Dao, arXiv
// 2307.08691); a query's log-sum-exp is, for the way back.
#include "attention.cuh"
#include "numbers.cuh"

#if REFT_ACT == 1
// Keys of a step. Where heads are large queries stay in shared memory, else in
// registers.
constexpr int KEYS = D <= 128 ? 64 : 32;
constexpr bool QUERIES_IN_REGISTERS = D <= 128;

// The running softmax of a lane's two rows.
struct softmax_state {
  float most[2] = {LOWEST, LOWEST}, sum[2] = {0, 0};

  // Scores (times log2 e) become weights; returns by how much what is there
  // shrinks.
  template <int N>
  __device__ __forceinline__ void step(float (&s)[N][4], float (&shrink)[2]) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float next = most[half];
#pragma unroll
      for (int n = 0; n < N; n++) next = fmaxf(next, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
      next = fmaxf(next, __shfl_xor_sync(0xffffffffu, next, 1));
      next = fmaxf(next, __shfl_xor_sync(0xffffffffu, next, 2));
      shrink[half] = power_of_two(most[half] - next);
      most[half] = next;
      // Where no key was seen yet, weights of unseen ones are zero all the
      // same.
      float base = next <= LOWEST ? 0 : next, total = 0;
#pragma unroll
      for (int n = 0; n < N; n++) {
#pragma unroll
        for (int j = 2 * half; j < 2 * half + 2; j++) {
          s[n][j] = power_of_two(s[n][j] - base);
          total += s[n][j];
        }
      }
      sum[half] = sum[half] * shrink[half] + total;
    }
  }
};

// Products become scores times log2 e; LOWEST where a query does not see the
// key.
template <int N>
__device__ __forceinline__ void finish_scores(float (&s)[N][4], const scoring &how, int position,
                                              int key, int total, bool is_masked) {
#pragma unroll
  for (int n = 0; n < N; n++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      s[n][j] = how.cap > 0 ? how.score(s[n][j]) * LOG2E : s[n][j] * (how.scale * LOG2E);
    }
  }
  if (!is_masked) return;
#pragma unroll
  for (int n = 0; n < N; n++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int of = position + j / 2 * 8, at = key + 8 * n + j % 2;
      if (!how.sees(of, at, total)) s[n][j] = LOWEST;
    }
  }
}

__device__ __forceinline__ void attend(const act *queries, int query_stride, const span &s,
                                       int first, int head, int kv_head, int head_size, scoring how,
                                       act *out, int out_stride, float *lse, int heads) {
  extern __shared__ __align__(128) unsigned char memory[];
  act *keys = (act *)memory, *values = keys + KEYS * PITCH;
  act *query_tile = QUERIES_IN_REGISTERS ? keys : values + KEYS * PITCH;
  int count = min(TILE, s.count - first), total = s.total(), position = s.position + first;
  int warp_row = threadIdx.x / 32 * 16, lane = threadIdx.x % 32;
  const act *from = queries + (size_t)(s.start + first) * query_stride + head * head_size;
  const act *key_base = s.keys + kv_head * head_size, *value_base = s.values + kv_head * head_size;
  bool wide_keys = wide_rows(key_base, s.key_stride, head_size) &&
                   wide_rows(value_base, s.key_stride, head_size);
  bring<TILE>(
      query_tile, [&](int r) { return from + (size_t)r * query_stride; }, count, head_size,
      wide_rows(from, query_stride, head_size));
  copies_end();

  unsigned q[QUERIES_IN_REGISTERS ? D / 16 : 1][4];
  if constexpr (QUERIES_IN_REGISTERS) {
    copies_done<0>();
    __syncthreads();
#pragma unroll
    for (int k = 0; k < D / 16; k++) left_piece(q[k], query_tile, warp_row, k);
    __syncthreads();
  }

  int begin = how.first_key(position) / KEYS * KEYS, end = how.key_end(position + count - 1, total);
  auto bring_keys = [&](int key) {
    bring<KEYS>(
        keys, [&](int r) { return key_base + s.place(key + r); }, end - key, head_size, wide_keys);
    copies_end();
  };
  auto bring_values = [&](int key) {
    bring<KEYS>(
        values, [&](int r) { return value_base + s.place(key + r); }, end - key, head_size,
        wide_keys);
    copies_end();
  };
  bring_keys(begin);
  bring_values(begin);

  float sums[D / 8][4] = {};
  softmax_state state;
  int row = warp_row + lane / 4;
  for (int key = begin; key < end; key += KEYS) {
    float scores[KEYS / 8][4], shrink[2];
    copies_done<1>();
    __syncthreads();
    if constexpr (QUERIES_IN_REGISTERS) {
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
        scores[n][0] = scores[n][1] = scores[n][2] = scores[n][3] = 0;
#pragma unroll
      for (int k = 0; k < D / 16; k++) {
#pragma unroll
        for (int n = 0; n < KEYS / 8; n += 2) {
          unsigned b[4];
          right_pieces(b, keys, 8 * n, k);
          multiply_add(scores[n], q[k], b[0], b[1]);
          multiply_add(scores[n + 1], q[k], b[2], b[3]);
        }
      }
    } else {
      score_products(scores, query_tile, warp_row, keys);
    }
    __syncthreads();
    if (key + KEYS < end)
      bring_keys(key + KEYS);
    else
      copies_end();
    bool is_masked = !how.all_see(position, position + count - 1, key, KEYS, total);
    finish_scores(scores, how, position + row, key + lane % 4 * 2, total, is_masked);
    state.step(scores, shrink);
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
      sums[n][0] *= shrink[0], sums[n][1] *= shrink[0];
      sums[n][2] *= shrink[1], sums[n][3] *= shrink[1];
    }
    copies_done<1>();
    __syncthreads();
    add_products<KEYS / 8, D>(sums, scores, values, 0);
    __syncthreads();
    if (key + KEYS < end)
      bring_values(key + KEYS);
    else
      copies_end();
  }

#pragma unroll
  for (int half = 0; half < 2; half++) {
    float sum = state.sum[half];
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    int at = row + 8 * half;
    if (at >= count) continue;
    size_t place = (size_t)(s.start + first + at);
    act *to = out + place * out_stride + head * head_size;
    put_row(to, sums, 2 * half, 1 / sum, 0, head_size, head_size % 2 == 0 && out_stride % 2 == 0);
    if (lse && lane % 4 == 0) lse[place * heads + head] = (state.most[half] + log2f(sum)) / LOG2E;
  }
}
#else
#include "attention_float.cuh"
#endif

// Takes one block for each tile (span, first query of its rows) and head.
extern "C" __global__ void __launch_bounds__(128)
    attention_forward(const act *queries, int query_stride, const span *spans, const int2 *tiles,
                      int heads, int kv_heads, int head_size, float scale, float cap, int window,
                      int full, act *out, int out_stride, float *lse) {
  int2 tile = tiles[blockIdx.x];
  int head = blockIdx.y;
  span s = spans[tile.x];
  attend(queries, query_stride, s, tile.y, head, head / (heads / kv_heads), head_size,
         scoring{scale, cap, window, full}, out, out_stride, lse, heads);
}
