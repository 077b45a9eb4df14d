// SPDX-License-Identifier: Apache-2.0
// Weights as products with few rows read them: tiles of sixteen rows, of which
// a warp reads a unit of some columns at a time into memory of its own, sixteen
// bytes a lane, and multiplies them on tensor cores. Lane l has runs of eight
// columns of rows l / 4 and l / 4 + 8.
#include "blocks.cuh"
#include "operand.cuh"
#include "tensor.cuh"

// The rows of a tile: sixteen that follow each other, or, where `half` is not
// 0, eight and those `half` further on, as gate and up lie.
__device__ __forceinline__ int row_of(int tile, int r, int half) {
  return half ? tile * 8 + r % 8 + r / 8 * half : tile * 16 + r;
}

// A matrix as it is, [rows, cols], in units of 64 columns: whole lines of the
// memory, a row's eight pieces in an order that has no two lanes meet. Behind
// the last row there is memory for the rest of its tile.
struct plain {
  static constexpr int COLUMNS = 64, BLOCKS = 2, PARTS = 1, STAGE = 2048, STAGES = 4, RUN = 8;
  const act *w;
  int cols, half;

  __device__ __forceinline__ plain(const void *weights, int cols, int half)
      : w((const act *)weights), cols(cols), half(half) {}

  static __device__ __forceinline__ int place(int r, int piece) {
    return r * 8 + (piece ^ r % 2 * 4);
  }
  // Where a lane begins to read a unit; units lie STEP apart.
  static constexpr int STEP = COLUMNS * (int)sizeof(act);
  __device__ __forceinline__ const char *place_of(int tile, int unit, int lane) const {
    int column = unit * COLUMNS + lane % 8 * 8;
    return (const char *)(w + (size_t)row_of(tile, lane / 8, half) * cols + column);
  }
  __device__ __forceinline__ void fetch(void *stage, const char *from, int unit, int lane) const {
    bool is_there = unit * COLUMNS + lane % 8 * 8 < cols;
    size_t row = (size_t)cols * sizeof(act), second = (half ? half : 8) * row;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      copy_later((uint4 *)stage + place(lane / 8 + 4 * i, lane % 8),
                 from + i % 2 * 4 * row + i / 2 * second, is_there);
    }
  }
  // Where a lane finds x: rows of activations.
  struct operand {
    const act *own;
    int cols;

    // Normed where it is the stream, into `room`.
    __device__ __forceinline__ operand(const product_operand &in, const row_share &rows, void *room,
                                       float *parts)
        : own(in.x), cols(in.cols) {
      int lane = threadIdx.x % 32, stride = in.cols;
      if (in.stream) {
        act *normed = (act *)room;
        stride = normed_stride(in.cols), own = normed;
        each_run_of(in, rows, in.cols, parts, [&](int row, int column, const float(&x)[8]) {
          if (column < in.cols) store<8>(normed + row * stride + column, x);
        });
        __syncthreads();
      }
      // Columns of y behind the n-th are nobody's.
      own += (size_t)min(lane / 4, in.n - 1) * stride + lane % 4 * RUN;
    }
    struct runs {
      uint4 x[BLOCKS];
    };
    // The lane's runs at a unit; where x ends, any: weights there are zeros.
    __device__ __forceinline__ runs at(int unit) const {
      runs result;
#pragma unroll
      for (int b = 0; b < BLOCKS; b++) {
        result.x[b] = *(const uint4 *)(own + min(unit * COLUMNS + 32 * b, cols - 32));
      }
      return result;
    }
  };

  // What a warp has of a tile.
  struct sums {
    float of[4] = {};

    __device__ __forceinline__ void add(const void *stage, int lane, const operand::runs &runs) {
#pragma unroll
      for (int b = 0; b < BLOCKS; b++) {
        uint4 first = ((const uint4 *)stage)[place(lane / 4, 4 * b + lane % 4)];
        uint4 second = ((const uint4 *)stage)[place(lane / 4 + 8, 4 * b + lane % 4)];
        multiply_add(of, {first.x, second.x, first.y, second.y}, runs.x[b].x, runs.x[b].y);
        multiply_add(of, {first.z, second.z, first.w, second.w}, runs.x[b].z, runs.x[b].w);
      }
    }
    // take(row of the tile, row of x, sum).
    template <class Take>
    __device__ __forceinline__ void each(int lane, Take take) const {
      for (int i = 0; i < 4; i++) take(lane / 4 + i / 2 * 8, lane % 4 * 2 + i % 2, of[i]);
    }
  };
};

// Codes of four or eight bits with numbers beside them, in units of one or two
// parts of four blocks of 32 columns. A unit has the lanes' words, then for each
// part, rows r and r + 8, r < 8, and each block the scales in half precision; and
// where there are two numbers to a block, as many again.
template <int BITS, bool IS_SIGNED>
struct codes_of;
// Columns k and k + 4 of a run are the nibbles of byte k. Signed ones are read in
// the upper half of a byte, where they count sixteen times.
template <bool IS_SIGNED>
struct codes_of<4, IS_SIGNED> {
  static constexpr int WORDS = 1, TIMES = IS_SIGNED ? 16 : 1;
  static __device__ __forceinline__ int bit(int k) { return 8 * (k % 4) + 4 * (k / 4); }
  // Four columns as bytes.
  static __device__ __forceinline__ unsigned four(const unsigned (&words)[1], int i) {
    if constexpr (IS_SIGNED) return (i ? words[0] : words[0] << 4) & 0xf0f0f0f0u;
    return (i ? words[0] >> 4 : words[0]) & 0x0f0f0f0fu;
  }
};
template <bool IS_SIGNED>
struct codes_of<8, IS_SIGNED> {
  static constexpr int WORDS = 2, TIMES = 1;
  static __device__ __forceinline__ int bit(int k) { return 8 * k; }
  static __device__ __forceinline__ unsigned four(const unsigned (&words)[2], int i) {
    return words[i];
  }
};

// What the second number of a block is.
enum { NONE, MINIMUM, SECOND_SCALE };

// Codes times scales.
template <int BITS, bool IS_SIGNED, int BESIDE>
struct packed {
  using codes = codes_of<BITS, IS_SIGNED>;
  static constexpr int WORDS = codes::WORDS, NUMBERS = BESIDE == NONE ? 1 : 2;
  static constexpr int BLOCKS = 4, PARTS = 2 / WORDS, COLUMNS = 32 * BLOCKS * PARTS;
  static constexpr int CODES = 2048, STAGE = CODES + 128 * PARTS * NUMBERS, STAGES = 3;
  // Columns that a lane's run has next to each other: two scales of a block
  // belong to its halves, and so do the words of its codes.
  static constexpr int RUN = BESIDE == SECOND_SCALE ? 4 : 8;
  typedef digit_rows<COLUMNS, RUN, codes::TIMES> digits;
  unsigned char *base;
  int units;

  __device__ __forceinline__ packed(const void *weights, int cols, int)
      : base((unsigned char *)weights), units((cols + COLUMNS - 1) / COLUMNS) {}

  __device__ __forceinline__ unsigned char *unit_at(int tile, int unit) const {
    return base + ((size_t)tile * units + unit) * STAGE;
  }
  static constexpr int STEP = STAGE;
  __device__ __forceinline__ const char *place_of(int tile, int unit, int lane) const {
    return (const char *)unit_at(tile, unit) + 16 * lane;
  }
  static __device__ __forceinline__ void fetch(void *stage, const char *from, int, int lane) {
    uint4 *to = (uint4 *)stage + lane;
#pragma unroll
    for (int i = 0; i < CODES / 512; i++) copy_later(to + 32 * i, from + 512 * i, true);
    if (lane < 8 * PARTS * NUMBERS) copy_later(to + CODES / 16, from + CODES, true);
  }

  // Where the codes and the numbers of a part are.
  static __device__ __forceinline__ const uint4 *codes_at(const void *unit, int part) {
    return (const uint4 *)unit + part * (CODES / PARTS / 16);
  }
  static __device__ __forceinline__ const unsigned *numbers_at(const void *unit, int part) {
    return (const unsigned *)((const unsigned char *)unit + CODES) + part * 32 * NUMBERS;
  }

  // What a lane has of a unit's part: rows r and r + 8.
  struct lane_part {
    uint4 bits[BLOCKS * WORDS / 2], numbers[NUMBERS];

    __device__ __forceinline__ lane_part(const void *unit, int part, int lane) {
#pragma unroll
      for (int i = 0; i < BLOCKS * WORDS / 2; i++) bits[i] = codes_at(unit, part)[32 * i + lane];
#pragma unroll
      for (int i = 0; i < NUMBERS; i++) {
        numbers[i] = ((const uint4 *)numbers_at(unit, part))[8 * i + lane / 4];
      }
    }
    static __device__ __forceinline__ unsigned word(uint4 of, int i) {
      return i == 0 ? of.x : i == 1 ? of.y : i == 2 ? of.z : of.w;
    }
    __device__ __forceinline__ float number(int b, int i, int second) const {
      return float_of_half((unsigned short)(word(numbers[i], b) >> 16 * second));
    }
    // Half i of a run, as bytes.
    __device__ __forceinline__ unsigned four(int b, int second, int i) const {
      uint4 own = bits[b * WORDS / 2];
      unsigned words[WORDS];
#pragma unroll
      for (int w = 0; w < WORDS; w++) {
        words[w] = word(own, WORDS == 1 ? b % 2 * 2 + second : second * 2 + w);
      }
      return codes::four(words, i);
    }
    // The number at place k of the lane's run.
    __device__ __forceinline__ float at(int b, int second, int k) const {
      float code = (float)(signed char)(four(b, second, k / 4) >> 8 * (k % 4)) / codes::TIMES;
      if constexpr (BESIDE == SECOND_SCALE) return code * number(b, k / 4, second);
      return code * number(b, 0, second) + (BESIDE == MINIMUM ? number(b, NUMBERS - 1, second) : 0);
    }
  };

  // Where a lane finds x: two digits of four rows of it are the columns of a
  // product on tensor cores, and SETS of these are multiplied.
  template <int SETS>
  struct operand {
    const unsigned char *own[SETS];
    const float *scales[SETS];
    int blocks;

    // In digits, into `room` unless they are there already.
    __device__ __forceinline__ operand(const product_operand &in, const row_share &rows, void *room,
                                       float *parts) {
      digits all(in.digits ? (void *)in.digits : room, in.n, in.cols);
      if (!in.digits) {
        each_run_of(in, rows, all.columns, parts,
                    [&](int row, int column, const float(&x)[8]) { all.take(row, column, x); });
        __syncthreads();
      }
      int lane = threadIdx.x % 32;
      blocks = all.columns / 32;
      for (int s = 0; s < SETS; s++) {
        // Columns of y behind the n-th are nobody's.
        own[s] = all.row(min(4 * s + lane / 8, in.n - 1), lane / 4 % 2) + lane % 4 * 32;
        scales[s] = all.scales(min(4 * s + lane % 4, in.n - 1));
      }
    }
    struct runs {
      uint4 digits[SETS][PARTS][2];
      float scales[SETS][PARTS][BLOCKS], sums[SETS][PARTS][BESIDE == MINIMUM ? BLOCKS : 1];
    };
    __device__ __forceinline__ runs at(int unit) const {
      runs result;
#pragma unroll
      for (int s = 0; s < SETS; s++) {
#pragma unroll
        for (int part = 0; part < PARTS; part++) {
          int chunk = unit * PARTS + part;
          const uint4 *from = (const uint4 *)(own[s] + chunk * 128);
          result.digits[s][part][0] = from[0], result.digits[s][part][1] = from[1];
          get(scales[s] + chunk * 4, result.scales[s][part]);
          if constexpr (BESIDE == MINIMUM) {
            get(scales[s] + blocks + chunk * 4, result.sums[s][part]);
          }
        }
      }
      return result;
    }
    static __device__ __forceinline__ void get(const float *from, float (&x)[BLOCKS]) {
      float4 four = *(const float4 *)from;
      x[0] = four.x, x[1] = four.y, x[2] = four.z, x[3] = four.w;
    }
  };

  // What a warp has of a tile.
  template <int SETS>
  struct sums {
    float of[SETS][2] = {};

    __device__ __forceinline__ void add(const void *stage, int lane,
                                        const typename operand<SETS>::runs &runs) {
#pragma unroll
      for (int part = 0; part < PARTS; part++) {
        lane_part own(stage, part, lane);
#pragma unroll
        for (int b = 0; b < BLOCKS; b++) {
          unsigned a[4] = {own.four(b, 0, 0), own.four(b, 1, 0), own.four(b, 0, 1),
                           own.four(b, 1, 1)};
#pragma unroll
          for (int s = 0; s < SETS; s++) add(s, part, b, own, a, runs);
        }
      }
    }
    __device__ __forceinline__ void add(int s, int part, int b, const lane_part &own,
                                        const unsigned (&a)[4],
                                        const typename operand<SETS>::runs &runs) {
      uint4 x = runs.digits[s][part][b / 2];
      unsigned b0 = b % 2 ? x.z : x.x, b1 = b % 2 ? x.w : x.y;
      float scale = runs.scales[s][part][b];
      int c[2][4] = {};
      if constexpr (BESIDE == SECOND_SCALE) {
        multiply_add(c[0], {a[0], a[1], 0, 0}, b0, 0);
        multiply_add(c[1], {a[2], a[3], 0, 0}, b1, 0);
      } else {
        multiply_add(c[0], a, b0, b1);
      }
#pragma unroll
      for (int i = 0; i < 2; i++) {
        auto sum = [&](const int(&of)[4]) { return (float)(of[2 * i] * 256 + of[2 * i + 1]); };
        of[s][i] += own.number(b, 0, i) * scale * sum(c[0]);
        if constexpr (BESIDE == MINIMUM) of[s][i] += own.number(b, 1, i) * runs.sums[s][part][b];
        if constexpr (BESIDE == SECOND_SCALE) of[s][i] += own.number(b, 1, i) * scale * sum(c[1]);
      }
    }
    // take(row of the tile, row of x, sum).
    template <class Take>
    __device__ __forceinline__ void each(int lane, Take take) const {
      for (int s = 0; s < SETS; s++) {
        for (int i = 0; i < 2; i++) take(lane / 4 + i * 8, 4 * s + lane % 4, of[s][i]);
      }
    }
  };
};

// Codes from -8 on; codes from 0 on and what 0 stands for; bytes of both signs;
// bytes and what 0 stands for; bytes with a scale for each half of a block.
typedef packed<4, true, NONE> nibbles;
typedef packed<4, false, MINIMUM> nibbles_from;
typedef packed<8, true, NONE> bytes;
typedef packed<8, true, MINIMUM> bytes_from;
typedef packed<8, true, SECOND_SCALE> bytes_of_halves;
