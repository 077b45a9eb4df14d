/* SPDX-License-Identifier: Apache-2.0
 * Eight interleaved rows times int8 activations: the loops, for one instruction set. The including
 * file defines TARGET, NAME(x), and the integer dot products NIBBLE_DOTS and BYTE_DOTS.
 *
 * A lane is a row, so there are no sums across lanes. */

typedef struct reft_mat8 {
  const uint8_t* group;
  const int8_t* q;
  const float* scale;
  const float* sum;
  const int32_t* counts;
  size_t blocks;
} mat8_t;

#define UNROLL _Pragma("clang loop unroll(full)")
#define LOAD_HALVES(p) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(p)))

/* Asks for the weights that come some blocks later: the processor's own reading ahead ends with a
 * page, and starts anew whenever a group is gone over again for more rows of activations. */
static inline void ahead(const uint8_t* at, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) _mm_prefetch((const char*)at + 4096 + i, _MM_HINT_T0);
}

/* Four bytes of an activation row in every lane. */
TARGET static inline __m256i four(const int8_t* a) {
  int32_t word;
  __builtin_memcpy(&word, a, 4);
  return _mm256_set1_epi32(word);
}

/* The dot product of a row from those of its digits: 255 high + low. */
TARGET static inline __m256i joined(const __m256i* digits, int count) {
  if (count == 1) return digits[0];
  __m256i high = _mm256_sub_epi32(_mm256_slli_epi32(digits[0], 8), digits[0]);
  return _mm256_add_epi32(high, digits[1]);
}

#define DEFINE_DOT(COUNT, DIGITS)                                                              \
  TARGET static void NAME(nibbles_##COUNT##_##DIGITS)(const mat8_t* g, size_t columns,         \
                                                      __m256* out) {                           \
    __m256 acc[COUNT];                                                                         \
    UNROLL for (int i = 0; i < COUNT; i++) acc[i] = _mm256_setzero_ps();                       \
    for (size_t b = 0; b < g->blocks; b++) {                                                   \
      const uint8_t* at = g->group + b * 160;                                                  \
      ahead(at, 160);                                                                          \
      __m256 d = LOAD_HALVES(at), m = LOAD_HALVES(at + 16);                                    \
      __m256i dots[COUNT * DIGITS];                                                            \
      NIBBLE_DOTS((COUNT * DIGITS), at + 32, g->q + b * 32, columns, dots)                     \
      UNROLL for (int i = 0; i < COUNT; i++) {                                                 \
        __m256 s = _mm256_mul_ps(d, _mm256_set1_ps(g->scale[i * g->blocks + b]));              \
        __m256 dot = _mm256_cvtepi32_ps(joined(dots + i * DIGITS, DIGITS));                    \
        acc[i] = _mm256_fmadd_ps(dot, s, acc[i]);                                              \
        acc[i] = _mm256_fmadd_ps(m, _mm256_set1_ps(g->sum[i * g->blocks + b]), acc[i]);        \
      }                                                                                        \
    }                                                                                          \
    UNROLL for (int i = 0; i < COUNT; i++) out[i] = acc[i];                                    \
  }                                                                                            \
  TARGET static inline __attribute__((always_inline)) void NAME(bytes_any_##COUNT##_##DIGITS)( \
      const mat8_t* g, size_t columns, __m256* out, int has_minimum, int has_halves) {         \
    __m256 acc[COUNT];                                                                         \
    size_t head = has_minimum || has_halves ? 32 : 16;                                         \
    UNROLL for (int i = 0; i < COUNT; i++) acc[i] = _mm256_setzero_ps();                       \
    for (size_t b = 0; b < g->blocks; b++) {                                                   \
      const uint8_t* at = g->group + b * (256 + head);                                         \
      ahead(at, 256 + head);                                                                   \
      __m256 d = LOAD_HALVES(at);                                                              \
      __m256 m = head == 32 ? LOAD_HALVES(at + 16) : _mm256_setzero_ps();                      \
      __m256i halves[2][COUNT * DIGITS];                                                       \
      BYTE_DOTS((COUNT * DIGITS), at + head, g->q + b * 32, columns, halves[0])                \
      BYTE_DOTS((COUNT * DIGITS), at + head + 128, g->q + b * 32 + 16, columns, halves[1])     \
      UNROLL for (int i = 0; i < COUNT; i++) {                                                 \
        const int32_t* counts = g->counts + 2 * (i * g->blocks + b);                           \
        __m256i first = whole(joined(halves[0] + i * DIGITS, DIGITS), counts[0]);              \
        __m256i second = whole(joined(halves[1] + i * DIGITS, DIGITS), counts[1]);             \
        __m256 x = _mm256_set1_ps(g->scale[i * g->blocks + b]);                                \
        __m256 s = _mm256_mul_ps(d, x);                                                        \
        if (has_halves) {                                                                      \
          acc[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(first), s, acc[i]);                      \
          acc[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(second), _mm256_mul_ps(m, x), acc[i]);   \
        } else {                                                                               \
          first = _mm256_add_epi32(first, second);                                             \
          acc[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(first), s, acc[i]);                      \
        }                                                                                      \
        if (has_minimum) {                                                                     \
          acc[i] = _mm256_fmadd_ps(m, _mm256_set1_ps(g->sum[i * g->blocks + b]), acc[i]);      \
        }                                                                                      \
      }                                                                                        \
    }                                                                                          \
    UNROLL for (int i = 0; i < COUNT; i++) out[i] = acc[i];                                    \
  }                                                                                            \
  TARGET static void NAME(bytes_##COUNT##_##DIGITS)(const mat8_t* g, size_t columns,           \
                                                    __m256* out) {                             \
    NAME(bytes_any_##COUNT##_##DIGITS)(g, columns, out, 0, 0);                                 \
  }                                                                                            \
  TARGET static void NAME(offset_##COUNT##_##DIGITS)(const mat8_t* g, size_t columns,          \
                                                     __m256* out) {                            \
    NAME(bytes_any_##COUNT##_##DIGITS)(g, columns, out, 1, 0);                                 \
  }                                                                                            \
  TARGET static void NAME(halves_##COUNT##_##DIGITS)(const mat8_t* g, size_t columns,          \
                                                     __m256* out) {                            \
    NAME(bytes_any_##COUNT##_##DIGITS)(g, columns, out, 0, 1);                                 \
  }

DEFINE_DOT(1, 1)
DEFINE_DOT(2, 1)
DEFINE_DOT(4, 1)
DEFINE_DOT(8, 1)
DEFINE_DOT(1, 2)
DEFINE_DOT(2, 2)
DEFINE_DOT(4, 2)

typedef void (*dot_t)(const mat8_t*, size_t, __m256*);
/* By layout, digits - 1, and the rows of activations that share a load of weights: 1, 2, 4, 8. */
#define ONE_DIGIT(KIND) \
  { NAME(KIND##_1_1), NAME(KIND##_2_1), NAME(KIND##_4_1), NAME(KIND##_8_1) }
#define TWO_DIGITS(KIND) \
  { NAME(KIND##_1_2), NAME(KIND##_2_2), NAME(KIND##_4_2), 0 }
static const dot_t dots_by_layout[5][2][4] = {
    {{0}, {0}},
    {ONE_DIGIT(nibbles), TWO_DIGITS(nibbles)},
    {ONE_DIGIT(bytes), TWO_DIGITS(bytes)},
    {ONE_DIGIT(offset), TWO_DIGITS(offset)},
    {ONE_DIGIT(halves), TWO_DIGITS(halves)},
};

TARGET void NAME(reft_rows8_dot)(uint32_t layout, const uint8_t* groups,
                                 const reft_activations_t* x, size_t rows, float* y,
                                 size_t stride) {
  size_t blocks = x->columns / REFT_DECODE_BLOCK;
  size_t group_bytes = blocks * reft_rows8_block_bytes(layout);
  const dot_t* dots = dots_by_layout[layout][x->digits - 1];
  for (size_t r = 0; r < rows; r += 8, groups += group_bytes) {
    for (size_t i = 0, count = 0; i < x->n; i += count) {
      size_t left = x->n - i, kind = left >= 4 ? 2 : left >= 2 ? 1 : 0;
      if (left >= 8 && x->digits == 1) kind = 3;
      count = (size_t)1 << kind;
      mat8_t g = {groups,
                  x->q + i * x->digits * x->columns,
                  x->scale + i * blocks,
                  x->sum + i * blocks,
                  x->counts + 2 * i * blocks,
                  blocks};
      __m256 sums[8];
      dots[kind](&g, x->columns, sums);
      for (size_t j = 0; j < count; j++) {
        float* out = y + (i + j) * stride + r;
        if (rows - r >= 8) {
          _mm256_storeu_ps(out, sums[j]);
        } else {
          float lanes[8];
          _mm256_storeu_ps(lanes, sums[j]);
          for (size_t lane = 0; lane < rows - r; lane++) out[lane] = lanes[lane];
        }
      }
    }
  }
}
