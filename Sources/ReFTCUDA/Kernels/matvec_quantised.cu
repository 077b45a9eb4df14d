// SPDX-License-Identifier: Apache-2.0
// y[N, rows] (+)= x[N, cols] Wᵀ (+ bias) where W lies in blocks of 32 codes,
// repacked for sixteen rows at once; `cols` is a multiple of 32. With bfloat16
// a warp multiplies sixteen rows' blocks on tensor cores: codes are exact
// there.
//
// Repacked: for each sixteen rows (the last filled up with zeros) and each 32
// columns, lane l of a warp finds the codes of columns 8 (l % 4) … + 7 of rows
// l / 4 and l / 4 + 8 side by side; behind all of these, for each of the same
// and each r < 8, the scales of rows r and r + 8 in half precision, and for
// Q4_1 their minima.
#include "blocks.cuh"
#include "numbers.cuh"
#include "tensor.cuh"

constexpr int N = REFT_N, ROWS = 16, MOST_WARPS = 8;

// Two bfloat16 less two others, exact where the result is one.
__device__ __forceinline__ unsigned difference(unsigned x, unsigned y) {
#ifdef REFT_EMULATED
  return bfloat16_pair(widen((unsigned short)x) - widen((unsigned short)y),
                       widen((unsigned short)(x >> 16)) - widen((unsigned short)(y >> 16)));
#else
  unsigned result;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(y), "r"(0xbf80bf80u), "r"(x));
  return result;
#endif
}

// A format: words of a run of eight codes, numbers beside the codes of a block,
// bytes of a block in a file; where the code of column k of a run is kept and
// which it is; and two neighbouring codes as bfloat16.
struct packed_q4_0 {
  static constexpr int WORDS = 1, SCALES = 1, BLOCK = q4_0::BYTES;
  static __device__ __forceinline__ unsigned code(const unsigned char *block, int j) {
    return (unsigned)nibble_at(block + 2, j);
  }
  // Columns 2i and 2i + 1 are nibbles i and i + 4.
  static __device__ __forceinline__ int bit(int k) { return 4 * (k / 2) + 16 * (k % 2); }
  static __device__ __forceinline__ unsigned pair(const unsigned (&words)[1], int i) {
    // 128 + code has the bits of 128 or the code's.
    return difference((words[0] >> 4 * i & 0x000f000fu) | 0x43004300u, 0x43084308u);
  }
};
struct packed_q4_1 {
  static constexpr int WORDS = 1, SCALES = 2, BLOCK = q4_1::BYTES;
  static __device__ __forceinline__ unsigned code(const unsigned char *block, int j) {
    return (unsigned)nibble_at(block + 4, j);
  }
  static __device__ __forceinline__ int bit(int k) { return 4 * (k / 2) + 16 * (k % 2); }
  static __device__ __forceinline__ unsigned pair(const unsigned (&words)[1], int i) {
    return difference((words[0] >> 4 * i & 0x000f000fu) | 0x43004300u, 0x43004300u);
  }
};
struct packed_q8_0 {
  static constexpr int WORDS = 2, SCALES = 1, BLOCK = q8_0::BYTES;
  static __device__ __forceinline__ unsigned code(const unsigned char *block, int j) {
    return block[2 + j];
  }
  // Columns 4i … 4i + 3 are bytes 0, 2, 1, 3 of word i.
  static __device__ __forceinline__ int bit(int k) {
    return 32 * (k / 4) + 8 * (k / 2 % 2) + 16 * (k % 2);
  }
  static __device__ __forceinline__ unsigned pair(const unsigned (&words)[2], int i) {
    // Seven bits, less 128 where the eighth is set: both beside 128.
    unsigned bits = words[i / 2] >> 8 * (i % 2);
    return difference((bits & 0x007f007fu) | 0x43004300u, (bits & 0x00800080u) | 0x43004300u);
  }
};

// Where the parts of a repacked matrix are.
template <class P>
struct packed_matrix {
  unsigned *codes, *scales;
  int blocks;

  __device__ __forceinline__ packed_matrix(void *w, int rows, int cols) {
    codes = (unsigned *)w;
    blocks = cols / 32;
    scales = codes + (size_t)(rows + 15) / 16 * blocks * 64 * P::WORDS;
  }
  // The words of a lane: those of its first row, then those of its second.
  __device__ __forceinline__ unsigned *code(int tile, int block, int lane) const {
    return codes + (((size_t)tile * blocks + block) * 32 + lane) * 2 * P::WORDS;
  }
  // The scales of rows r and r + 8, and behind all eight such pairs their
  // minima.
  __device__ __forceinline__ unsigned *scale(int tile, int block, int r) const {
    return scales + ((size_t)tile * blocks + block) * 8 * P::SCALES + r;
  }
};

// What a lane has of a block of sixteen rows.
template <class P>
struct packed_lane {
  unsigned words[2][P::WORDS], scales[P::SCALES];

  __device__ __forceinline__ void load(const packed_matrix<P> &w, int tile, int block, int lane) {
    const unsigned *from = w.code(tile, block, lane);
    if constexpr (P::WORDS == 1) {
      uint2 bits = *(const uint2 *)from;
      words[0][0] = bits.x, words[1][0] = bits.y;
    } else {
      uint4 bits = *(const uint4 *)from;
      words[0][0] = bits.x, words[0][1] = bits.y, words[1][0] = bits.z, words[1][1] = bits.w;
    }
#pragma unroll
    for (int i = 0; i < P::SCALES; i++) scales[i] = w.scale(tile, block, lane / 4)[8 * i];
  }
  // Those of its first or second row.
  __device__ __forceinline__ float scale(int row) const {
    return float_of_half((unsigned short)(scales[0] >> 16 * row));
  }
  __device__ __forceinline__ float minimum(int row) const {
    if constexpr (P::SCALES == 1) return 0;
    return float_of_half((unsigned short)(scales[P::SCALES - 1] >> 16 * row));
  }
  // The number at column k of the lane's run.
  __device__ __forceinline__ float at(int row, int k) const {
    unsigned bits = P::pair(words[row], k / 2);
    float code = widen((unsigned short)(k % 2 ? bits >> 16 : bits));
    return code * scale(row) + minimum(row);
  }
};

// Adds up what the warps have, [16, 8] each, in a fixed order, and writes it.
template <class T>
__device__ __forceinline__ void finish(float (&parts)[MOST_WARPS][ROWS * 8], int rows, int first,
                                       const float *bias, int accumulate, T *y) {
  __syncthreads();
  for (int i = threadIdx.x; i < ROWS * 8; i += blockDim.x) {
    int row = first + i / 8, n = i % 8;
    if (n >= N || row >= rows) continue;
    float sum = 0;
    for (int warp = 0; warp < (int)blockDim.x / 32; warp++) sum += parts[warp][i];
    T *out = y + (size_t)n * rows + row;
    if (bias) sum += bias[row];
    if (accumulate) sum += widen(*out);
    narrow(sum, *out);
  }
}

#if REFT_ACT == 1
// A lane's run of one row of x, as the words of two pieces of B; zeros behind
// the last row.
__device__ __forceinline__ uint4 right_run(const act *x, int cols, int column, int lane,
                                           bool is_there) {
  if (lane / 4 >= N || !is_there) return make_uint4(0, 0, 0, 0);
  const act *from = x + (size_t)(lane / 4) * cols + column + lane % 4 * 8;
  if (wide(x)) return *(const uint4 *)from;
  unsigned w[4];
  for (int i = 0; i < 4; i++) w[i] = from[2 * i] | (unsigned)from[2 * i + 1] << 16;
  return make_uint4(w[0], w[1], w[2], w[3]);
}

// Adds the products of one block of sixteen rows with eight rows of x.
template <class P>
__device__ __forceinline__ void add_block(float (&sums)[4], const packed_lane<P> &own, uint4 b) {
  float c[4] = {}, total[4] = {};
#pragma unroll
  for (int step = 0; step < 2; step++) {
    unsigned a[4] = {P::pair(own.words[0], 2 * step), P::pair(own.words[1], 2 * step),
                     P::pair(own.words[0], 2 * step + 1), P::pair(own.words[1], 2 * step + 1)};
    unsigned ones[4] = {0x3f803f80u, 0x3f803f80u, 0x3f803f80u, 0x3f803f80u};
    unsigned b0 = step ? b.z : b.x, b1 = step ? b.w : b.y;
    multiply_add(c, a, b0, b1);
    if constexpr (P::SCALES == 2) multiply_add(total, ones, b0, b1);
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    sums[i] += own.scale(i / 2) * c[i];
    if constexpr (P::SCALES == 2) sums[i] += own.minimum(i / 2) * total[i];
  }
}

// One warp's share of the products of sixteen rows.
template <class P>
__device__ __forceinline__ void multiply(const packed_matrix<P> &w, int tile, int cols,
                                         const act *x, float *part) {
  int lane = threadIdx.x % 32;
  float sums[4] = {};
  // As many as registers allow without chasing other blocks away.
  constexpr int BATCH = P::WORDS == 1 ? 8 : 4;
  int warps = blockDim.x / 32;
  for (int first = threadIdx.x / 32; first < w.blocks; first += warps * BATCH) {
    // All that a batch reads is under way before the first of it is used.
    packed_lane<P> own[BATCH];
    uint4 right[BATCH];
#pragma unroll
    for (int i = 0; i < BATCH; i++) {
      int block = min(first + i * warps, w.blocks - 1);
      own[i].load(w, tile, block, lane);
      right[i] = right_run(x, cols, 32 * block, lane, first + i * warps < w.blocks);
    }
#pragma unroll
    for (int i = 0; i < BATCH; i++) add_block(sums, own[i], right[i]);
  }
#pragma unroll
  for (int i = 0; i < 4; i++) part[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}
#else
template <class P>
__device__ __forceinline__ void multiply(const packed_matrix<P> &w, int tile, int cols,
                                         const act *x, float *part) {
  int lane = threadIdx.x % 32;
  float sums[2][N] = {};
  for (int block = threadIdx.x / 32; block < w.blocks; block += blockDim.x / 32) {
    packed_lane<P> own;
    own.load(w, tile, block, lane);
    for (int k = 0; k < 8; k++) {
      float a[2] = {own.at(0, k), own.at(1, k)};
      for (int n = 0; n < N; n++) {
        float b = x[(size_t)n * cols + 32 * block + lane % 4 * 8 + k];
        sums[0][n] += a[0] * b;
        sums[1][n] += a[1] * b;
      }
    }
  }
  for (int row = 0; row < 2; row++) {
    for (int n = 0; n < N; n++) {
      float sum = sums[row][n];
      sum += __shfl_xor_sync(0xffffffffu, sum, 1);
      sum += __shfl_xor_sync(0xffffffffu, sum, 2);
      if (lane % 4 == 0) part[(lane / 4 + row * 8) * 8 + n] = sum;
    }
  }
}
#endif

// One block for sixteen rows, of up to MOST_WARPS warps, which share the
// columns.
template <class P, class T>
__device__ __forceinline__ void matvec(int rows, int cols, const void *weights, const act *x,
                                       const float *bias, int accumulate, T *y) {
  __shared__ float parts[MOST_WARPS][ROWS * 8];
  packed_matrix<P> w((void *)weights, rows, cols);
  int first = blockIdx.x * ROWS;
  if (first >= rows) return;
  multiply<P>(w, blockIdx.x, cols, x, parts[threadIdx.x / 32]);
  finish(parts, rows, first, bias, accumulate, y);
}

// Repacks rows of blocks; a thread a run of eight codes.
template <class P>
__device__ __forceinline__ void repack(int rows, int cols, const unsigned char *blocks,
                                       void *packed) {
  packed_matrix<P> w(packed, rows, cols);
  each_run<1>((rows + 15) / 16 * 16, cols / 8, [&](int row, int run) {
    bool is_there = row < rows;
    int tile = row / 16, block = run / 4, r = row % 8, second = row % 16 / 8;
    const unsigned char *from =
        blocks + ((size_t)(is_there ? row : 0) * w.blocks + block) * P::BLOCK;
    unsigned words[P::WORDS] = {};
    for (int k = 0; k < 8; k++) {
      words[P::bit(k) / 32] |= P::code(from, run % 4 * 8 + k) << P::bit(k) % 32;
    }
    unsigned *to = w.code(tile, block, 4 * r + run % 4) + second * P::WORDS;
    for (int i = 0; i < P::WORDS; i++) to[i] = is_there ? words[i] : 0;
    if (run % 4 != 0) return;
    for (int i = 0; i < P::SCALES; i++) {
      unsigned bits = from[2 * i] | (unsigned)from[2 * i + 1] << 8;
      unsigned short *scale = (unsigned short *)(w.scale(tile, block, r) + 8 * i);
      scale[second] = (unsigned short)(is_there ? bits : 0);
    }
  });
}

// The repacked matrix as activations, [rows, cols]; a lane of a warp what it
// would multiply.
template <class P>
__device__ __forceinline__ void unpack_matrix(int rows, int cols, const void *packed, act *out) {
  packed_matrix<P> w((void *)packed, rows, cols);
  each_run<1>((rows + 15) / 16 * 32, w.blocks, [&](int of, int block) {
    int tile = of / 32, lane = of % 32;
    packed_lane<P> own;
    own.load(w, tile, block, lane);
    for (int second = 0; second < 2; second++) {
      int row = tile * 16 + lane / 4 + 8 * second;
      if (row >= rows) return;
      act *to = out + (size_t)row * cols + 32 * block + lane % 4 * 8;
      float x[8];
      for (int k = 0; k < 8; k++) x[k] = own.at(second, k);
      if (wide(out)) {
        store<8>(to, x);
      } else {
        for (int k = 0; k < 8; k++) narrow(x[k], to[k]);
      }
    }
  });
}

extern "C" __global__ void __launch_bounds__(256)
    matvec_q4_0(int rows, int cols, const void *w, const act *x, const float *bias, int accumulate,
                float *y) {
  matvec<packed_q4_0>(rows, cols, w, x, bias, accumulate, y);
}
extern "C" __global__ void __launch_bounds__(256)
    matvec_q4_0_to_act(int rows, int cols, const void *w, const act *x, const float *bias,
                       int accumulate, act *y) {
  matvec<packed_q4_0>(rows, cols, w, x, bias, accumulate, y);
}
extern "C" __global__ void repack_q4_0(int rows, int cols, const unsigned char *blocks,
                                       void *packed) {
  repack<packed_q4_0>(rows, cols, blocks, packed);
}
extern "C" __global__ void unpack_q4_0(int rows, int cols, const void *packed, act *out) {
  unpack_matrix<packed_q4_0>(rows, cols, packed, out);
}

extern "C" __global__ void __launch_bounds__(256)
    matvec_q4_1(int rows, int cols, const void *w, const act *x, const float *bias, int accumulate,
                float *y) {
  matvec<packed_q4_1>(rows, cols, w, x, bias, accumulate, y);
}
extern "C" __global__ void __launch_bounds__(256)
    matvec_q4_1_to_act(int rows, int cols, const void *w, const act *x, const float *bias,
                       int accumulate, act *y) {
  matvec<packed_q4_1>(rows, cols, w, x, bias, accumulate, y);
}
extern "C" __global__ void repack_q4_1(int rows, int cols, const unsigned char *blocks,
                                       void *packed) {
  repack<packed_q4_1>(rows, cols, blocks, packed);
}
extern "C" __global__ void unpack_q4_1(int rows, int cols, const void *packed, act *out) {
  unpack_matrix<packed_q4_1>(rows, cols, packed, out);
}

extern "C" __global__ void __launch_bounds__(256)
    matvec_q8_0(int rows, int cols, const void *w, const act *x, const float *bias, int accumulate,
                float *y) {
  matvec<packed_q8_0>(rows, cols, w, x, bias, accumulate, y);
}
extern "C" __global__ void __launch_bounds__(256)
    matvec_q8_0_to_act(int rows, int cols, const void *w, const act *x, const float *bias,
                       int accumulate, act *y) {
  matvec<packed_q8_0>(rows, cols, w, x, bias, accumulate, y);
}
extern "C" __global__ void repack_q8_0(int rows, int cols, const unsigned char *blocks,
                                       void *packed) {
  repack<packed_q8_0>(rows, cols, blocks, packed);
}
extern "C" __global__ void unpack_q8_0(int rows, int cols, const void *packed, act *out) {
  unpack_matrix<packed_q8_0>(rows, cols, packed, out);
}
