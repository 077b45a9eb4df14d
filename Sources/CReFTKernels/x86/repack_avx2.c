// SPDX-License-Identifier: Apache-2.0
// Sixteen rows of a file's format, repacked as reft_decode.h has them, with AVX2: eight rows of 32
// columns at a time, whose codes are transposed in fours. The bytes are those of the reference.
#include "dequantize_avx2.h"

#if defined(__x86_64__)
#include "../ref/rows16_layout.h"
#include "x86_kernels.h"

#define ANY REFT_AVX2_STEP
#define UNROLL _Pragma("clang loop unroll(full)")

// Rows that are repacked together.
#define ROWS 8

// Bits `shift` and up of each byte, those of `mask`.
ANY __m256i bits_of(const void* q, int shift, int mask) {
  __m256i v = _mm256_loadu_si256((const __m256i*)q);
  return _mm256_and_si256(_mm256_srl_epi16(v, _mm_cvtsi32_si128(shift)),
                          _mm256_set1_epi8((char)mask));
}

ANY __m256i levels_of(const uint8_t* q) {
  return _mm256_shuffle_epi8(reft_iq4_table(), reft_nibbles(q));
}

// The codes of 32 columns of a row.
ANY __m256i codes_of(uint32_t type, const uint8_t* row, size_t block) {
  size_t b = block / 8;
  int j = (int)(block % 8);
  switch (type) {
    case Q5_0: {
      const reft_block_q5_0_t* x = (const reft_block_q5_0_t*)row + block;
      __m256i q = _mm256_or_si256(reft_nibbles(x->qs), reft_fifth_bits(x->qh));
      return _mm256_sub_epi8(q, _mm256_set1_epi8(16));
    }
    case Q5_1: {
      const reft_block_q5_1_t* x = (const reft_block_q5_1_t*)row + block;
      return _mm256_or_si256(reft_nibbles(x->qs), reft_fifth_bits(x->qh));
    }
    case Q8_0:
      return _mm256_loadu_si256((const __m256i*)((const reft_block_q8_0_t*)row)[block].qs);
    case IQ4_NL:
      return levels_of(((const reft_block_iq4_nl_t*)row)[block].qs);
    case IQ4_XS:
      return levels_of(((const reft_block_iq4_xs_t*)row)[b].qs + 16 * j);
    case Q2_K:
      return bits_of(((const reft_block_q2_k_t*)row)[b].qs + j / 4 * 32, 2 * (j % 4), 3);
    case Q3_K: {
      const reft_block_q3_k_t* x = (const reft_block_q3_k_t*)row + b;
      __m256i high = _mm256_slli_epi16(bits_of(x->hmask, j, 1), 2);
      return _mm256_or_si256(bits_of(x->qs + j / 4 * 32, 2 * (j % 4), 3), high);
    }
    case Q4_K:
      return bits_of(((const reft_block_q4_k_t*)row)[b].qs + j / 2 * 32, 4 * (j % 2), 15);
    case Q5_K: {
      const reft_block_q5_k_t* x = (const reft_block_q5_k_t*)row + b;
      __m256i high = _mm256_loadu_si256((const __m256i*)x->qh);
      return reft_with_fifth_bit(bits_of(x->qs + j / 2 * 32, 4 * (j % 2), 15), high, j);
    }
    default: {  // Q6_K
      const reft_block_q6_k_t* x = (const reft_block_q6_k_t*)row + b;
      int half = j / 4, part = j % 4;
      __m256i low = bits_of(x->ql + half * 64 + part % 2 * 32, part < 2 ? 0 : 4, 15);
      __m256i high = _mm256_slli_epi16(bits_of(x->qh + half * 32, 2 * part, 3), 4);
      return _mm256_sub_epi8(_mm256_or_si256(low, high), _mm256_set1_epi8(32));
    }
  }
}

// Sixteen bytes: columns 0 to 15 in their low halves, 16 to 31 in their high ones.
ANY __m128i packed_of(uint32_t type, const uint8_t* row, size_t block) {
  if (type == Q4_0) {
    return _mm_loadu_si128((const __m128i*)((const reft_block_q4_0_t*)row)[block].qs);
  }
  if (type == Q4_1) {
    return _mm_loadu_si128((const __m128i*)((const reft_block_q4_1_t*)row)[block].qs);
  }
  __m256i codes = codes_of(type, row, block);
  return _mm_or_si128(_mm256_castsi256_si128(codes),
                      _mm_slli_epi16(_mm256_extracti128_si256(codes, 1), 4));
}

// Four columns of eight rows each, 64 bytes apart; v[i] holds rows i and i + 4.
ANY void put_fours(const __m256i* v, uint8_t* q) {
  __m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]);
  __m256i c = _mm256_unpacklo_epi32(v[2], v[3]), d = _mm256_unpackhi_epi32(v[2], v[3]);
  _mm256_storeu_si256((__m256i*)q, _mm256_unpacklo_epi64(a, c));
  _mm256_storeu_si256((__m256i*)(q + 64), _mm256_unpackhi_epi64(a, c));
  _mm256_storeu_si256((__m256i*)(q + 128), _mm256_unpacklo_epi64(b, d));
  _mm256_storeu_si256((__m256i*)(q + 192), _mm256_unpackhi_epi64(b, d));
}

ANY void put_codes(uint32_t type, int has_nibbles, const void* const* rows, size_t block,
                   uint8_t* q) {
  __m256i low[4], high[4];
  UNROLL for (int i = 0; i < 4; i++) {
    if (has_nibbles) {
      __m256i first = _mm256_castsi128_si256(packed_of(type, rows[i], block));
      low[i] = _mm256_inserti128_si256(first, packed_of(type, rows[i + 4], block), 1);
    } else {
      __m256i a = codes_of(type, rows[i], block), b = codes_of(type, rows[i + 4], block);
      low[i] = _mm256_permute2x128_si256(a, b, 0x20);
      high[i] = _mm256_permute2x128_si256(a, b, 0x31);
    }
  }
  put_fours(low, q);
  if (!has_nibbles) put_fours(high, q + 256);
}

// What a scale and a minimum are products of: the block's own numbers, as bits of float16, and the
// integers of its columns.
typedef struct factors {
  uint16_t d[ROWS];
  uint16_t m[ROWS];
  int32_t scales[2][ROWS];
  int32_t minima[2][ROWS];
} factors_t;

ANY uint16_t half_at(const void* p) {
  uint16_t half;
  memcpy(&half, p, 2);
  return half;
}

// The factors of row `r`; integers only where a format has them.
ANY void find_factors(uint32_t type, const uint8_t* row, size_t block, int r, factors_t* f) {
  size_t b = block / 8;
  int j = (int)(block % 8);
  if (type == Q4_0) f->d[r] = half_at(&((const reft_block_q4_0_t*)row)[block].d);
  if (type == Q5_0) f->d[r] = half_at(&((const reft_block_q5_0_t*)row)[block].d);
  if (type == Q8_0) f->d[r] = half_at(&((const reft_block_q8_0_t*)row)[block].d);
  if (type == IQ4_NL) f->d[r] = half_at(&((const reft_block_iq4_nl_t*)row)[block].d);
  if (type == Q4_1) {
    f->d[r] = half_at(&((const reft_block_q4_1_t*)row)[block].d);
    f->m[r] = half_at(&((const reft_block_q4_1_t*)row)[block].m);
  }
  if (type == Q5_1) {
    f->d[r] = half_at(&((const reft_block_q5_1_t*)row)[block].d);
    f->m[r] = half_at(&((const reft_block_q5_1_t*)row)[block].m);
  }
  if (type == Q4_K || type == Q5_K) {
    // Both begin with the same numbers.
    const uint8_t* x =
        row + b * (type == Q4_K ? sizeof(reft_block_q4_k_t) : sizeof(reft_block_q5_k_t));
    uint8_t scale, minimum;
    reft_k4_scale(j, x + 4, &scale, &minimum);
    f->d[r] = half_at(x);
    f->m[r] = half_at(x + 2);
    f->scales[0][r] = scale;
    f->minima[0][r] = minimum;
  }
  if (type == IQ4_XS) {
    const reft_block_iq4_xs_t* x = (const reft_block_iq4_xs_t*)row + b;
    f->d[r] = half_at(&x->d);
    f->scales[0][r] = reft_iq4_xs_scale(j, x) - 32;
  }
  UNROLL for (int half = 0; half < 2; half++) {
    if (type == Q2_K) {
      const reft_block_q2_k_t* x = (const reft_block_q2_k_t*)row + b;
      f->d[r] = half_at(&x->d);
      f->m[r] = half_at(&x->dmin);
      f->scales[half][r] = x->scales[2 * j + half] & 15;
      f->minima[half][r] = x->scales[2 * j + half] >> 4;
    }
    if (type == Q3_K) {
      const reft_block_q3_k_t* x = (const reft_block_q3_k_t*)row + b;
      int place = 2 * j + half, low = x->scales[place % 8] >> (place < 8 ? 0 : 4) & 15;
      f->d[r] = half_at(&x->d);
      f->scales[half][r] = (low | (x->scales[8 + place % 4] >> 2 * (place / 4) & 3) << 4) - 32;
    }
    if (type == Q6_K) {
      const reft_block_q6_k_t* x = (const reft_block_q6_k_t*)row + b;
      f->d[r] = half_at(&x->d);
      f->scales[half][r] = x->scales[2 * j + half];
    }
  }
}

ANY __m256 floats_of(const uint16_t* halves) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)halves));
}

ANY __m256 times(__m256 factor, const int32_t* integers) {
  __m256i v = _mm256_loadu_si256((const __m256i*)integers);
  return _mm256_mul_ps(factor, _mm256_cvtepi32_ps(v));
}

ANY void put_halves(uint8_t* out, __m256 v) {
  _mm_storeu_si128((__m128i*)out, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

// Scales and minima of eight rows, those of each half 32 bytes behind the ones before.
ANY void put_scales(uint32_t type, uint32_t layout, const void* const* rows, size_t block,
                    uint8_t* out) {
  int halves = 1 + reft_rows16_has_halves(layout), is_product = !reft_rows16_is_small(type);
  factors_t f;
  UNROLL for (int r = 0; r < ROWS; r++) find_factors(type, rows[r], block, r, &f);
  UNROLL for (int half = 0; half < halves; half++) {
    __m256 d = floats_of(f.d);
    if (is_product) d = times(d, f.scales[half]);
    put_halves(out + 32 * half, d);
    if (!reft_rows16_has_minima(layout)) continue;
    __m256 m;
    if (type == Q4_0 || type == Q3_K) {
      m = _mm256_mul_ps(d, _mm256_set1_ps(type == Q4_0 ? -8 : -4));
    } else if (is_product) {
      m = times(_mm256_xor_ps(floats_of(f.m), _mm256_set1_ps(-0.0f)), f.minima[half]);
    } else {
      m = floats_of(f.m);
    }
    put_halves(out + 32 * (halves + half), m);
  }
}

ANY void repack(uint32_t type, size_t columns, const void* const* rows, uint8_t* out) {
  uint32_t layout = reft_rows16_of_type(type);
  size_t head = reft_rows16_head_bytes(layout);
  int has_nibbles = reft_rows16_has_nibbles(layout);
  for (size_t block = 0; block < columns / REFT_DECODE_BLOCK; block++) {
    for (int part = 0; part < REFT_DECODE_ROWS / ROWS; part++) {
      const void* const* some = rows + ROWS * part;
      put_scales(type, layout, some, block, out + 2 * ROWS * part);
      put_codes(type, has_nibbles, some, block, out + head + 4 * ROWS * part);
    }
    out += reft_rows16_block_bytes(layout);
  }
}

#define REPACK(TYPE)                  \
  case TYPE:                          \
    repack(TYPE, columns, rows, out); \
    break;

REFT_AVX2 void reft_rows16_repack_avx2(uint32_t type, size_t columns, const void* const rows[16],
                                       uint8_t* out) {
  switch (type) {
    REPACK(Q4_0)
    REPACK(Q4_1)
    REPACK(Q4_K)
    REPACK(Q5_0)
    REPACK(Q8_0)
    REPACK(IQ4_NL)
    REPACK(IQ4_XS)
    REPACK(Q5_1)
    REPACK(Q5_K)
    REPACK(Q6_K)
    REPACK(Q2_K)
    REPACK(Q3_K)
    default:
      break;
  }
}
#endif
