/* SPDX-License-Identifier: Apache-2.0
 * AVX-512, VNNI, BF16 and AMX on a processor that has AVX2 alone. Included before each file of the
 * kernels (-include), it makes the intrinsics functions: SIMDe's, and where SIMDe has none the
 * loops below, after Intel's "Intrinsics Guide" and "Software Developer's Manual", volume 2. The
 * kernels' own text is compiled as it stands, and dispatch is told that the processor has it all.
 */
#ifndef REFT_AVX512_EMULATOR_H
#define REFT_AVX512_EMULATOR_H
#define _GNU_SOURCE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <cpuid.h>
#include <math.h>
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Functions that ask for AVX-512 are compiled for AVX2. */
#define target(...) target("avx2,fma,f16c")

#define EMULATED static inline __attribute__((unused))

/* What dispatch asks: the processor's features, and the system's leave to use tiles. */
#define __builtin_cpu_supports(feature) 1
#undef __get_cpuid_count
#define __get_cpuid_count(leaf, part, a, b, c, d) (*(a) = *(b) = *(c) = *(d) = ~0u, 1)

EMULATED long emulated_syscall(long number, long request, long feature) {
  return number == SYS_arch_prctl && request == 0x1023 && feature == 18 ? 0 : -1;
}
#define syscall emulated_syscall

EMULATED __m512 emulated_cvtepi32_ps(__m512i x) {
  int32_t in[16];
  float out[16];
  memcpy(in, &x, 64);
  for (int i = 0; i < 16; i++) out[i] = (float)in[i];
  return _mm512_loadu_ps(out);
}
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps

EMULATED __m512i emulated_cvtepu16_epi32(__m256i x) {
  uint16_t in[16];
  uint32_t out[16];
  memcpy(in, &x, 32);
  for (int i = 0; i < 16; i++) out[i] = in[i];
  return _mm512_loadu_si512(out);
}
#define _mm512_cvtepu16_epi32 emulated_cvtepu16_epi32

EMULATED __m512i emulated_srai_epi32(__m512i x, unsigned count) {
  int32_t in[16];
  memcpy(in, &x, 64);
  for (int i = 0; i < 16; i++) in[i] >>= count;
  return _mm512_loadu_si512(in);
}
#define _mm512_srai_epi32 emulated_srai_epi32

EMULATED __m512 emulated_cvtph_ps(__m256i x) {
  float out[16];
  _mm256_storeu_ps(out, _mm256_cvtph_ps(_mm256_extracti128_si256(x, 0)));
  _mm256_storeu_ps(out + 8, _mm256_cvtph_ps(_mm256_extracti128_si256(x, 1)));
  return _mm512_loadu_ps(out);
}
#define _mm512_cvtph_ps emulated_cvtph_ps

EMULATED __m512 emulated_maskz_loadu_ps(__mmask16 mask, const void* p) {
  float out[16] = {0};
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) memcpy(&out[i], (const float*)p + i, 4);
  return _mm512_loadu_ps(out);
}
#define _mm512_maskz_loadu_ps emulated_maskz_loadu_ps

EMULATED void emulated_mask_storeu_ps(void* p, __mmask16 mask, __m512 x) {
  float in[16];
  _mm512_storeu_ps(in, x);
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) memcpy((float*)p + i, &in[i], 4);
}
#define _mm512_mask_storeu_ps emulated_mask_storeu_ps

/* In the order of clang's: halves onto each other, 16 to 8 to 4 to 2 to 1. */
EMULATED float emulated_reduce_add_ps(__m512 x) {
  float in[16];
  _mm512_storeu_ps(in, x);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) in[i] += in[i + half];
  return in[0];
}
#define _mm512_reduce_add_ps emulated_reduce_add_ps

EMULATED float emulated_reduce_max_ps(__m512 x) {
  float in[16];
  _mm512_storeu_ps(in, x);
  for (int i = 1; i < 16; i++) in[0] = in[i] > in[0] ? in[i] : in[0];
  return in[0];
}
#define _mm512_reduce_max_ps emulated_reduce_max_ps

/* The nearest bfloat16, even among two; numbers too small for full precision are zero. */
EMULATED uint16_t emulated_bfloat16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if ((bits & 0x7f800000u) == 0) return (uint16_t)(bits >> 16 & 0x8000u);
  if (x != x) return (uint16_t)(bits >> 16 | 0x40u);
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

EMULATED __m512i emulated_cvtne2ps_pbh(__m512 upper, __m512 lower) {
  float in[32];
  uint16_t out[32];
  _mm512_storeu_ps(in, lower);
  _mm512_storeu_ps(in + 16, upper);
  for (int i = 0; i < 32; i++) out[i] = emulated_bfloat16(in[i]);
  return _mm512_loadu_si512(out);
}
#define _mm512_cvtne2ps_pbh emulated_cvtne2ps_pbh

/* The eight tiles of a thread, as _tile_loadconfig shapes them. */
typedef struct emulated_tiles {
  uint16_t bytes[8];
  uint8_t rows[8], is_on;
  uint8_t at[8][16][64];
} emulated_tiles_t;

static _Thread_local __attribute__((unused)) emulated_tiles_t emulated;

/* A fault of the processor: the instruction would not run with tiles of such shapes. */
EMULATED void emulated_fault(int is_right) {
  if (!is_right) __builtin_trap();
}

EMULATED void emulated_tile_loadconfig(const void* memory) {
  const uint8_t* from = memory;
  emulated_fault(from[0] == 1);
  memset(&emulated, 0, sizeof emulated);
  emulated.is_on = 1;
  for (int tile = 0; tile < 8; tile++) {
    memcpy(&emulated.bytes[tile], from + 16 + 2 * tile, 2);
    emulated.rows[tile] = from[48 + tile];
    emulated_fault(emulated.bytes[tile] <= 64 && emulated.rows[tile] <= 16);
    emulated_fault((emulated.bytes[tile] == 0) == (emulated.rows[tile] == 0));
  }
}

EMULATED void emulated_tile_release(void) {
  memset(&emulated, 0, sizeof emulated);
}

EMULATED void emulated_tile_zero(int tile) {
  emulated_fault(emulated.is_on && emulated.rows[tile] > 0);
  memset(emulated.at[tile], 0, sizeof emulated.at[tile]);
}

EMULATED void emulated_tile_loadd(int tile, const void* base, size_t stride) {
  emulated_tile_zero(tile);
  for (int row = 0; row < emulated.rows[tile]; row++)
    memcpy(emulated.at[tile][row], (const uint8_t*)base + row * stride, emulated.bytes[tile]);
}

EMULATED void emulated_tile_stored(int tile, void* base, size_t stride) {
  emulated_fault(emulated.is_on && emulated.rows[tile] > 0);
  for (int row = 0; row < emulated.rows[tile]; row++)
    memcpy((uint8_t*)base + row * stride, emulated.at[tile][row], emulated.bytes[tile]);
}

/* Sums (M, N) take products of (M, K) and (K, N), K in groups of four bytes. */
EMULATED void emulated_tile_shapes(int sums, int a, int b) {
  emulated_fault(emulated.is_on && sums != a && sums != b && a != b);
  emulated_fault(emulated.rows[sums] > 0 && emulated.rows[sums] == emulated.rows[a]);
  emulated_fault(emulated.bytes[sums] == emulated.bytes[b]);
  emulated_fault(emulated.bytes[a] == 4 * emulated.rows[b]);
}

EMULATED void emulated_tile_dpbssd(int sums, int a, int b) {
  emulated_tile_shapes(sums, a, b);
  for (int m = 0; m < emulated.rows[sums]; m++)
    for (int n = 0; n < emulated.bytes[sums] / 4; n++) {
      int32_t sum;
      memcpy(&sum, &emulated.at[sums][m][4 * n], 4);
      for (int k = 0; k < emulated.bytes[a]; k++)
        sum += (int8_t)emulated.at[a][m][k] * (int8_t)emulated.at[b][k / 4][4 * n + k % 4];
      memcpy(&emulated.at[sums][m][4 * n], &sum, 4);
    }
}

EMULATED float emulated_bfloat16_at(const uint8_t* p) {
  uint16_t half;
  memcpy(&half, p, 2);
  uint32_t bits = (uint32_t)half << 16;
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

/* Even and odd K are summed apart, then both are added to what was there. */
EMULATED void emulated_tile_dpbf16ps(int sums, int a, int b) {
  emulated_tile_shapes(sums, a, b);
  for (int m = 0; m < emulated.rows[sums]; m++)
    for (int n = 0; n < emulated.bytes[sums] / 4; n++) {
      float parts[2] = {0, 0}, sum;
      for (int k = 0; k < emulated.bytes[a] / 2; k++)
        parts[k % 2] =
            fmaf(emulated_bfloat16_at(&emulated.at[a][m][2 * k]),
                 emulated_bfloat16_at(&emulated.at[b][k / 2][4 * n + 2 * (k % 2)]), parts[k % 2]);
      memcpy(&sum, &emulated.at[sums][m][4 * n], 4);
      sum += parts[0] + parts[1];
      memcpy(&emulated.at[sums][m][4 * n], &sum, 4);
    }
}

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbssd
#undef _tile_dpbf16ps
#define _tile_loadconfig emulated_tile_loadconfig
#define _tile_release emulated_tile_release
#define _tile_zero emulated_tile_zero
#define _tile_loadd emulated_tile_loadd
#define _tile_stored emulated_tile_stored
#define _tile_dpbssd emulated_tile_dpbssd
#define _tile_dpbf16ps emulated_tile_dpbf16ps
#define _m_prefetchw(p) __builtin_prefetch(p, 1)

#endif
