// SPDX-License-Identifier: Apache-2.0
// Weights as products with few rows read them: tiles of sixteen rows, of which
// a warp reads a unit of some columns at a time into memory of its own, sixteen
// bytes a lane, and multiplies them on tensor cores. Lane l has runs of eight
// columns of rows l / 4 and l / 4 + 8.
#include "blocks.cuh"
#include "tensor.cuh"

// The rows of a tile: sixteen that follow each other, or, where `half` is not
// 0, eight and those `half` further on, as gate and up lie.
__device__ __forceinline__ int row_of(int tile, int r, int half) {
  return half ? tile * 8 + r % 8 + r / 8 * half : tile * 16 + r;
}

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
  // Adds the products of a unit with the lane's runs of x.
  static __device__ __forceinline__ void add(float (&sums)[4], const void *stage, int lane,
                                             const uint4 (&x)[BLOCKS], int) {
#pragma unroll
    for (int b = 0; b < BLOCKS; b++) {
      uint4 first = ((const uint4 *)stage)[place(lane / 4, 4 * b + lane % 4)];
      uint4 second = ((const uint4 *)stage)[place(lane / 4 + 8, 4 * b + lane % 4)];
      multiply_add(sums, {first.x, second.x, first.y, second.y}, x[b].x, x[b].y);
      multiply_add(sums, {first.z, second.z, first.w, second.w}, x[b].z, x[b].w);
    }
  }
};

// Codes of four or eight bits with numbers beside them, in units of one or two
// parts of four blocks of 32 columns. A unit has the lanes' words, then for each
// part, rows r and r + 8, r < 8, and each block the scales in half precision; and
// where there are two numbers to a block, as many again.
template <int BITS>
struct codes_of;
template <>
struct codes_of<4> {
  static constexpr int WORDS = 1, LIFT = 128;
  // Where the code of column k of a run is kept: columns 2i and 2i + 1 are
  // nibbles i and i + 4.
  static __device__ __forceinline__ int bit(int k) { return 4 * (k / 2) + 16 * (k % 2); }
  // Two neighbouring codes, each LIFT more, as bfloat16: 128 + code has the
  // bits of 128 or the code's.
  static __device__ __forceinline__ unsigned pair(const unsigned (&words)[1], int i) {
    return (words[0] >> 4 * i & 0x000f000fu) | 0x43004300u;
  }
};
template <>
struct codes_of<8> {
  static constexpr int WORDS = 2, LIFT = 0;
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

// What the second number of a block is.
enum { NONE, MINIMUM, SECOND_SCALE };

// Codes less ZERO, times scales.
template <int BITS, int ZERO, int BESIDE>
struct packed {
  using codes = codes_of<BITS>;
  static constexpr int WORDS = codes::WORDS, NUMBERS = BESIDE == NONE ? 1 : 2;
  static constexpr int BLOCKS = 4, PARTS = 2 / WORDS, COLUMNS = 32 * BLOCKS * PARTS;
  static constexpr int CODES = 2048, STAGE = CODES + 128 * PARTS * NUMBERS;
  static constexpr int STAGES = WORDS == 1 ? 2 : 3;
  // Columns that a lane's run has next to each other: two scales of a block
  // belong to its halves, and so do the steps of its products.
  static constexpr int RUN = BESIDE == SECOND_SCALE ? 4 : 8;
  // What is taken from the codes as they are multiplied.
  static constexpr int LIFT = codes::LIFT + ZERO;
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

  // What a lane has of a block of a unit's part.
  struct lane_block {
    unsigned words[2][WORDS];
    unsigned numbers[NUMBERS];

    __device__ __forceinline__ lane_block(uint4 bits, int b, const unsigned *beside, int lane) {
      if constexpr (WORDS == 1) {
        words[0][0] = b % 2 ? bits.z : bits.x, words[1][0] = b % 2 ? bits.w : bits.y;
      } else {
        words[0][0] = bits.x, words[0][1] = bits.y, words[1][0] = bits.z, words[1][1] = bits.w;
      }
#pragma unroll
      for (int i = 0; i < NUMBERS; i++) numbers[i] = beside[(8 * i + lane / 4) * BLOCKS + b];
    }
    __device__ __forceinline__ float number(int i, int second) const {
      return float_of_half((unsigned short)(numbers[i] >> 16 * second));
    }
    __device__ __forceinline__ unsigned pair(int second, int i) const {
      return codes::pair(words[second], i);
    }
    // The number at place k of the lane's run.
    __device__ __forceinline__ float at(int second, int k) const {
      unsigned bits = pair(second, k / 2);
      float code = widen((unsigned short)(k % 2 ? bits >> 16 : bits)) - (float)LIFT;
      if constexpr (BESIDE == SECOND_SCALE) return code * number(k / 4, second);
      return code * number(0, second) + (BESIDE == MINIMUM ? number(NUMBERS - 1, second) : 0);
    }
  };

  // Where the codes and the numbers of a part are.
  static __device__ __forceinline__ const uint4 *codes_at(const void *unit, int part) {
    return (const uint4 *)unit + part * (CODES / PARTS / 16);
  }
  static __device__ __forceinline__ const unsigned *numbers_at(const void *unit, int part) {
    return (const unsigned *)((const unsigned char *)unit + CODES) + part * 32 * NUMBERS;
  }
  static __device__ __forceinline__ void add(float (&sums)[4], const void *stage, int lane,
                                             const uint4 (&x)[BLOCKS], int part) {
    constexpr unsigned ONE = 0x3f803f80u;
    // −LIFT twice: 128 and 136 have eight bits.
    constexpr unsigned DOWN = LIFT == 128 ? 0xc300c300u : 0xc308c308u;
    static_assert(LIFT == 0 || LIFT == 128 || LIFT == 136, "a lift has its bits above");
    const unsigned *beside = numbers_at(stage, part);
    uint4 bits;
#pragma unroll
    for (int b = 0; b < BLOCKS; b++) {
      if (b * WORDS % 2 == 0) bits = codes_at(stage, part)[b * WORDS / 2 * 32 + lane];
      lane_block own(bits, b, beside, lane);
      float c[2][4] = {}, total[4] = {};
      if constexpr (LIFT != 0) {
        multiply_add(c[0], {DOWN, DOWN, DOWN, DOWN}, x[b].x, x[b].y);
        multiply_add(c[0], {DOWN, DOWN, DOWN, DOWN}, x[b].z, x[b].w);
      }
#pragma unroll
      for (int step = 0; step < 2; step++) {
        unsigned b0 = step ? x[b].z : x[b].x, b1 = step ? x[b].w : x[b].y;
        multiply_add(c[BESIDE == SECOND_SCALE ? step : 0],
                     {own.pair(0, 2 * step), own.pair(1, 2 * step), own.pair(0, 2 * step + 1),
                      own.pair(1, 2 * step + 1)},
                     b0, b1);
        if constexpr (BESIDE == MINIMUM) multiply_add(total, {ONE, ONE, ONE, ONE}, b0, b1);
      }
#pragma unroll
      for (int i = 0; i < 4; i++) {
        sums[i] += own.number(0, i / 2) * c[0][i];
        if constexpr (BESIDE == MINIMUM) sums[i] += own.number(1, i / 2) * total[i];
        if constexpr (BESIDE == SECOND_SCALE) sums[i] += own.number(1, i / 2) * c[1][i];
      }
    }
  }
};

// Codes from −8 on; codes from 0 on and what 0 stands for; bytes of both signs;
// bytes and what 0 stands for; bytes with a scale for each half of a block.
typedef packed<4, 8, NONE> nibbles;
typedef packed<4, 0, MINIMUM> nibbles_from;
typedef packed<8, 0, NONE> bytes;
typedef packed<8, 0, MINIMUM> bytes_from;
typedef packed<8, 0, SECOND_SCALE> bytes_of_halves;
