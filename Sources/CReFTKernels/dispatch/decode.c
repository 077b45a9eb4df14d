// SPDX-License-Identifier: Apache-2.0
// Chooses the kernels of reft_decode.h: reference, AVX2, AVX-512 VNNI, or AMX; and how they take
// the codes of activations.
#include "../ref/ref_kernels.h"
#include "../ref/rows16_layout.h"
#include "../x86/x86_kernels.h"
#include "reft_decode.h"
#include "reft_split.h"

// AVX2 multiplies words in one instruction, bytes in two; VNNI has one for either.
size_t reft_rows16_code_bytes(size_t digits) {
  return digits == 2 && reft_kernels_use_avx2() && !reft_kernels_use_vnni() ? 2 : 1;
}

int reft_rows16_serve_prompts(uint32_t layout) {
  if (!reft_kernels_use_avx2() || reft_kernels_use_tiles()) return 0;
  // Halves with scales of their own cost bytes too much, words not.
  return layout != 0 && (layout != REFT_ROWS16_PAIRS || !reft_kernels_use_vnni());
}

void reft_rows16_repack(uint32_t type, size_t columns, const void* const rows[16], uint8_t* out) {
#if defined(__x86_64__)
  if (reft_kernels_use_avx2() && !reft_rows16_has_gaps(rows)) {
    reft_rows16_repack_avx2(type, columns, rows, out);
    return;
  }
#endif
  reft_rows16_repack_ref(type, columns, rows, out);
}

void reft_quantize_rows(const float* x, size_t stride, const reft_activations_t* out, size_t first,
                        size_t count) {
#if defined(__x86_64__)
  if (reft_kernels_use_avx2()) {
    reft_quantize_rows_avx2(x, stride, out, first, count);
    return;
  }
#endif
  reft_quantize_rows_ref(x, stride, out, first, count);
}

#if defined(__x86_64__)
// The rows of activations from `first` on.
static reft_activations_t rows_from(const reft_activations_t* x, size_t first) {
  size_t blocks = x->columns / REFT_DECODE_BLOCK;
  return (reft_activations_t){x->n - first,
                              x->digits,
                              x->code_bytes,
                              x->columns,
                              x->q + first * x->digits * x->columns,
                              x->scale + first * blocks,
                              x->sum + first * blocks,
                              x->counts + 2 * first * blocks};
}

// Tiles take the rows of activations that fill them, byte products those that are left. Where
// halves of a block have their own scales, more is stored and scaled than tiles save.
static void rows16_dot_avx512(uint32_t layout, const uint8_t* groups, const reft_activations_t* x,
                              size_t rows, float* y, size_t stride) {
  size_t done = 0;
  layout = reft_rows16_known(layout);
  int fits = !reft_rows16_has_halves(layout) && x->digits == 2 && reft_kernels_use_tiles();
  for (; fits && x->n - done >= REFT_ROWS16_TILE; done += REFT_ROWS16_TILE) {
    reft_activations_t some = rows_from(x, done);
    reft_rows16_dot_amx(layout, groups, &some, rows, y + done * stride, stride);
  }
  reft_activations_t rest = rows_from(x, done);
  if (rest.n > 0) reft_rows16_dot_vnni(layout, groups, &rest, rows, y + done * stride, stride);
}

// So many rows that words of weights, made once for all, are worth it.
#define MANY_ROWS 32

// So many rows that widening the codes of one digit to words is worth it.
#define WIDENED_ROWS 4

static void dot_words(uint32_t layout, const uint8_t* groups, const reft_activations_t* x,
                      size_t rows, float* y, size_t stride) {
  if (x->n < MANY_ROWS) {
    reft_rows16_dot_words_avx2(layout, groups, x, rows, y, stride);
  } else {
    reft_rows16_dot_many_words_avx2(layout, groups, x, rows, y, stride);
  }
}

static void rows16_dot_avx2(uint32_t layout, const uint8_t* groups, const reft_activations_t* x,
                            size_t rows, float* y, size_t stride) {
  if (x->code_bytes == 2) {
    dot_words(reft_rows16_known(layout), groups, x, rows, y, stride);
    return;
  }
  // Bytes times bytes take signs to be moved and pairs to be added twice; words do not.
  size_t numbers = x->n * x->columns;
  int8_t* codes = NULL;
  if (layout == REFT_ROWS16_BYTES && x->n >= WIDENED_ROWS) {
    codes = (int8_t*)reft_thread_scratch(REFT_SCRATCH_WORDS, numbers / 2);
  }
  if (!codes) {
    reft_rows16_dot_avx2(layout, groups, x, rows, y, stride);
    return;
  }
  reft_widen_codes_avx2(x->q, numbers, codes);
  reft_activations_t words = {x->n, 2, 2, x->columns, codes, x->scale, x->sum, x->counts};
  dot_words(layout, groups, &words, rows, y, stride);
}
#endif

void reft_rows16_dot(uint32_t layout, const uint8_t* groups, const reft_activations_t* x,
                     size_t rows, float* y, size_t stride) {
#if defined(__x86_64__)
  if (reft_kernels_use_vnni()) {
    rows16_dot_avx512(layout, groups, x, rows, y, stride);
    return;
  }
  if (reft_kernels_use_avx2()) {
    rows16_dot_avx2(layout, groups, x, rows, y, stride);
    return;
  }
#endif
  reft_rows16_dot_ref(layout, groups, x, rows, y, stride);
}

void reft_rows16_values(uint32_t layout, const uint8_t* group, size_t block, size_t count,
                        float* out) {
#if defined(__x86_64__)
  if (reft_kernels_use_avx2()) {
    reft_rows16_values_avx2(layout, group, block, count, out);
    return;
  }
#endif
  reft_rows16_values_ref(layout, group, block, count, out);
}

void reft_plain_rows_dot(const reft_plain_rows_t* weights, size_t n, const float* x,
                         size_t x_stride, float* y, size_t y_stride, int accumulate) {
#if defined(__x86_64__)
  if (reft_kernels_use_avx2()) {
    reft_plain_rows_dot_avx2(weights, n, x, x_stride, y, y_stride, accumulate);
    return;
  }
#endif
  reft_plain_rows_dot_ref(weights, n, x, x_stride, y, y_stride, accumulate);
}

int reft_plain_rows_serve_prompts(uint32_t type) {
  int has_halves = type == 1 || type == 30;
  return has_halves && reft_kernels_use_avx2() && !reft_kernels_use_tiles();
}

void reft_round_plain_rows(const reft_plain_rows_t* weights, void* out) {
#if defined(__x86_64__)
  if (reft_kernels_use_avx2()) {
    reft_round_plain_rows_avx2(weights, out);
    return;
  }
#endif
  reft_round_plain_rows_ref(weights, out);
}

void reft_rounded_rows_dot(const void* weights, size_t rows, const reft_activations_t* x, float* y,
                           size_t stride) {
#if defined(__x86_64__)
  if (reft_kernels_use_vnni()) {
    reft_rounded_rows_dot_vnni(weights, rows, x, y, stride);
    return;
  }
  if (reft_kernels_use_avx2()) {
    reft_rounded_rows_dot_avx2(weights, rows, x, y, stride);
    return;
  }
#endif
  reft_rounded_rows_dot_ref(weights, rows, x, y, stride);
}
