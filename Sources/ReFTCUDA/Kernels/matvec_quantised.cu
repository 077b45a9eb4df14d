// SPDX-License-Identifier: Apache-2.0
// y[N, rows] (+)= x[N, cols] Wᵀ (+ bias) where W lies in blocks of 32 codes, repacked so that a
// thread finds four rows' codes of eight columns side by side. `cols` is a multiple of 32.
//
// Repacked: for each four rows (the last filled up with zeros) and each eight columns four words of
// eight nibbles, column 0 lowest, or four pairs of words of eight bytes; behind all of these, for
// each four rows and each 32 columns four scales in half precision, and for Q4_1 four minima.
#include "blocks.cuh"
#include "matvec.cuh"
#include "numbers.cuh"

// A format: the blocks it comes from, words of a run of eight codes, what is taken off each code,
// numbers beside the codes of four blocks, and the code at a place of a block.
struct packed_q4_0 {
  static constexpr int WORDS = 1, OFFSET = 8, SCALES = 4, BLOCK = q4_0::BYTES;
  static __device__ __forceinline__ unsigned code(const unsigned char *block, int j) {
    return (unsigned)nibble_at(block + 2, j);
  }
};
struct packed_q4_1 {
  static constexpr int WORDS = 1, OFFSET = 0, SCALES = 8, BLOCK = q4_1::BYTES;
  static __device__ __forceinline__ unsigned code(const unsigned char *block, int j) {
    return (unsigned)nibble_at(block + 4, j);
  }
};
struct packed_q8_0 {
  static constexpr int WORDS = 2, OFFSET = 128, SCALES = 4, BLOCK = q8_0::BYTES;
  // Without a sign.
  static __device__ __forceinline__ unsigned code(const unsigned char *block, int j) {
    return (unsigned)((int)(signed char)block[2 + j] + OFFSET);
  }
};

// Where the parts of a repacked matrix are.
template <class P>
struct packed_matrix {
  unsigned *codes;
  unsigned short *scales;
  int runs;

  __device__ __forceinline__ packed_matrix(void *w, int rows, int cols) {
    codes = (unsigned *)w;
    runs = cols / 8;
    scales = (unsigned short *)(codes + (size_t)(rows + 3) / 4 * runs * 4 * P::WORDS);
  }
  __device__ __forceinline__ unsigned *code(int four, int run) const {
    return codes + ((size_t)four * runs + run) * 4 * P::WORDS;
  }
  __device__ __forceinline__ unsigned short *scale(int four, int run) const {
    return scales + ((size_t)four * (runs / 4) + run / 4) * P::SCALES;
  }
};

// Eight codes as numbers: 2^23 + code has the bits of 2^23 or the code's.
template <class P>
__device__ __forceinline__ void code_numbers(const unsigned (&words)[P::WORDS], float (&x)[8]) {
#pragma unroll
  for (int k = 0; k < 8; k++) {
    unsigned bits;
    if constexpr (P::WORDS == 1) {
      bits = 0x4b000000u | (words[0] >> 4 * k & 15);
    } else {
      bits = __byte_perm(words[k / 4], 0x4b000000u, 0x7440u | (unsigned)(k % 4));
    }
    x[k] = __uint_as_float(bits) - (8388608.0f + P::OFFSET);
  }
}

// A thread's repacked run of four rows.
template <class P>
struct packed_run {
  unsigned words[4][P::WORDS];
  float scale[4], minimum[4];

  __device__ __forceinline__ packed_run(const packed_matrix<P> &w, int four, int run) {
    const uint4 *from = (const uint4 *)w.code(four, run);
#pragma unroll
    for (int i = 0; i < P::WORDS; i++) {
      uint4 bits = from[i];
      unsigned all[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
      for (int k = 0; k < 4; k++) words[(4 * i + k) / P::WORDS][k % P::WORDS] = all[k];
    }
    const unsigned short *s = w.scale(four, run);
    ushort4 d = *(const ushort4 *)s;
    scale[0] = float_of_half(d.x), scale[1] = float_of_half(d.y);
    scale[2] = float_of_half(d.z), scale[3] = float_of_half(d.w);
    minimum[0] = minimum[1] = minimum[2] = minimum[3] = 0;
    if constexpr (P::SCALES == 8) {
      ushort4 m = *(const ushort4 *)(s + 4);
      minimum[0] = float_of_half(m.x), minimum[1] = float_of_half(m.y);
      minimum[2] = float_of_half(m.z), minimum[3] = float_of_half(m.w);
    }
  }
};

template <class P, class T>
__device__ __forceinline__ void matvec(int rows, int cols, const void *weights, const act *x,
                                       const float *bias, int accumulate, T *y) {
  packed_matrix<P> w((void *)weights, rows, cols);
  int four = blockIdx.x;
  float sums[ROWS][N] = {};
#pragma unroll 2
  for (int run = threadIdx.x; run < w.runs; run += THREADS) {
    packed_run<P> own(w, four, run);
    float b[N][8], total[N];
#pragma unroll
    for (int n = 0; n < N; n++) {
      if (wide(x)) {
        load<8>(x + (size_t)n * cols + 8 * run, b[n]);
      } else {
        for (int k = 0; k < 8; k++) b[n][k] = widen(x[(size_t)n * cols + 8 * run + k]);
      }
      total[n] = 0;
#pragma unroll
      for (int k = 0; k < 8; k++) total[n] += b[n][k];
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      float a[8];
      code_numbers<P>(own.words[r], a);
#pragma unroll
      for (int n = 0; n < N; n++) {
        float product = 0;
#pragma unroll
        for (int k = 0; k < 8; k++) product += a[k] * b[n][k];
        sums[r][n] += own.scale[r] * product;
        if constexpr (P::SCALES == 8) sums[r][n] += own.minimum[r] * total[n];
      }
    }
  }
  finish(rows, four * ROWS, sums, bias, accumulate, y);
}

// Repacks rows of blocks; a thread a run of one row.
template <class P>
__device__ __forceinline__ void repack(int rows, int cols, const unsigned char *blocks,
                                       void *packed) {
  packed_matrix<P> w(packed, rows, cols);
  each_run<1>((rows + 3) / 4 * 4, w.runs, [&](int row, int run) {
    bool is_there = row < rows;
    const unsigned char *block =
        blocks + ((size_t)(is_there ? row : 0) * (w.runs / 4) + run / 4) * P::BLOCK;
    for (int i = 0; i < P::WORDS; i++) {
      const int codes = 8 / P::WORDS;
      unsigned word = 0;
      for (int k = 0; k < codes; k++) {
        word |= P::code(block, run % 4 * 8 + i * codes + k) << 32 / codes * k;
      }
      w.code(row / 4, run)[row % 4 * P::WORDS + i] = is_there ? word : 0;
    }
    if (run % 4 != 0) return;
    for (int i = 0; i < P::SCALES / 4; i++) {
      unsigned bits = block[2 * i] | (unsigned)block[2 * i + 1] << 8;
      w.scale(row / 4, run)[4 * i + row % 4] = (unsigned short)(is_there ? bits : 0);
    }
  });
}

// The repacked matrix as activations, [rows, cols]; a thread a run of four rows.
template <class P>
__device__ __forceinline__ void unpack_matrix(int rows, int cols, const void *packed, act *out) {
  packed_matrix<P> w((void *)packed, rows, cols);
  each_run<1>((rows + 3) / 4, w.runs, [&](int four, int run) {
    packed_run<P> own(w, four, run);
    for (int r = 0; r < ROWS && 4 * four + r < rows; r++) {
      float x[8];
      code_numbers<P>(own.words[r], x);
      for (int k = 0; k < 8; k++) x[k] = x[k] * own.scale[r] + own.minimum[r];
      act *to = out + (size_t)(4 * four + r) * cols + 8 * run;
      if (wide(out)) {
        store<8>(to, x);
      } else {
        for (int k = 0; k < 8; k++) narrow(x[k], to[k]);
      }
    }
  });
}

extern "C" __global__ void __launch_bounds__(128)
    matvec_q4_0(int rows, int cols, const void *w, const act *x, const float *bias, int accumulate,
                float *y) {
  matvec<packed_q4_0>(rows, cols, w, x, bias, accumulate, y);
}
extern "C" __global__ void __launch_bounds__(128)
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

extern "C" __global__ void __launch_bounds__(128)
    matvec_q4_1(int rows, int cols, const void *w, const act *x, const float *bias, int accumulate,
                float *y) {
  matvec<packed_q4_1>(rows, cols, w, x, bias, accumulate, y);
}
extern "C" __global__ void __launch_bounds__(128)
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

extern "C" __global__ void __launch_bounds__(128)
    matvec_q8_0(int rows, int cols, const void *w, const act *x, const float *bias, int accumulate,
                float *y) {
  matvec<packed_q8_0>(rows, cols, w, x, bias, accumulate, y);
}
extern "C" __global__ void __launch_bounds__(128)
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
