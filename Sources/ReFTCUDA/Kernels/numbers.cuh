// SPDX-License-Identifier: Apache-2.0
// The numbers of activations, their reading and writing in runs, and sums in a
// fixed order. With -DREFT_ACT=0 an activation is a float, with 1 a bfloat16,
// whose bits lie in an unsigned short.

#if REFT_ACT == 1
typedef unsigned short act;
#else
typedef float act;
#endif

__device__ __forceinline__ float widen(float x) {
  return x;
}
__device__ __forceinline__ float widen(unsigned short bits) {
  return __uint_as_float((unsigned)bits << 16);
}

// The bfloat16 next to a number; ties to even.
__device__ __forceinline__ unsigned short bfloat16_of(float x) {
#ifdef REFT_EMULATED
  unsigned bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return (unsigned short)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
#else
  unsigned short bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
#endif
}

// Two of them in one word, the first in the low half.
__device__ __forceinline__ unsigned bfloat16_pair(float first, float second) {
#ifdef REFT_EMULATED
  return (unsigned)bfloat16_of(first) | (unsigned)bfloat16_of(second) << 16;
#else
  unsigned bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
  return bits;
#endif
}

// The float of half-precision bits.
__device__ __forceinline__ float float_of_half(unsigned short bits) {
#ifdef REFT_EMULATED
  unsigned sign = (unsigned)(bits & 0x8000) << 16, rest = bits & 0x7fff;
  if (rest >= 0x7c00) return __uint_as_float(sign | 0x7f800000u | (rest & 0x3ff) << 13);
  return __uint_as_float(sign | __float_as_uint(__uint_as_float(rest << 13) * 0x1p112f));
#else
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
  return x;
#endif
}

// The half-precision number next to a float.
__device__ __forceinline__ unsigned short half_of(float x) {
#ifdef REFT_EMULATED
  return __builtin_bit_cast(unsigned short, (_Float16)x);
#else
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
#endif
}

// 2^x to within two units in the last place; results too small for normal
// floats are zero.
__device__ __forceinline__ float power_of_two(float x) {
#ifdef REFT_EMULATED
  return exp2f(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

__device__ __forceinline__ void narrow(float x, float &out) {
  out = x;
}
__device__ __forceinline__ void narrow(float x, unsigned short &out) {
  out = bfloat16_of(x);
}

// Runs of W neighbouring numbers: 8, at addresses that 16 divides, or 1,
// anywhere.
template <int W>
__device__ __forceinline__ void load(const float *from, float (&x)[W]) {
  if constexpr (W == 8) {
    float4 a = ((const float4 *)from)[0], b = ((const float4 *)from)[1];
    x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w, x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
  } else {
    x[0] = from[0];
  }
}
__device__ __forceinline__ void unpack(uint4 bits, float (&x)[8]) {
  x[0] = __uint_as_float(bits.x << 16), x[1] = __uint_as_float(bits.x & 0xffff0000u);
  x[2] = __uint_as_float(bits.y << 16), x[3] = __uint_as_float(bits.y & 0xffff0000u);
  x[4] = __uint_as_float(bits.z << 16), x[5] = __uint_as_float(bits.z & 0xffff0000u);
  x[6] = __uint_as_float(bits.w << 16), x[7] = __uint_as_float(bits.w & 0xffff0000u);
}
template <int W>
__device__ __forceinline__ void load(const unsigned short *from, float (&x)[W]) {
  if constexpr (W == 8) {
    unpack(*(const uint4 *)from, x);
  } else {
    x[0] = widen(from[0]);
  }
}
template <int W>
__device__ __forceinline__ void store(float *to, const float (&x)[W]) {
  if constexpr (W == 8) {
    ((float4 *)to)[0] = make_float4(x[0], x[1], x[2], x[3]);
    ((float4 *)to)[1] = make_float4(x[4], x[5], x[6], x[7]);
  } else {
    to[0] = x[0];
  }
}
template <int W>
__device__ __forceinline__ void store(unsigned short *to, const float (&x)[W]) {
  if constexpr (W == 8) {
    *(uint4 *)to = make_uint4(bfloat16_pair(x[0], x[1]), bfloat16_pair(x[2], x[3]),
                              bfloat16_pair(x[4], x[5]), bfloat16_pair(x[6], x[7]));
  } else {
    to[0] = bfloat16_of(x[0]);
  }
}

// A run's width as a value that a generic body is told.
template <int W>
struct run {
  static constexpr int value = W;
};

template <class F>
__device__ __forceinline__ void in_runs(bool of_eight, F body) {
  if (of_eight) {
    body(run<8>());
  } else {
    body(run<1>());
  }
}

// Whether runs of eight can be read there.
__device__ __forceinline__ bool wide(const void *p) {
  return ((size_t)p & 15) == 0;
}

// f(row, column) for each run of W numbers of a [rows, width] matrix, by all
// threads of the grid.
template <int W, class F>
__device__ __forceinline__ void each_run(int rows, int width, F f) {
  unsigned of_row = (unsigned)width / W, total = (unsigned)rows * of_row;
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < total; i += gridDim.x * blockDim.x) {
    unsigned row = i / of_row;
    f((int)row, (int)((i - row * of_row) * W));
  }
}

// Sums over a warp; every lane gets the same bits.
__device__ __forceinline__ float warp_sum(float x) {
  for (int with = 16; with > 0; with >>= 1) x += __shfl_xor_sync(0xffffffffu, x, with);
  return x;
}
__device__ __forceinline__ float warp_max(float x) {
  for (int with = 16; with > 0; with >>= 1) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, with));
  }
  return x;
}

// Sums over a block of whole warps, through 32 floats of shared memory; every
// thread gets the same bits.
__device__ __forceinline__ float block_sum(float x, float *parts) {
  x = warp_sum(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = parts[0];
  for (int w = 1; w < (int)blockDim.x / 32; w++) sum += parts[w];
  return sum;
}
__device__ __forceinline__ float block_max(float x, float *parts) {
  x = warp_max(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  float most = parts[0];
  for (int w = 1; w < (int)blockDim.x / 32; w++) most = fmaxf(most, parts[w]);
  return most;
}
