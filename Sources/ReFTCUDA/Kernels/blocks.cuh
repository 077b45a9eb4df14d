// SPDX-License-Identifier: Apache-2.0
// GGUF's blocks of numbers, as ggml defines them: which number stands at a
// place of a block. All fields are bytes, since blocks lie at odd addresses.
#include "numbers.cuh"

__device__ __forceinline__ float half_at(const unsigned char *p) {
  return float_of_half((unsigned short)(p[0] | p[1] << 8));
}

// 32 numbers: d, then codes; the low halves of 16 bytes are numbers 0 … 15, the
// high ones 16 … 31.
__device__ __forceinline__ int nibble_at(const unsigned char *codes, int j) {
  return j < 16 ? codes[j] & 15 : codes[j - 16] >> 4;
}

struct q4_0 {
  static constexpr int SIZE = 32, BYTES = 18;
  static __device__ __forceinline__ float at(const unsigned char *b, int j) {
    return (float)(nibble_at(b + 2, j) - 8) * half_at(b);
  }
};
struct q4_1 {
  static constexpr int SIZE = 32, BYTES = 20;
  static __device__ __forceinline__ float at(const unsigned char *b, int j) {
    return (float)nibble_at(b + 4, j) * half_at(b) + half_at(b + 2);
  }
};
struct q5_0 {
  static constexpr int SIZE = 32, BYTES = 22;
  static __device__ __forceinline__ int code(const unsigned char *b, int j) {
    int fifth = (b[2 + j / 8] >> j % 8 & 1) << 4;
    return (nibble_at(b + 6, j) | fifth) - 16;
  }
  static __device__ __forceinline__ float at(const unsigned char *b, int j) {
    return (float)code(b, j) * half_at(b);
  }
};
struct q5_1 {
  static constexpr int SIZE = 32, BYTES = 24;
  static __device__ __forceinline__ int code(const unsigned char *b, int j) {
    int fifth = (b[4 + j / 8] >> j % 8 & 1) << 4;
    return nibble_at(b + 8, j) | fifth;
  }
  static __device__ __forceinline__ float at(const unsigned char *b, int j) {
    return (float)code(b, j) * half_at(b) + half_at(b + 2);
  }
};
struct q8_0 {
  static constexpr int SIZE = 32, BYTES = 34;
  static __device__ __forceinline__ float at(const unsigned char *b, int j) {
    return (float)(signed char)b[2 + j] * half_at(b);
  }
};

// The 6-bit scale and minimum of sub-block s of 32 numbers.
__device__ __forceinline__ void k4_scale(const unsigned char *q, int s, int &scale, int &minimum) {
  if (s < 4) {
    scale = q[s] & 63;
    minimum = q[s + 4] & 63;
  } else {
    scale = (q[s + 4] & 15) | q[s - 4] >> 6 << 4;
    minimum = q[s + 4] >> 4 | q[s] >> 6 << 4;
  }
}
struct q4_k {
  static constexpr int SIZE = 256, BYTES = 144;
  static __device__ __forceinline__ int code(const unsigned char *b, int j) {
    int s = j / 32;
    return b[16 + s / 2 * 32 + j % 32] >> 4 * (s % 2) & 15;
  }
  static __device__ __forceinline__ float at(const unsigned char *b, int j) {
    int scale, minimum;
    k4_scale(b + 4, j / 32, scale, minimum);
    return half_at(b) * (float)scale * (float)code(b, j) - half_at(b + 2) * (float)minimum;
  }
};
struct q5_k {
  static constexpr int SIZE = 256, BYTES = 176;
  static __device__ __forceinline__ int code(const unsigned char *b, int j) {
    int s = j / 32, low = b[48 + s / 2 * 32 + j % 32] >> 4 * (s % 2) & 15;
    return low | (b[16 + j % 32] >> s & 1) << 4;
  }
  static __device__ __forceinline__ float at(const unsigned char *b, int j) {
    int scale, minimum;
    k4_scale(b + 4, j / 32, scale, minimum);
    return half_at(b) * (float)scale * (float)code(b, j) - half_at(b + 2) * (float)minimum;
  }
};
struct q6_k {
  static constexpr int SIZE = 256, BYTES = 210;
  static __device__ __forceinline__ int code(const unsigned char *b, int j) {
    int half = j / 128, quarter = j % 128 / 32, i = j % 32;
    int low = b[half * 64 + quarter % 2 * 32 + i] >> 4 * (quarter / 2) & 15;
    int high = b[128 + half * 32 + i] >> 2 * quarter & 3;
    return (low | high << 4) - 32;
  }
  static __device__ __forceinline__ float at(const unsigned char *b, int j) {
    int scale = (signed char)b[192 + j / 16];
    return half_at(b + 208) * (float)scale * (float)code(b, j);
  }
};
struct f16 {
  static constexpr int SIZE = 8, BYTES = 16;
  static __device__ __forceinline__ float at(const unsigned char *b, int j) {
    return half_at(b + 2 * j);
  }
};
struct bf16 {
  static constexpr int SIZE = 8, BYTES = 16;
  static __device__ __forceinline__ float at(const unsigned char *b, int j) {
    return __uint_as_float((unsigned)(b[2 * j] | b[2 * j + 1] << 8) << 16);
  }
};
struct f32 {
  static constexpr int SIZE = 8, BYTES = 32;
  static __device__ __forceinline__ float at(const unsigned char *b, int j) {
    const unsigned char *p = b + 4 * j;
    return __uint_as_float(p[0] | p[1] << 8 | p[2] << 16 | (unsigned)p[3] << 24);
  }
};
