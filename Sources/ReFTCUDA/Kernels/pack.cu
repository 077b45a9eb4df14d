// SPDX-License-Identifier: Apache-2.0
// A file's blocks in the order in which products read them, and back to
// activations. What a format's scales and minima multiply out to is kept in
// half precision.
#include "packed.cuh"

__device__ __forceinline__ unsigned short half_bits(const unsigned char *p) {
  return (unsigned short)(p[0] | p[1] << 8);
}

// What a file's format becomes: the code of number j of a block, and number i
// beside the 32 from j on.
struct of_q4_0 {
  typedef q4_0 file;
  typedef nibbles kept;
  // Less 8, in four bits with a sign.
  static __device__ unsigned code(const unsigned char *b, int j) { return nibble_at(b + 2, j) ^ 8; }
  static __device__ unsigned short number(const unsigned char *b, int, int) { return half_bits(b); }
};
struct of_q4_1 {
  typedef q4_1 file;
  typedef nibbles_from kept;
  static __device__ unsigned code(const unsigned char *b, int j) { return nibble_at(b + 4, j); }
  static __device__ unsigned short number(const unsigned char *b, int, int i) {
    return half_bits(b + 2 * i);
  }
};
struct of_q5_0 {
  typedef q5_0 file;
  typedef bytes kept;
  static __device__ unsigned code(const unsigned char *b, int j) { return q5_0::code(b, j) & 255; }
  static __device__ unsigned short number(const unsigned char *b, int, int) { return half_bits(b); }
};
struct of_q5_1 {
  typedef q5_1 file;
  typedef bytes_from kept;
  static __device__ unsigned code(const unsigned char *b, int j) { return q5_1::code(b, j); }
  static __device__ unsigned short number(const unsigned char *b, int, int i) {
    return half_bits(b + 2 * i);
  }
};
struct of_q8_0 {
  typedef q8_0 file;
  typedef bytes kept;
  static __device__ unsigned code(const unsigned char *b, int j) { return b[2 + j]; }
  static __device__ unsigned short number(const unsigned char *b, int, int) { return half_bits(b); }
};
// Scale and minimum of the 32 numbers from j on.
__device__ __forceinline__ unsigned short k_number(const unsigned char *b, int j, int i) {
  int scale, minimum;
  k4_scale(b + 4, j / 32, scale, minimum);
  return half_of(i == 0 ? half_at(b) * (float)scale : -half_at(b + 2) * (float)minimum);
}
struct of_q4_k {
  typedef q4_k file;
  typedef nibbles_from kept;
  static __device__ unsigned code(const unsigned char *b, int j) { return q4_k::code(b, j); }
  static __device__ unsigned short number(const unsigned char *b, int j, int i) {
    return k_number(b, j, i);
  }
};
struct of_q5_k {
  typedef q5_k file;
  typedef bytes_from kept;
  static __device__ unsigned code(const unsigned char *b, int j) { return q5_k::code(b, j); }
  static __device__ unsigned short number(const unsigned char *b, int j, int i) {
    return k_number(b, j, i);
  }
};
struct of_q6_k {
  typedef q6_k file;
  typedef bytes_of_halves kept;
  static __device__ unsigned code(const unsigned char *b, int j) { return q6_k::code(b, j) & 255; }
  static __device__ unsigned short number(const unsigned char *b, int j, int i) {
    return half_of(half_at(b + 208) * (float)(signed char)b[192 + j / 16 + i]);
  }
};

// Where the number at place k of a lane's run is in its block of 32.
template <class P>
__device__ __forceinline__ int place_of(int lane, int k) {
  return P::RUN == 8 ? lane % 4 * 8 + k : k / 4 * 16 + lane % 4 * 4 + k % 4;
}

__device__ __forceinline__ int tiles_of(int rows, int half) {
  return half ? half / 8 : (rows + 15) / 16;
}

// A thread a run of eight codes.
template <class F>
__device__ __forceinline__ void pack(int rows, int cols, int half, const unsigned char *blocks,
                                     void *to) {
  typedef typename F::kept P;
  P w(to, cols, half);
  each_run<1>(tiles_of(rows, half) * 16, w.units * P::COLUMNS / 8, [&](int of, int run) {
    int tile = of / 16, r = of % 16, lane = r % 8 * 4 + run % 4, second = r / 8;
    int unit = run / (P::COLUMNS / 8), part = run / 16 % P::PARTS, b = run / 4 % P::BLOCKS;
    int row = row_of(tile, r, half), column = run / 4 * 32;
    bool is_there = row < rows && column < cols;
    size_t at = is_there ? (size_t)row * cols + column : 0;
    const unsigned char *from = blocks + at / F::file::SIZE * F::file::BYTES;
    int first = (int)(at % F::file::SIZE);
    unsigned words[P::WORDS] = {};
    for (int k = 0; k < 8 && is_there; k++) {
      int bit = P::codes::bit(k);
      words[bit / 32] |= F::code(from, first + place_of<P>(lane, k)) << bit % 32;
    }
    unsigned *codes =
        (unsigned *)(P::codes_at(w.unit_at(tile, unit), part) + (b * P::WORDS / 2 * 32 + lane));
    codes += P::WORDS == 1 ? b % 2 * 2 + second : second * 2;
    for (int i = 0; i < P::WORDS; i++) codes[i] = words[i];
    if (run % 4 != 0) return;
    unsigned short *numbers = (unsigned short *)P::numbers_at(w.unit_at(tile, unit), part);
    for (int i = 0; i < P::NUMBERS; i++) {
      numbers[((8 * i + r % 8) * P::BLOCKS + b) * 2 + second] =
          is_there ? F::number(from, first, i) : (unsigned short)0;
    }
  });
}

// [rows, cols]; a thread what a lane would multiply.
template <class P>
__device__ __forceinline__ void unpack_matrix(int rows, int cols, int half, const void *from,
                                              act *out) {
  P w(from, cols, half);
  int blocks = w.units * P::COLUMNS / 32;
  each_run<1>(tiles_of(rows, half) * blocks, 32, [&](int of, int lane) {
    int tile = of / blocks, block = of % blocks, column = block * 32, b = block % P::BLOCKS;
    if (column >= cols) return;
    typename P::lane_part own(w.unit_at(tile, column / P::COLUMNS), block / P::BLOCKS % P::PARTS,
                              lane);
    for (int second = 0; second < 2; second++) {
      int row = row_of(tile, lane / 4 + 8 * second, half);
      if (row >= rows) continue;
      act *to = out + (size_t)row * cols + column;
      float x[8];
      for (int k = 0; k < 8; k++) x[k] = own.at(b, second, k);
      if (P::RUN == 8 && wide(out)) {
        store<8>(to + place_of<P>(lane, 0), x);
      } else {
        for (int k = 0; k < 8; k++) narrow(x[k], to[place_of<P>(lane, k)]);
      }
    }
  });
}

extern "C" __global__ void pack_q4_0(int rows, int cols, int half, const unsigned char *blocks,
                                     void *to) {
  pack<of_q4_0>(rows, cols, half, blocks, to);
}
extern "C" __global__ void pack_q4_1(int rows, int cols, int half, const unsigned char *blocks,
                                     void *to) {
  pack<of_q4_1>(rows, cols, half, blocks, to);
}
extern "C" __global__ void pack_q5_0(int rows, int cols, int half, const unsigned char *blocks,
                                     void *to) {
  pack<of_q5_0>(rows, cols, half, blocks, to);
}
extern "C" __global__ void pack_q5_1(int rows, int cols, int half, const unsigned char *blocks,
                                     void *to) {
  pack<of_q5_1>(rows, cols, half, blocks, to);
}
extern "C" __global__ void pack_q8_0(int rows, int cols, int half, const unsigned char *blocks,
                                     void *to) {
  pack<of_q8_0>(rows, cols, half, blocks, to);
}
extern "C" __global__ void pack_q4_k(int rows, int cols, int half, const unsigned char *blocks,
                                     void *to) {
  pack<of_q4_k>(rows, cols, half, blocks, to);
}
extern "C" __global__ void pack_q5_k(int rows, int cols, int half, const unsigned char *blocks,
                                     void *to) {
  pack<of_q5_k>(rows, cols, half, blocks, to);
}
extern "C" __global__ void pack_q6_k(int rows, int cols, int half, const unsigned char *blocks,
                                     void *to) {
  pack<of_q6_k>(rows, cols, half, blocks, to);
}

extern "C" __global__ void unpack_nibbles(int rows, int cols, int half, const void *from,
                                          act *out) {
  unpack_matrix<nibbles>(rows, cols, half, from, out);
}
extern "C" __global__ void unpack_nibbles_from(int rows, int cols, int half, const void *from,
                                               act *out) {
  unpack_matrix<nibbles_from>(rows, cols, half, from, out);
}
extern "C" __global__ void unpack_bytes(int rows, int cols, int half, const void *from, act *out) {
  unpack_matrix<bytes>(rows, cols, half, from, out);
}
extern "C" __global__ void unpack_bytes_from(int rows, int cols, int half, const void *from,
                                             act *out) {
  unpack_matrix<bytes_from>(rows, cols, half, from, out);
}
extern "C" __global__ void unpack_bytes_of_halves(int rows, int cols, int half, const void *from,
                                                  act *out) {
  unpack_matrix<bytes_of_halves>(rows, cols, half, from, out);
}
