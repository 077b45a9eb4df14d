// SPDX-License-Identifier: Apache-2.0
// Attention of one new token per sequence: its query and key are turned by its
// position, its key and value go to its cache, and `splits` blocks attend over
// parts of that; the last of them joins what they have. How many there are does
// not depend on positions, so that a recorded graph of launches stays right.
#include "launch.cuh"
#include "numbers.cuh"

constexpr int D = REFT_HEAD;
// Lanes that share a key, eight numbers each; keys that a warp reads at once,
// and in a row.
constexpr int LANES = D <= 16 ? 2 : D <= 32 ? 4 : D <= 64 ? 8 : D <= 128 ? 16 : 32;
constexpr int KEYS = 32 / LANES, STEPS = 4, WARPS = 4;
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

// The same as it is kept.
struct kept_run {
#if REFT_ACT == 1
  uint4 bits;
  __device__ __forceinline__ void get(float (&x)[8]) const {
    unpack(bits, x);
  }
  __device__ __forceinline__ void read(const act *from) {
    bits = *(const uint4 *)from;
  }
  __device__ __forceinline__ void set(const float (&x)[8]) {
    bits = make_uint4(bfloat16_pair(x[0], x[1]), bfloat16_pair(x[2], x[3]),
                      bfloat16_pair(x[4], x[5]), bfloat16_pair(x[6], x[7]));
  }
#else
  float numbers[8];
  __device__ __forceinline__ void get(float (&x)[8]) const {
    for (int j = 0; j < 8; j++) x[j] = numbers[j];
  }
  __device__ __forceinline__ void read(const act *from) {
    load<8>(from, numbers);
  }
  __device__ __forceinline__ void set(const float (&x)[8]) {
    for (int j = 0; j < 8; j++) numbers[j] = x[j];
  }
#endif
  __device__ __forceinline__ void read_head(const act *head, int column, int head_size,
                                            bool of_eight) {
    if (of_eight && column < head_size) return read(head + column);
    float x[8];
    head_run(head, column, head_size, false, x);
    set(x);
  }
};

// The cosine and the sine of each pair of the first `width` numbers of a head,
// at one position; pairs are halves apart or neighbours. A lane has those of its
// run where it reads runs of eight.
struct rotation {
  const float *table;
  int width, halves;
  bool of_eight;
  float own[2][8];

  __device__ __forceinline__ rotation(const float *angles, int width, int halves, bool of_eight,
                                      int column)
      : table(angles), width(angles ? width : 0), halves(halves), of_eight(false) {
    if (!angles || !halves || width % 16 != 0 || !of_eight || !wide(angles)) return;
    this->of_eight = true;
    if (column >= width) return;
    load<8>(table + 2 * (column % (width / 2)), own[0]);
    load<8>(table + 2 * (column % (width / 2)) + 8, own[1]);
  }
  __device__ __forceinline__ float turned(const act *head, int at) const {
    int half = width / 2, pair = halves ? at % half : at / 2;
    bool is_second = halves ? at >= half : at % 2;
    float x = widen(head[halves ? pair : 2 * pair]);
    float y = widen(head[halves ? pair + half : 2 * pair + 1]);
    float cosine = table[2 * pair], sine = table[2 * pair + 1];
    return is_second ? x * sine + y * cosine : x * cosine - y * sine;
  }
  // The lane's run of a head, turned and rounded as an activation is.
  __device__ __forceinline__ void run(const act *head, int column, int head_size, bool of_runs,
                                      float (&x)[8]) const {
    head_run(head, column, head_size, of_runs, x);
    if (column >= width) return;
    if (of_eight) {
      bool is_second = column >= width / 2;
      float other[8];
      load<8>(head + (is_second ? column - width / 2 : column + width / 2), other);
      for (int j = 0; j < 8; j++) {
        float cosine = own[j / 4][j % 4 * 2], sine = own[j / 4][j % 4 * 2 + 1];
        x[j] = is_second ? other[j] * sine + x[j] * cosine : x[j] * cosine - other[j] * sine;
      }
    } else {
      for (int j = 0; j < 8 && column + j < width; j++) x[j] = turned(head, column + j);
    }
    for (int j = 0; j < 8; j++) {
      act rounded;
      narrow(x[j], rounded);
      x[j] = widen(rounded);
    }
  }
};

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
  act *keys, *values;
  // Whether runs of eight can be read from the caches, and from the new rows.
  bool of_eight, rows_of_eight;

  __device__ __forceinline__ float score(float x) const {
    return cap > 0 ? cap * tanhf(x * (scale / cap)) : x * scale;
  }
};

// Keys and values that a lane looks at together.
struct seen {
  kept_run k[STEPS], v[STEPS];

  __device__ __forceinline__ void read(const decode_inputs &in, int first, int end) {
    int lane = threadIdx.x % 32, column = lane % LANES * 8;
    if (first >= end) return;
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
      size_t key = min(first + step * KEYS + lane / LANES, end - 1);
      k[step].read_head(in.keys + key * in.kv_width, column, in.head_size, in.of_eight);
      v[step].read_head(in.values + key * in.kv_width, column, in.head_size, in.of_eight);
    }
  }
};

// The product of two runs, over the lanes that share a key.
__device__ __forceinline__ float dot(const float (&x)[8], const float (&y)[8]) {
  float sum = 0;
  for (int j = 0; j < 8; j++) sum += x[j] * y[j];
  for (int with = LANES / 2; with > 0; with >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, with);
  return sum;
}

// One warp's share of keys [begin, end) for M query heads; the first are read
// already.
template <int M>
__device__ __forceinline__ void attend(const decode_inputs &in, const float (&q)[M][8], seen &now,
                                       int begin, int end, running (&heads)[M]) {
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int first = begin + warp * KEYS * STEPS; first < end; first += WARPS * KEYS * STEPS) {
    if (first >= begin + WARPS * KEYS * STEPS) now.read(in, first, end);
#pragma unroll
    for (int m = 0; m < M; m++) {
      float score[STEPS], next = heads[m].most;
#pragma unroll
      for (int step = 0; step < STEPS; step++) {
        float k[8];
        now.k[step].get(k);
        float x = in.score(dot(q[m], k));
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
        float v[8];
        now.v[step].get(v);
        for (int j = 0; j < 8; j++) heads[m].out[j] += weight * v[j];
      }
    }
  }
}

// The new token's key and value.
struct token {
  float k[8], v[8];

  // They go to their place in the cache too.
  __device__ __forceinline__ void store(const decode_inputs &in, int column, int position) const {
    size_t at = (size_t)position * in.kv_width + column;
    if (in.of_eight && column < in.head_size) {
      ::store<8>(in.keys + at, k);
      ::store<8>(in.values + at, v);
    } else {
      for (int j = 0; j < 8 && column + j < in.head_size; j++) {
        narrow(k[j], in.keys[at + j]);
        narrow(v[j], in.values[at + j]);
      }
    }
  }
};

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

// out = the parts of `heads` query heads together.
__device__ __forceinline__ void join_parts(int heads, int head_size, int splits, const float *parts,
                                           act *out) {
  constexpr int AT_ONCE = 8;
  int width = head_size + 2;
  for (int i = threadIdx.x; i < heads * head_size; i += blockDim.x) {
    const float *own = parts + (size_t)(i / head_size) * splits * width;
    float most = LOWEST, sum = 0, x = 0;
    for (int first = 0; first < splits; first += AT_ONCE) {
      float mosts[AT_ONCE], sums[AT_ONCE], xs[AT_ONCE], next = most;
#pragma unroll
      for (int s = 0; s < AT_ONCE; s++) {
        const float *part = own + min(first + s, splits - 1) * width;
        mosts[s] = first + s < splits ? __ldcg(part + head_size) : LOWEST;
        sums[s] = __ldcg(part + head_size + 1);
        xs[s] = __ldcg(part + i % head_size);
      }
#pragma unroll
      for (int s = 0; s < AT_ONCE; s++) next = fmaxf(next, mosts[s]);
      float shrink = __expf(most - next);
      sum *= shrink, x *= shrink, most = next;
#pragma unroll
      for (int s = 0; s < AT_ONCE; s++) {
        float weight = first + s < splits ? __expf(mosts[s] - most) : 0;
        sum += sums[s] * weight;
        x += xs[s] * weight;
      }
    }
    narrow(x / sum, out[i]);
  }
}

// A token of each sequence: rows of queries, keys and values; where the caches
// of the sequences are, and where in them the tokens belong; the angles of all
// positions, [position, width], or null. parts[sequence, head, split] takes
// head_size sums, the largest score and the sum of weights; `done`, zeros, counts
// the parts of a key-value head. out[sequence, head · head_size …].
struct decode_call {
  const act *rows;
  int stride, heads, kv_heads, head_size;
  float scale, cap;
  int window, splits;
  act *const *keys;
  act *const *values;
  const int *positions;
  const float *angles;
  int width, halves;
  float *parts;
  int *done;
  act *out;
};

// M query heads of one key-value head at a time. The keys of earlier tokens are
// nobody's to write, so that the first of them are read before the wait.
template <int M>
__device__ __forceinline__ void decode(const decode_call &call) {
  __shared__ int before;
  int split = blockIdx.x, kv_head = blockIdx.y, sequence = blockIdx.z;
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, column = lane % LANES * 8;
  int group = call.heads / call.kv_heads, head_size = call.head_size;
  int position = call.positions[sequence];
  int low = call.window > 0 ? max(0, position + 1 - call.window) : 0;
  int share = (position - low + call.splits - 1) / call.splits;
  int begin = min(low + split * share, position), end = min(begin + share, position);
  bool has_token = split == call.splits - 1;
  const act *query = call.rows + (size_t)sequence * call.stride;
  const act *key = query + (call.heads + kv_head) * head_size;
  decode_inputs in{head_size, call.kv_heads * head_size, call.scale, call.cap};
  in.keys = call.keys[sequence] + kv_head * head_size;
  in.values = call.values[sequence] + kv_head * head_size;
  in.of_eight = head_size % 8 == 0 && wide(in.keys) && wide(in.values);
  in.rows_of_eight = (head_size | call.stride) % 8 == 0 && wide(call.rows);
  rotation turn(call.angles ? call.angles + (size_t)position * call.width : nullptr, call.width,
                call.halves, in.rows_of_eight, column);
  seen now;
  now.read(in, begin + warp * KEYS * STEPS, end);
  let_next_begin();
  wait_for_previous();

  token fresh;
  if (has_token && warp == 0) {
    turn.run(key, column, head_size, in.rows_of_eight, fresh.k);
    head_run(key + call.kv_heads * head_size, column, head_size, in.rows_of_eight, fresh.v);
    if (lane < LANES) fresh.store(in, column, position);
  }
  size_t width = head_size + 2;
  float *parts = call.parts + ((size_t)sequence * call.heads * call.splits + split) * width;
  for (int first = kv_head * group; first < (kv_head + 1) * group; first += M) {
    int members = min(M, (kv_head + 1) * group - first);
    float q[M][8];
    running heads[M];
#pragma unroll
    for (int m = 0; m < M; m++) {
      const act *head = query + (first + min(m, members - 1)) * head_size;
      turn.run(head, column, head_size, in.rows_of_eight, q[m]);
      heads[m] = {{}, LOWEST, 0};
    }
    if (first > kv_head * group) now.read(in, begin + warp * KEYS * STEPS, end);
    attend<M>(in, q, now, begin, end, heads);
#pragma unroll
    for (int m = 0; m < M; m++) {
      if (has_token && warp == 0) {
        running own{{}, in.score(dot(q[m], fresh.k)), 1};
        for (int j = 0; j < 8; j++) own.out[j] = fresh.v[j];
        if (lane < LANES) heads[m].add(own);
      }
      if (m < members) join_block(heads[m], parts + (first + m) * call.splits * width, head_size);
    }
  }
  // The last of the blocks of a key-value head sees what all have written.
  int *done = call.done + sequence * call.kv_heads + kv_head;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) before = atomicAdd(done, 1);
  __syncthreads();
  if (before != call.splits - 1) return;
  __threadfence();
  if (threadIdx.x == 0) *done = 0;
  size_t first_head = (size_t)sequence * call.heads + kv_head * group;
  join_parts(group, head_size, call.splits, call.parts + first_head * call.splits * width,
             call.out + first_head * head_size);
}

// Grid (splits, kv_heads, sequences): for a query head to each key-value head,
// and for several.
extern "C" __global__ void __launch_bounds__(128, 4) attention_decode(decode_call call) {
  decode<1>(call);
}
extern "C" __global__ void __launch_bounds__(128, 2) attention_decode_groups(decode_call call) {
  decode<4>(call);
}
