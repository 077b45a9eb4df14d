/* SPDX-License-Identifier: Apache-2.0
 * Sixteen interleaved rows times int8 activations: the loops, for one instruction set. The
 * including file defines TARGET, NAME(x), LANES, GROUPS, the types FLOATS and INTS, their
 * arithmetic, the integer dot products NIBBLE_DOTS, PAIR_DOTS and BYTE_DOTS, which `whole` makes
 * right, HAS_FIVES where small codes go another way than bytes, and how the codes of activations
 * lie: CODE_BYTES of one, and MOST_PLANES, how many codes make a number at most.
 *
 * A lane is a row, so there are no sums across lanes. */

typedef struct matrix {
  const uint8_t* group;
  const int8_t* q;
  const float* scale;
  const float* sum;
  const int32_t* counts;
  size_t blocks;
  size_t bytes; /* of a group */
} matrix_t;

/* Registers that a number of each row of the groups that are worked on together fills: the parts of
 * a group, or a group each. `step` bytes lie between the codes of two parts. */
#define PARTS (GROUPS * REFT_DECODE_ROWS / LANES)
#define STEP(g) (GROUPS > 1 ? (g)->bytes : 4 * LANES)
/* The scales of a part. */
#define SCALES(g, at, part) ((at) + (size_t)(part) * (GROUPS > 1 ? (g)->bytes : 2 * LANES))
#define UNROLL _Pragma("clang loop unroll(full)")
#define ANY TARGET static inline __attribute__((always_inline))

/* Asks for the weights that come some blocks later: the processor's own reading ahead ends with a
 * page, and starts anew whenever a group is gone over again for more rows of activations. */
static inline void ahead(const uint8_t* at, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) _mm_prefetch((const char*)at + 4096 + i, _MM_HINT_T0);
}

/* Four bytes of an activation row in every lane. */
TARGET static inline INTS four(const int8_t* a) {
  int32_t word;
  __builtin_memcpy(&word, a, 4);
  return ISET(word);
}

/* The dot product of a row from those of its digits: 255 high + low. */
ANY INTS joined(const INTS* digits, int count) {
  if (count == 1) return digits[0];
  return IADD(ISUB(ISHIFT(digits[0], 8), digits[0]), digits[1]);
}

/* `count` rows of activations, a `plane` of bytes for each of their digits, with weights that fill
 * `parts` registers, for each of which `out` has a row. */
ANY void nibbles(int count, int digits, int parts, const matrix_t* g, size_t plane,
                 FLOATS (*out)[8]) {
  const size_t block = reft_rows16_block(REFT_ROWS16_NIBBLES);
  for (size_t b = 0; b < g->blocks; b++) {
    const uint8_t* at = g->group + b * block;
    ahead(at, block);
    const size_t step = STEP(g);
    INTS dots[PARTS][16];
    NIBBLE_DOTS(parts, count * digits, at + 64, g->q + b * 32 * CODE_BYTES, plane, dots)
    UNROLL for (int part = 0; part < parts; part++) {
      const uint8_t* scales = SCALES(g, at, part);
      FLOATS d = LOAD_HALVES(scales), m = LOAD_HALVES(scales + 32);
      UNROLL for (int i = 0; i < count; i++) {
        FLOATS s = FMUL(d, FSET(g->scale[(size_t)i * g->blocks + b]));
        INTS dot = joined(dots[part] + i * digits, digits);
        out[part][i] = FMA(FLOATS_OF(dot), s, out[part][i]);
        out[part][i] = FMA(m, FSET(g->sum[(size_t)i * g->blocks + b]), out[part][i]);
      }
    }
  }
}

/* The same where the halves of a block have scales and minima of their own. */
ANY void nibble_pairs(int count, int digits, int parts, const matrix_t* g, size_t plane,
                      FLOATS (*out)[8]) {
  const size_t block = reft_rows16_block(REFT_ROWS16_PAIRS);
  for (size_t b = 0; b < g->blocks; b++) {
    const uint8_t* at = g->group + b * block;
    ahead(at, block);
    const size_t step = STEP(g);
    INTS first[PARTS][16], second[PARTS][16];
    const int8_t* a = g->q + b * 32 * CODE_BYTES;
    PAIR_DOTS(parts, count * digits, at + 128, a, plane, first, second)
    UNROLL for (int part = 0; part < parts; part++) {
      const uint8_t* scales = SCALES(g, at, part);
      FLOATS d = LOAD_HALVES(scales), e = LOAD_HALVES(scales + 32);
      FLOATS m = LOAD_HALVES(scales + 64), n = LOAD_HALVES(scales + 96);
      UNROLL for (int i = 0; i < count; i++) {
        size_t place = (size_t)i * g->blocks + b;
        const int32_t* counts = g->counts + 2 * place;
        float scale = g->scale[place];
        FLOATS x = FSET(scale), sum = out[part][i];
        sum = FMA(FLOATS_OF(joined(first[part] + i * digits, digits)), FMUL(d, x), sum);
        sum = FMA(FLOATS_OF(joined(second[part] + i * digits, digits)), FMUL(e, x), sum);
        sum = FMA(m, FSET((float)counts[0] * scale), sum);
        out[part][i] = FMA(n, FSET((float)counts[1] * scale), sum);
      }
    }
  }
}

/* A byte for each weight. */
ANY void bytes_any(uint32_t layout, int count, int digits, int parts, const matrix_t* g,
                   size_t plane, FLOATS (*out)[8]) {
  int has_minimum = reft_rows16_has_minima(layout);
  const size_t head = reft_rows16_head_bytes(layout), block = reft_rows16_block(layout);
  for (size_t b = 0; b < g->blocks; b++) {
    const uint8_t* at = g->group + b * block;
    ahead(at, block);
    const size_t step = STEP(g);
    INTS dots[PARTS][16];
    const int8_t* codes = g->q + b * 32 * CODE_BYTES;
    BYTE_DOTS(layout, 8, parts, count * digits, at + head, codes, plane, dots)
    UNROLL for (int part = 0; part < parts; part++) {
      const uint8_t* scales = SCALES(g, at, part);
      FLOATS d = LOAD_HALVES(scales), m = has_minimum ? LOAD_HALVES(scales + 32) : FZERO();
      UNROLL for (int i = 0; i < count; i++) {
        size_t place = (size_t)i * g->blocks + b;
        const int32_t* counts = g->counts + 2 * place;
        INTS dot = joined(dots[part] + i * digits, digits);
        dot = whole(layout, dot, counts[0] + counts[1]);
        FLOATS s = FMUL(d, FSET(g->scale[place]));
        out[part][i] = FMA(FLOATS_OF(dot), s, out[part][i]);
        if (has_minimum) out[part][i] = FMA(m, FSET(g->sum[place]), out[part][i]);
      }
    }
  }
}

/* The same where the halves of a block have scales of their own. */
ANY void byte_halves(int count, int digits, int parts, const matrix_t* g, size_t plane,
                     FLOATS (*out)[8]) {
  const size_t block = reft_rows16_block(REFT_ROWS16_HALVES);
  for (size_t b = 0; b < g->blocks; b++) {
    const uint8_t* at = g->group + b * block;
    ahead(at, block);
    const size_t step = STEP(g);
    UNROLL for (int half = 0; half < 2; half++) {
      INTS dots[PARTS][16];
      const uint8_t* q = at + 64 + 256 * half;
      const int8_t* codes = g->q + (b * 32 + 16 * half) * CODE_BYTES;
      BYTE_DOTS(REFT_ROWS16_HALVES, 4, parts, count * digits, q, codes, plane, dots)
      UNROLL for (int part = 0; part < parts; part++) {
        FLOATS d = LOAD_HALVES(SCALES(g, at, part) + 32 * half);
        UNROLL for (int i = 0; i < count; i++) {
          size_t place = (size_t)i * g->blocks + b;
          INTS dot = joined(dots[part] + i * digits, digits);
          dot = whole(REFT_ROWS16_HALVES, dot, g->counts[2 * place + half]);
          FLOATS s = FMUL(d, FSET(g->scale[place]));
          out[part][i] = FMA(FLOATS_OF(dot), s, out[part][i]);
        }
      }
    }
  }
}

ANY void dot_some(uint32_t layout, int count, int digits, int parts, const matrix_t* g,
                  size_t plane, size_t rows, float* y, size_t stride) {
  FLOATS sums[PARTS][8];
  UNROLL for (int part = 0; part < parts; part++) UNROLL for (int i = 0; i < count; i++) {
    sums[part][i] = FZERO();
  }
  if (layout == REFT_ROWS16_NIBBLES) nibbles(count, digits, parts, g, plane, sums);
  if (layout == REFT_ROWS16_BYTES || layout == REFT_ROWS16_FIVES || layout == REFT_ROWS16_OFFSET) {
    bytes_any(layout, count, digits, parts, g, plane, sums);
  }
  if (layout == REFT_ROWS16_HALVES) byte_halves(count, digits, parts, g, plane, sums);
  if (layout == REFT_ROWS16_PAIRS) nibble_pairs(count, digits, parts, g, plane, sums);
  UNROLL for (int part = 0; part < parts; part++) UNROLL for (int i = 0; i < count; i++) {
    size_t first = (size_t)part * LANES;
    float* out = y + (size_t)i * stride + first;
    if (rows >= first + LANES) {
      FSTORE(out, sums[part][i]);
    } else {
      float lanes[LANES];
      FSTORE(lanes, sums[part][i]);
      for (size_t r = first; r < rows; r++) out[r - first] = lanes[r - first];
    }
  }
}

/* One group of weights times `count` rows of activations; y[i * stride + lane]. */
#define DEFINE(LAYOUT, COUNT, DIGITS)                                                         \
  TARGET static void NAME(dot_##LAYOUT##_##COUNT##_##DIGITS)(                                 \
      const matrix_t* g, size_t plane, size_t rows, float* y, size_t stride) {                \
    dot_some(REFT_ROWS16_##LAYOUT, COUNT, DIGITS, PARTS / GROUPS, g, plane, rows, y, stride); \
  }
#if GROUPS > 1
/* All groups that are worked on together, times as many rows as fit. */
#define DEFINE_WIDE(LAYOUT, DIGITS)                                                               \
  TARGET static void NAME(dot_##LAYOUT##_wide_##DIGITS)(const matrix_t* g, size_t plane,          \
                                                        size_t rows, float* y, size_t stride) {   \
    dot_some(REFT_ROWS16_##LAYOUT, WIDE_COUNT(DIGITS), DIGITS, PARTS, g, plane, rows, y, stride); \
  }
#define DEFINE_MORE(LAYOUT, DIGITS) DEFINE(LAYOUT, 8, DIGITS) DEFINE_WIDE(LAYOUT, DIGITS)
#else
#define DEFINE_MORE(LAYOUT, DIGITS)
#endif
#define WIDE_COUNT(DIGITS) (MOST_ROWS / GROUPS / (DIGITS))
#define DEFINE_DIGITS(LAYOUT, DIGITS) \
  DEFINE(LAYOUT, 1, DIGITS)           \
  DEFINE(LAYOUT, 2, DIGITS)           \
  DEFINE(LAYOUT, 3, DIGITS)           \
  DEFINE(LAYOUT, 4, DIGITS)           \
  DEFINE_MORE(LAYOUT, DIGITS)
#if MOST_PLANES == 2
#define DEFINE_LAYOUT(LAYOUT) DEFINE_DIGITS(LAYOUT, 1) DEFINE_DIGITS(LAYOUT, 2)
#else
#define DEFINE_LAYOUT(LAYOUT) DEFINE_DIGITS(LAYOUT, 1)
#endif
DEFINE_LAYOUT(NIBBLES)
DEFINE_LAYOUT(BYTES)
DEFINE_LAYOUT(OFFSET)
DEFINE_LAYOUT(HALVES)
DEFINE_LAYOUT(PAIRS)
#if HAS_FIVES
DEFINE_LAYOUT(FIVES)
#endif

typedef void (*dot_t)(const matrix_t*, size_t, size_t, float*, size_t);
/* By layout, planes - 1, and the rows of activations that share a load of weights: those of
 * row_counts, and as many as meet several groups. */
#if GROUPS > 1
enum { KINDS = 5, ALL_KINDS };
#define MORE_OF(LAYOUT, D) , NAME(dot_##LAYOUT##_8_##D), NAME(dot_##LAYOUT##_wide_##D)
#else
enum { KINDS = 4, ALL_KINDS = KINDS };
#define MORE_OF(LAYOUT, D)
#endif
static const size_t row_counts[] = {1, 2, 3, 4, 8};
#define DIGITS_OF(LAYOUT, D)                                                            \
  {                                                                                     \
    NAME(dot_##LAYOUT##_1_##D), NAME(dot_##LAYOUT##_2_##D), NAME(dot_##LAYOUT##_3_##D), \
        NAME(dot_##LAYOUT##_4_##D) MORE_OF(LAYOUT, D)                                   \
  }
#if MOST_PLANES == 2
#define LAYOUT_DOTS(LAYOUT) \
  { DIGITS_OF(LAYOUT, 1), DIGITS_OF(LAYOUT, 2) }
#else
#define LAYOUT_DOTS(LAYOUT) \
  { DIGITS_OF(LAYOUT, 1) }
#endif
static const dot_t dots_by_layout[][MOST_PLANES][ALL_KINDS] = {
    {{0}},
    LAYOUT_DOTS(NIBBLES),
    LAYOUT_DOTS(BYTES),
    LAYOUT_DOTS(OFFSET),
    LAYOUT_DOTS(HALVES),
    LAYOUT_DOTS(PAIRS),
#if HAS_FIVES
    LAYOUT_DOTS(FIVES),
#endif
};

/* The largest number of rows, and of codes, that `left` rows fill. */
static size_t kind_of(size_t left, size_t digits) {
  size_t kind = KINDS - 1;
  while (row_counts[kind] > left || row_counts[kind] * digits > MOST_ROWS) kind--;
  return kind;
}

TARGET void NAME(reft_rows16_dot)(uint32_t layout, const uint8_t* groups,
                                  const reft_activations_t* x, size_t rows, float* y,
                                  size_t stride) {
  size_t blocks = x->columns / REFT_DECODE_BLOCK;
  size_t group_bytes = blocks * reft_rows16_block_bytes(layout);
  size_t planes = x->digits / CODE_BYTES, plane = x->columns * CODE_BYTES;
  const dot_t* dots = dots_by_layout[layout][planes - 1];
  size_t wide = WIDE_COUNT(planes), step = 0;
  for (size_t r = 0; r < rows; r += step, groups += step / REFT_DECODE_ROWS * group_bytes) {
    int is_wide = GROUPS > 1 && x->n >= wide && r + GROUPS * REFT_DECODE_ROWS <= rows;
    step = is_wide ? GROUPS * REFT_DECODE_ROWS : REFT_DECODE_ROWS;
    for (size_t i = 0, count = 0; i < x->n; i += count) {
      matrix_t g = {groups,
                    x->q + i * x->digits * x->columns,
                    x->scale + i * blocks,
                    x->sum + i * blocks,
                    x->counts + 2 * i * blocks,
                    blocks,
                    group_bytes};
      float* out = y + i * stride + r;
      if (is_wide && x->n - i >= wide) {
        count = wide;
        dots[ALL_KINDS - 1](&g, plane, rows - r, out, stride);
        continue;
      }
      size_t kind = kind_of(x->n - i, planes);
      count = row_counts[kind];
      for (size_t at = 0; at < step; at += REFT_DECODE_ROWS, g.group += group_bytes) {
        dots[kind](&g, plane, rows - r - at, out + at, stride);
      }
    }
  }
}
