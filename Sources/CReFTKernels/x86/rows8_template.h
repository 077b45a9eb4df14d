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

#define LOAD_HALVES(p) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(p)))

/* Four bytes of an activation row in every lane. */
TARGET static inline __m256i four(const int8_t* a) {
  int32_t word;
  __builtin_memcpy(&word, a, 4);
  return _mm256_set1_epi32(word);
}

#define DEFINE_DOT(COUNT)                                                                    \
  TARGET static void NAME(nibbles_##COUNT)(mat8_t g, size_t columns, __m256* out) {          \
    __m256 acc[COUNT];                                                                       \
    for (int i = 0; i < COUNT; i++) acc[i] = _mm256_setzero_ps();                            \
    for (size_t b = 0; b < g.blocks; b++) {                                                  \
      const uint8_t* at = g.group + b * 160;                                                 \
      __m256 d = LOAD_HALVES(at), m = LOAD_HALVES(at + 16);                                  \
      __m256i dots[COUNT];                                                                   \
      NIBBLE_DOTS(COUNT, at + 32, g.q + b * 32, columns, dots)                               \
      for (int i = 0; i < COUNT; i++) {                                                      \
        __m256 s = _mm256_mul_ps(d, _mm256_set1_ps(g.scale[i * g.blocks + b]));              \
        acc[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[i]), s, acc[i]);                    \
        acc[i] = _mm256_fmadd_ps(m, _mm256_set1_ps(g.sum[i * g.blocks + b]), acc[i]);        \
      }                                                                                      \
    }                                                                                        \
    for (int i = 0; i < COUNT; i++) out[i] = acc[i];                                         \
  }                                                                                          \
  TARGET static inline __attribute__((always_inline)) void NAME(bytes_any_##COUNT)(          \
      mat8_t g, size_t columns, __m256* out, int has_minimum, int has_halves) {              \
    __m256 acc[COUNT];                                                                       \
    size_t head = has_minimum || has_halves ? 32 : 16;                                       \
    for (int i = 0; i < COUNT; i++) acc[i] = _mm256_setzero_ps();                            \
    for (size_t b = 0; b < g.blocks; b++) {                                                  \
      const uint8_t* at = g.group + b * (256 + head);                                        \
      __m256 d = LOAD_HALVES(at);                                                            \
      __m256 m = head == 32 ? LOAD_HALVES(at + 16) : _mm256_setzero_ps();                    \
      for (int i = 0; i < COUNT; i++) {                                                      \
        const int8_t* a = g.q + i * columns + b * 32;                                        \
        const int32_t* counts = g.counts + 2 * (i * g.blocks + b);                           \
        __m256i first, second;                                                               \
        BYTE_DOTS(at + head, a, counts[0], first)                                            \
        BYTE_DOTS(at + head + 128, a + 16, counts[1], second)                                \
        __m256 x = _mm256_set1_ps(g.scale[i * g.blocks + b]);                                \
        __m256 s = _mm256_mul_ps(d, x);                                                      \
        if (has_halves) {                                                                    \
          acc[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(first), s, acc[i]);                    \
          acc[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(second), _mm256_mul_ps(m, x), acc[i]); \
        } else {                                                                             \
          first = _mm256_add_epi32(first, second);                                           \
          acc[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(first), s, acc[i]);                    \
        }                                                                                    \
        if (has_minimum) {                                                                   \
          acc[i] = _mm256_fmadd_ps(m, _mm256_set1_ps(g.sum[i * g.blocks + b]), acc[i]);      \
        }                                                                                    \
      }                                                                                      \
    }                                                                                        \
    for (int i = 0; i < COUNT; i++) out[i] = acc[i];                                         \
  }                                                                                          \
  TARGET static void NAME(bytes_##COUNT)(mat8_t g, size_t columns, __m256* out) {            \
    NAME(bytes_any_##COUNT)(g, columns, out, 0, 0);                                          \
  }                                                                                          \
  TARGET static void NAME(offset_##COUNT)(mat8_t g, size_t columns, __m256* out) {           \
    NAME(bytes_any_##COUNT)(g, columns, out, 1, 0);                                          \
  }                                                                                          \
  TARGET static void NAME(halves_##COUNT)(mat8_t g, size_t columns, __m256* out) {           \
    NAME(bytes_any_##COUNT)(g, columns, out, 0, 1);                                          \
  }

DEFINE_DOT(1)
DEFINE_DOT(2)
DEFINE_DOT(4)

typedef void (*dot_t)(mat8_t, size_t, __m256*);
static const dot_t dots_by_layout[5][5] = {
    {0},
    {0, NAME(nibbles_1), NAME(nibbles_2), 0, NAME(nibbles_4)},
    {0, NAME(bytes_1), NAME(bytes_2), 0, NAME(bytes_4)},
    {0, NAME(offset_1), NAME(offset_2), 0, NAME(offset_4)},
    {0, NAME(halves_1), NAME(halves_2), 0, NAME(halves_4)},
};

TARGET void NAME(reft_rows8_dot)(uint32_t layout, const uint8_t* group, const reft_activations_t* x,
                                 size_t rows, float* y, size_t stride) {
  size_t blocks = x->columns / REFT_DECODE_BLOCK;
  for (size_t i = 0; i < x->n;) {
    size_t left = x->n - i, count = left >= 4 ? 4 : left >= 2 ? 2 : 1;
    mat8_t g = {group,
                x->q + i * x->columns,
                x->scale + i * blocks,
                x->sum + i * blocks,
                x->counts + 2 * i * blocks,
                blocks};
    __m256 out[4];
    dots_by_layout[layout][count](g, x->columns, out);
    for (size_t j = 0; j < count; j++, i++) {
      if (rows == 8) {
        _mm256_storeu_ps(y + i * stride, out[j]);
      } else {
        float lanes[8];
        _mm256_storeu_ps(lanes, out[j]);
        for (size_t r = 0; r < rows; r++) y[i * stride + r] = lanes[r];
      }
    }
  }
}
