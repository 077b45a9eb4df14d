// SPDX-License-Identifier: Apache-2.0
// Attention in float, without tensor cores: four threads share a query or a
// key, each with a quarter of the head's numbers in runs of four. A block does
// its 64 rows in two halves of 32.

constexpr int OWN = D / 4, STEP = 16, PITCH = D + 4;

// A thread's quarter of a row; zeros behind the head's end and for rows that
// are not there.
__device__ __forceinline__ void take(float (&x)[OWN], const float *row, int head_size,
                                     bool is_there) {
  int part = threadIdx.x % 4;
#pragma unroll
  for (int j = 0; j < OWN; j++) {
    int column = j / 4 * 16 + part * 4 + j % 4;
    x[j] = is_there && column < head_size ? row[column] : 0;
  }
}
__device__ __forceinline__ void give(float *row, const float (&x)[OWN], float factor,
                                     int head_size) {
  int part = threadIdx.x % 4;
#pragma unroll
  for (int j = 0; j < OWN; j++) {
    int column = j / 4 * 16 + part * 4 + j % 4;
    if (column < head_size) row[column] = x[j] * factor;
  }
}

// The product of a thread's four with a row of a tile; all four get it.
__device__ __forceinline__ float product(const float (&x)[OWN], const float *row) {
  float sum = 0;
  int part = threadIdx.x % 4;
#pragma unroll
  for (int j = 0; j < OWN; j += 4) {
    float4 y = *(const float4 *)(row + j / 4 * 16 + part * 4);
    sum += x[j] * y.x + x[j + 1] * y.y + x[j + 2] * y.z + x[j + 3] * y.w;
  }
  sum += __shfl_xor_sync(0xffffffffu, sum, 1);
  return sum + __shfl_xor_sync(0xffffffffu, sum, 2);
}
// x += factor · a row of a tile.
__device__ __forceinline__ void add_row(float (&x)[OWN], float factor, const float *row) {
  int part = threadIdx.x % 4;
#pragma unroll
  for (int j = 0; j < OWN; j += 4) {
    float4 y = *(const float4 *)(row + j / 4 * 16 + part * 4);
    x[j] += factor * y.x, x[j + 1] += factor * y.y;
    x[j + 2] += factor * y.z, x[j + 3] += factor * y.w;
  }
}

// Brings STEP rows into a tile; zeros from `count` on.
template <class F>
__device__ __forceinline__ void bring(float *tile, F row_of, int count, int head_size) {
  for (int i = threadIdx.x; i < STEP * D; i += blockDim.x) {
    int r = i / D, column = i % D;
    tile[r * PITCH + column] = r < count && column < head_size ? row_of(r)[column] : 0;
  }
}

__device__ __forceinline__ void attend(const act *queries, int query_stride, const span &s,
                                       int first, int head, int kv_head, int head_size, scoring how,
                                       act *out, int out_stride, float *lse, int heads) {
  extern __shared__ __align__(128) unsigned char memory[];
  float *keys = (float *)memory, *values = keys + STEP * PITCH;
  int total = s.total();
  for (int half = 0; half < 2; half++) {
    int query = first + half * 32 + threadIdx.x / 4, position = s.position + query;
    if (first + half * 32 >= s.count) break;
    size_t place = (size_t)(s.start + query);
    bool is_there = query < s.count;
    float q[OWN], sums[OWN] = {}, most = LOWEST, sum = 0;
    take(q, queries + place * query_stride + head * head_size, head_size, is_there);
    int low = s.position + first + half * 32, high = min(low + 31, total - 1);
    int end = how.key_end(high, total);
    for (int key = how.first_key(low); key < end; key += STEP) {
      __syncthreads();
      bring(
          keys, [&](int r) { return s.keys + s.place(key + r) + kv_head * head_size; }, end - key,
          head_size);
      bring(
          values, [&](int r) { return s.values + s.place(key + r) + kv_head * head_size; },
          end - key, head_size);
      __syncthreads();
      float scores[STEP], next = most;
#pragma unroll
      for (int r = 0; r < STEP; r++) {
        float x = how.score(product(q, keys + r * PITCH));
        scores[r] = how.sees(position, key + r, total) ? x : LOWEST;
        next = fmaxf(next, scores[r]);
      }
      float shrink = expf(most - next);
      most = next;
      sum *= shrink;
#pragma unroll
      for (int j = 0; j < OWN; j++) sums[j] *= shrink;
#pragma unroll
      for (int r = 0; r < STEP; r++) {
        float weight = scores[r] <= LOWEST ? 0 : expf(scores[r] - most);
        sum += weight;
        add_row(sums, weight, values + r * PITCH);
      }
    }
    if (!is_there) continue;
    give(out + place * out_stride + head * head_size, sums, 1 / sum, head_size);
    if (lse && threadIdx.x % 4 == 0) lse[place * heads + head] = most + logf(sum);
  }
}
