/* SPDX-License-Identifier: Apache-2.0
 * Between the parts of the emulated card: what a call counts as, who owns memory, what is recorded.
 * Statuses and numbers are those of CUDA's headers, which nothing here includes.
 */
#ifndef CUDA_EMULATED_CARD_H
#define CUDA_EMULATED_CARD_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

enum {
  CARD_SUCCESS = 0,
  CARD_INVALID_VALUE = 1,
  CARD_OUT_OF_MEMORY = 2,
  CARD_NOT_INITIALIZED = 3,
  CARD_NO_DEVICE = 100,
  CARD_INVALID_DEVICE = 101,
  CARD_INVALID_IMAGE = 200,
  CARD_INVALID_CONTEXT = 201,
  CARD_INVALID_HANDLE = 400,
  CARD_NOT_FOUND = 500,
  CARD_ILLEGAL_ADDRESS = 700,
  CARD_LAUNCH_FAILED = 719,
  CARD_NOT_PERMITTED = 800,
  CARD_CAPTURE_INVALIDATED = 901,
};

/* Counts a call of this thread; not 0 when it is to fail, with `status`. */
int card_enter(const char *function, int status);

struct card_context {
  int ordinal;
  int retained;
  size_t limit, used;
};
/* The context that is current for this thread, or NULL. */
struct card_context *card_current(void);

/* Whether the bytes lie in one allocation of a card. */
int card_holds(uint64_t address, size_t bytes);
/* Whether a byte behind an allocation was written. */
int card_is_overrun(void);

/* Work of a stream: done at once, or kept while the stream records. */
struct card_work {
  int (*run)(const struct card_work *);
  struct card_work *next;
  union {
    struct {
      uint64_t to, from;
      size_t bytes;
      int value;
    } copy;
    struct {
      void *function;
      unsigned grid[3], block[3], shared_bytes;
      uint64_t values[128]; /* the arguments, each at a multiple of 8 bytes */
    } launch;
    struct {
      int transposes_a, transposes_b, m, n, k, lda, ldb, ldc, input, output;
      float alpha, beta;
      const void *a, *b;
      void *c;
    } product;
  } u;
};
int card_do(void *stream, const struct card_work *work);

#pragma GCC visibility pop

#endif
