// SPDX-License-Identifier: Apache-2.0
// Dropout of low-rank updates: which numbers of a row are left out is a function
// of its sequence, its position and the column, as on the processor
// (CounterRandom).
#include "numbers.cuh"

typedef unsigned long long bits64;

__device__ __forceinline__ bits64 mixed(bits64 z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

__device__ __forceinline__ bits64 stream(bits64 key, bits64 step) {
  return mixed(mixed(key + 0x9E3779B97F4A7C15ull) ^ (step * 0xD1B54A32D192ED03ull));
}

__device__ __forceinline__ bits64 bits(bits64 state, bits64 offset) {
  return mixed(mixed(state + (offset + 1) * 0x9E3779B97F4A7C15ull) ^ state);
}

// With m the mask of a row, 0 or 1 / (1 - rate): out[i] = m in[rows[i]], or
// where it adds out[rows[i]] += m in[i]. No row may be there twice.
extern "C" __global__ void drop(int n, int width, const int *rows, const int *examples,
                                const int *positions, bits64 key, float rate, int adds,
                                const act *in, act *out) {
  float kept = 1.0f / (1.0f - rate);
  each_run<1>(n, width, [&](int i, int column) {
    bits64 sequence = bits(stream(key, (unsigned)examples[i]), (bits64)positions[i]);
    bits64 number = bits(stream(sequence, 0), (bits64)column) >> 40;
    float factor = (float)number * 0x1p-24f < rate ? 0.0f : kept;
    size_t near = (size_t)i * width + column, far = (size_t)rows[i] * width + column;
    float x[1], sum[1];
    load<1>(in + (adds ? near : far), x);
    x[0] *= factor;
    if (adds) {
      load<1>(out + far, sum);
      x[0] += sum[0];
    }
    store<1>(out + (adds ? far : near), x);
  });
}
