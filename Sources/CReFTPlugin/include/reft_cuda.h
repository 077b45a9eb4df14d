/* SPDX-License-Identifier: Apache-2.0
 * reft_cuda.h: the extension reft.cuda/1, by which an intervention brings CUDA kernels beside its
 * functions. Copy it next to reft_plugin.h.
 *
 * An instance that has a device form answers reft_plugin_t.extension(self, REFT_CUDA_EXTENSION) with a
 * reft_cuda_t. The host compiles the text that it states, with NVRTC, and launches its functions on rows
 * that never leave the card. Whoever does not answer is called on the host, with rows copied there and
 * back; nothing else differs. The library itself needs nothing of CUDA.
 *
 * Laws (docs/abi.md, "Device forms"):
 *  - A device form computes what forward and backward compute, up to rounding; `reft plugin check NAME
 *    --device cuda` compares the two.
 *  - All functions have one signature, extern "C" __global__ void name(reft_cuda_call_t call). The host
 *    puts the definition of reft_cuda_call_t before the text, which includes nothing.
 *  - Equal input gives equal bits: no atomics on floats, no order that depends on timing.
 *  - There are no random numbers. An instance that drops out has no device form in training.
 *  - The launches of a call run one after the other. A block writes what is its own; nobody writes x,
 *    source, dy, params or the lists.
 */
#ifndef REFT_CUDA_H
#define REFT_CUDA_H

#include "reft_plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define REFT_CUDA_EXTENSION "reft.cuda/1"

#define REFT_CUDA_PARAMS 16  /* the most parameters of an instance with a device form */
#define REFT_CUDA_NUMBERS 32 /* numbers in each of ints and floats */

/* What the blocks of a launch share out in x. */
#define REFT_CUDA_NOTHING 0u /* one block */
#define REFT_CUDA_ROWS 1u    /* the rows of the call */
#define REFT_CUDA_COLUMNS 2u /* the numbers of a row */

/* Flags of a program. */
#define REFT_CUDA_NEEDS_ROWS (1u << 0) /* its functions read example, position, length, ... */

typedef struct reft_cuda_kernel { /* one launch */
  uint32_t struct_size;
  uint32_t share;        /* REFT_CUDA_ROWS, ... */
  reft_str_t name;       /* of the function */
  uint32_t tile;         /* rows or columns of a block: there are ceil(rows / tile) blocks in x */
  uint32_t layers;       /* blocks in y, 1...65535 */
  uint32_t threads;      /* of a block: a multiple of 32, up to 1024 */
  uint32_t shared_bytes; /* dynamic shared memory of a block, up to 49152 with what is static */
} reft_cuda_kernel_t;

typedef struct reft_cuda_program {
  uint32_t struct_size;
  uint32_t flags;
  reft_str_t source;                         /* CUDA C++ */
  const reft_cuda_kernel_t *const *forward;  /* in order of launch: 1...16 */
  const reft_cuda_kernel_t *const *backward; /* likewise; in inference it may be empty */
  uint32_t n_forward;
  uint32_t n_backward;
  uint64_t saved_per_row;   /* floats that forward leaves for the backward of the same rows */
  uint64_t scratch_per_row; /* floats for the duration of one call; undefined at its start */
  uint64_t scratch_fixed;   /* the same, once for a call */
  int32_t ints[REFT_CUDA_NUMBERS]; /* handed to the functions as they are, such as a rank */
  float floats[REFT_CUDA_NUMBERS]; /* likewise */
} reft_cuda_program_t;

typedef struct reft_cuda { /* what the extension's id stands for; lives as long as the instance */
  uint32_t struct_size;
  uint32_t reserved0;
  // Describes the device form for inference, or for training where `flags` has REFT_CALL_TRAINING.
  // REFT_E_UNSUPPORTED: there is none for that. `out->struct_size` says how much may be written. What
  // it points to lives as long as the instance; the answer never changes.
  // [any-thread, created]
  reft_status_t (*program)(reft_instance_t *self, uint32_t flags,
                           reft_cuda_program_t *out) REFT_NOEXCEPT;
} reft_cuda_t;

/* What a function on the card gets, by value. Rows are float32 and dense: row i begins at i * d. The
 * text is compiled with the host's definition, so this struct may grow anywhere; names stay.
 * y is never x and dx never dy. */
typedef struct reft_cuda_call {
  int32_t n;        /* rows, at least 1 */
  int32_t d;        /* numbers of a row */
  int32_t training; /* 1 when a backward call will follow */
  int32_t reserved0;
  const float *x;      /* [n, d] */
  const float *source; /* [n, d]; NULL unless the plugin promises REFT_CAP_NEEDS_SOURCE */
  float *y;            /* forward: [n, d], to be written whole */
  const float *dy;     /* backward: [n, d] */
  float *dx;           /* backward: [n, d], to be OVERWRITTEN */
  float *saved;        /* saved_per_row * n floats; in inference too, where nobody reads them later */
  float *scratch;      /* scratch_per_row * n + scratch_fixed floats */
  const float *params[REFT_CUDA_PARAMS]; /* in param_info order */
  float *dparams[REFT_CUDA_PARAMS];      /* backward: ACCUMULATED (+=); NULL: not wanted */
  const int32_t *example;               /* lists as in reft_rows_t; any may be NULL */
  const int32_t *position;
  const int32_t *length;
  const int32_t *location;
  const int32_t *subspace;
  const int32_t *adapter;
  int32_t ints[REFT_CUDA_NUMBERS];
  float floats[REFT_CUDA_NUMBERS];
} reft_cuda_call_t;

REFT_STATIC_ASSERT(sizeof(reft_cuda_kernel_t) == 40, "reft_cuda_kernel_t");
REFT_STATIC_ASSERT(sizeof(reft_cuda_program_t) == 328, "reft_cuda_program_t");
REFT_STATIC_ASSERT(sizeof(reft_cuda_t) == 16, "reft_cuda_t");
REFT_STATIC_ASSERT(sizeof(reft_cuda_call_t) == 632, "reft_cuda_call_t");

#ifdef __cplusplus
}
#endif
#endif
