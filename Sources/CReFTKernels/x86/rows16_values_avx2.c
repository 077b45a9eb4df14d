// SPDX-License-Identifier: Apache-2.0
// Sixteen interleaved rows as floats, a column at a time: a lane is a row, so nothing is
// transposed.
#if defined(__x86_64__)
#include <immintrin.h>

#include "../ref/rows16_layout.h"
#include "reft_decode.h"
#include "x86_kernels.h"

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define UNROLL _Pragma("clang loop unroll(full)")

TARGET static inline __m256 halves_at(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p));
}

/* Four columns of eight rows, whose nibbles stand at bits `shift` and up of each byte of v. */
TARGET static inline void nibbles(__m256i v, int shift, __m256 d, __m256 m, float* out) {
  UNROLL for (int t = 0; t < 4; t++) {
    __m256i q = _mm256_and_si256(_mm256_srli_epi32(v, 8 * t + shift), _mm256_set1_epi32(15));
    _mm256_storeu_ps(out + 16 * t, _mm256_fmadd_ps(_mm256_cvtepi32_ps(q), d, m));
  }
}

/* Four columns of eight rows of signed bytes. */
TARGET static inline void bytes(__m256i v, __m256 d, __m256 m, float* out) {
  UNROLL for (int t = 0; t < 4; t++) {
    __m256i q = _mm256_srai_epi32(_mm256_slli_epi32(v, 24 - 8 * t), 24);
    _mm256_storeu_ps(out + 16 * t, _mm256_fmadd_ps(_mm256_cvtepi32_ps(q), d, m));
  }
}

/* One block of 32 columns, eight rows from `lane` on. */
TARGET static void block_values(uint32_t layout, const uint8_t* at, int lane, float* out) {
  int halves = reft_rows16_has_halves(layout);
  const uint8_t* scales = at + 2 * lane;
  const uint8_t* q = at + reft_rows16_head_bytes(layout) + 4 * lane;
  __m256 d[2] = {halves_at(scales), halves_at(scales + 32 * halves)};
  __m256 m[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  if (reft_rows16_has_minima(layout)) {
    m[0] = halves_at(scales + 32 * (1 + halves));
    m[1] = halves_at(scales + 32 * (1 + 2 * halves));
  }
  if (reft_rows16_has_nibbles(layout)) {
    for (int c = 0; c < 4; c++) {
      __m256i v = _mm256_loadu_si256((const __m256i*)(q + c * 64));
      nibbles(v, 0, d[0], m[0], out + 64 * c);
      nibbles(v, 4, d[1], m[1], out + 64 * (4 + c));
    }
    return;
  }
  for (int c = 0; c < 8; c++) {
    __m256i v = _mm256_loadu_si256((const __m256i*)(q + c * 64));
    bytes(v, d[c / 4], m[c / 4], out + 64 * c);
  }
}

TARGET void reft_rows16_values_avx2(uint32_t layout, const uint8_t* group, size_t block,
                                    size_t count, float* out) {
  size_t size = reft_rows16_block_bytes(layout);
  for (size_t b = 0; b < count; b++, out += 16 * REFT_DECODE_BLOCK) {
    for (int lane = 0; lane < REFT_DECODE_ROWS; lane += 8) {
      block_values(layout, group + (block + b) * size, lane, out + lane);
    }
  }
}
#endif
