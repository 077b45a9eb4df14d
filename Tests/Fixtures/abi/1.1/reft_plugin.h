/* SPDX-License-Identifier: Apache-2.0
 * reft_plugin.h: the plugin ABI of reft, version 1.1 (LP64, little-endian, ELF).
 *
 * This one header is all that a plugin needs; copy it into any project. It compiles as C11 and as
 * C++17 with gcc and clang, and depends on <stdint.h> and <stddef.h> alone.
 *
 * A plugin is a shared library that exports one function, reft_plugin_entry_v1. It returns a static
 * description of 1...n interventions. An intervention maps rows x [n, d] of a hidden tensor to rows
 * y [n, d] and knows its derivative. The host owns all numeric memory: parameters, gradients,
 * saved values and scratch.
 *
 * Laws (docs/abi.md has the reasons):
 *  - Every struct but reft_str_t begins with struct_size, set by whoever fills it. Structs only grow
 *    at their end; a longer struct is never refused; a missing tail reads as zero (REFT_HAS).
 *    reft_str_t and reft_mat_t are embedded by value and reft_option_t stands in arrays; these never
 *    grow.
 *  - Strings are pointer + length, UTF-8, not NUL-terminated unless said so.
 *  - What came with 1.1 says so. Look for it with REFT_HAS: an older host does not have it, and a
 *    host gives a library that states abi_minor 0 nothing that would change what it computes.
 *  - No function may let an exception, a longjmp or a signal leave it, change the floating-point
 *    control word, start a thread, or keep a pointer past the time stated.
 *  - The tag line that ends each function's comment says which thread may call it
 *    ([main-thread] one thread at a time; [worker-thread] a thread of the host's pool;
 *    [any-thread] all), in which state ([created] an instance exists, [active] plan() has succeeded,
 *    [in-forward] during a forward or backward call), and whether it may allocate memory.
 */
#ifndef REFT_PLUGIN_H
#define REFT_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__cplusplus)
#define REFT_STATIC_ASSERT(c, m) static_assert(c, m)
#define REFT_NOEXCEPT noexcept
#else
#define REFT_STATIC_ASSERT(c, m) _Static_assert(c, m)
#define REFT_NOEXCEPT
#endif
#if defined(__clang__)
#define REFT_SWIFT_NAME(name) __attribute__((swift_name(#name)))
#else
#define REFT_SWIFT_NAME(name)
#endif
#define REFT_EXPORT __attribute__((visibility("default")))

#define REFT_ABI_MAJOR 1u
#define REFT_ABI_MINOR 1u
#define REFT_ENTRY_SYMBOL "reft_plugin_entry_v1"

/* True when the sender's struct `p` is long enough to hold `field`. */
#define REFT_HAS(p, type, field) \
  ((p)->struct_size >= offsetof(type, field) + sizeof(((type *)0)->field))

/* ---- Codes. Plain integers, never C enums or bool. ---- */

typedef int32_t reft_status_t; /* 0 success, negative failure */
#define REFT_OK 0
#define REFT_E_INVALID (-1)     /* an argument, option or index is out of its range */
#define REFT_E_UNSUPPORTED (-2) /* a shape, dtype or flag this plugin cannot serve */
#define REFT_E_NOMEM (-3)
#define REFT_E_NUMERIC (-4)     /* the numbers do not allow a result */
#define REFT_E_INTERNAL (-5)    /* a fault of the plugin itself */
#define REFT_E_CANCELLED (-6)

typedef uint32_t reft_dtype_t;
#define REFT_F32 1u
#define REFT_F64 2u
#define REFT_BF16 3u
#define REFT_F16 4u
#define REFT_I32 5u
#define REFT_U8 6u /* bytes, of files alone; since 1.1 */

/* Log levels. The last two say whose fault something is. */
#define REFT_LOG_DEBUG 0
#define REFT_LOG_INFO 1
#define REFT_LOG_WARNING 2
#define REFT_LOG_ERROR 3
#define REFT_LOG_HOST_MISBEHAVING 4
#define REFT_LOG_PLUGIN_MISBEHAVING 5

/* Capabilities: promises that the host exploits and `reft plugin check` tests. */
#define REFT_CAP_ROWWISE (1ull << 0)       /* row i of y depends on row i of x alone */
#define REFT_CAP_REENTRANT (1ull << 1)     /* concurrent calls on one instance are allowed */
#define REFT_CAP_INPLACE (1ull << 2)       /* y.data may equal x.data, dx.data may equal dy.data */
#define REFT_CAP_BITWISE (1ull << 3)       /* same input, same build: same bits */
#define REFT_CAP_NEEDS_SOURCE (1ull << 4)  /* reads args.source */
#define REFT_CAP_IDENTITY_INIT (1ull << 5) /* y == x right after initialisation */
#define REFT_CAP_AFFINE_IN_X (1ull << 6)   /* y is an affine function of x */
#define REFT_CAP_STRIDED (1ull << 7)       /* accepts col_stride != 1 */
#define REFT_CAP_NO_BACKWARD (1ull << 8)   /* inference only: backward is null */
/* Since 1.1: */
#define REFT_CAP_SOURCE_GRADIENT (1ull << 9)    /* backward writes args.dsource */
#define REFT_CAP_NEEDS_COUNTERPART (1ull << 10) /* reads args.counterpart */
#define REFT_CAP_AUXILIARY_LOSS (1ull << 11)    /* forward adds to *args.auxiliary */

/* Flags of reft_param_info_t. */
#define REFT_PARAM_TRAINABLE (1u << 0)
#define REFT_PARAM_NO_DECAY (1u << 1)     /* weight decay must not touch it */
#define REFT_PARAM_CUSTOM_INIT (1u << 2)  /* init_params fills it */

/* How the host fills a parameter at the start; a, b are init_a, init_b. */
#define REFT_INIT_ZEROS 0u
#define REFT_INIT_CONSTANT 1u   /* a */
#define REFT_INIT_UNIFORM 2u    /* in [a, b) */
#define REFT_INIT_NORMAL 3u     /* mean a, standard deviation b */
#define REFT_INIT_ORTHOGONAL 4u /* orthonormal rows (or columns when there are more rows) */
#define REFT_INIT_COPY 5u       /* equal to the parameter with index a, which comes before it */
#define REFT_INIT_INPUT 6u      /* the numbers of input a, which has its shape; frozen; since 1.1 */

/* What the host keeps true of a parameter after each optimiser step. */
#define REFT_CONSTRAINT_NONE 0u
#define REFT_CONSTRAINT_ORTHONORMAL_ROWS 1u
#define REFT_CONSTRAINT_ORTHONORMAL_COLUMNS 2u
#define REFT_CONSTRAINT_UNIT_ROWS 3u
#define REFT_CONSTRAINT_BOX 4u /* constraint_a <= value <= constraint_b */

/* Types of options. */
#define REFT_OPTION_INT 1u
#define REFT_OPTION_FLOAT 2u
#define REFT_OPTION_STRING 3u
#define REFT_OPTION_FLAG 4u /* 0 or 1 in i */
/* Since 1.1. The user names a file, or a tensor of a safetensors file as "FILE#TENSOR"; the host
 * opens it. In create, i is the index of the input for input_info and REFT_INIT_INPUT, or -1 where
 * the user names none, and s is what the user wrote. */
#define REFT_OPTION_TENSOR 5u
#define REFT_OPTION_FILE 6u

/* Flags of a call. Bits 0-15 may be ignored when unknown; an unknown bit of 16-31 must be refused
 * with REFT_E_UNSUPPORTED. */
#define REFT_CALL_TRAINING (1u << 0)     /* dropout is on, values for backward must be saved */
#define REFT_CALL_NEED_DX (1u << 1)      /* backward: dx must be written */
#define REFT_CALL_NEED_DPARAMS (1u << 2) /* backward: dparams must be accumulated */
#define REFT_CALL_NEED_DSOURCE (1u << 3) /* backward: dsource must be written; since 1.1 */

/* ---- Values ---- */

typedef struct reft_str { /* UTF-8 text; frozen */
  const char *ptr;
  uint64_t len;
} reft_str_t;

typedef struct reft_mat { /* a [rows, cols] view, strides in elements; frozen */
  uint32_t struct_size;
  reft_dtype_t dtype;
  void *data; /* NULL when absent */
  int64_t rows;
  int64_t cols;
  int64_t row_stride;
  int64_t col_stride;
} reft_mat_t;

typedef struct reft_tensor { /* numbers that the host read for the plugin; since 1.1 */
  uint32_t struct_size;
  reft_dtype_t dtype; /* REFT_F32, whatever the file holds; of a file REFT_U8 */
  uint32_t rank;      /* number of dimensions, 0...4; of a file 1 */
  uint32_t reserved0;
  int64_t dims[4];  /* row-major; unused ones are 0 */
  const void *data; /* read-only, dense, valid until destroy; other instances may share it */
} reft_tensor_t;

typedef struct reft_option_info { /* one option that a plugin understands */
  uint32_t struct_size;
  uint32_t type;
  reft_str_t name;
  reft_str_t help;       /* one line */
  reft_str_t choices;    /* strings: the allowed values separated by '|'; empty = any */
  int64_t default_i;     /* int and flag */
  double default_f;      /* float */
  reft_str_t default_s;  /* string */
  double minimum;        /* int and float; minimum > maximum means no range */
  double maximum;
} reft_option_info_t;

typedef struct reft_option { /* one option that the user set */
  uint32_t struct_size;
  uint32_t type;
  reft_str_t name;
  int64_t i;
  double f;
  reft_str_t s;
} reft_option_t;

typedef struct reft_param_info { /* one parameter tensor of an instance */
  uint32_t struct_size;
  uint32_t rank;     /* number of dimensions, 1...4 */
  reft_str_t name;   /* stable: it is the checkpoint key, e.g. "rotate.weight" */
  int64_t dims[4];   /* row-major; unused ones are 0 */
  reft_dtype_t dtype; /* REFT_F32 in ABI 1.0 */
  uint32_t flags;
  uint32_t init_kind;
  uint32_t constraint;
  double init_a;
  double init_b;
  double constraint_a;
  double constraint_b;
  double learning_rate_scale; /* multiplies the run's rate; 1 = as it is */
  double weight_decay_scale;
} reft_param_info_t;

typedef struct reft_shape { /* what the host promises for all calls until the next plan() */
  uint32_t struct_size;
  reft_dtype_t dtype;
  int64_t max_rows;
  int64_t dim;        /* d, the width of a row */
  int64_t layer;      /* block index, 0-based */
  reft_str_t component; /* e.g. "block_output" */
  int64_t source_dim;   /* width of a row of source, 0 where there is none; since 1.1 */
  int64_t n_locations;  /* locations that the position rule lists, 0 = no fixed list; since 1.1 */
} reft_shape_t;

typedef struct reft_workspace { /* memory that the host shall provide; 64-byte aligned */
  uint32_t struct_size;
  uint32_t reserved0;
  uint64_t saved_bytes_per_row; /* written by forward, read by the backward of the same rows */
  uint64_t saved_bytes_fixed;
  uint64_t scratch_bytes_per_row; /* contents are undefined at the start of each call */
  uint64_t scratch_bytes_fixed;
  uint64_t state_bytes_per_sequence; /* kept from a sequence's prompt to its end; since 1.1 */
  uint64_t collected_per_row;        /* floats of a row of args.collected; since 1.1 */
} reft_workspace_t;

typedef struct reft_rows { /* where the rows come from; any pointer may be NULL */
  uint32_t struct_size;
  uint32_t reserved0;
  int64_t n;
  const int32_t *example;  /* which sequence of the batch, from 0 */
  const int32_t *position; /* token position in it */
  const int32_t *length;   /* its prompt length */
  const int32_t *location; /* which of the rule's locations (f1, f2, ..., l1), -1 = none */
  const int32_t *subspace; /* subspace id, -1 = all */
  const int32_t *adapter;  /* which adapter of the batch */
  const int32_t *decoded;  /* 1 = a generated token (training: of the completion); since 1.1 */
  const int64_t *key;      /* names the sequence in any batch, for dropout; since 1.1 */
} reft_rows_t;

typedef struct reft_call reft_call_t; /* opaque, host owned, valid during one call */

typedef struct reft_args { /* of one forward or backward call; all pointers valid until it returns */
  uint32_t struct_size;
  uint32_t flags;
  reft_call_t *call;
  reft_mat_t x;      /* in */
  reft_mat_t source; /* in; data is NULL when absent */
  reft_mat_t y;      /* forward: out */
  reft_mat_t dy;     /* backward: in */
  reft_mat_t dx;     /* backward: out, OVERWRITTEN */
  const void *const *params; /* n_params pointers, in param_info order */
  void *const *dparams;      /* backward: out, ACCUMULATED (+=) */
  uint32_t n_params;
  uint32_t reserved0;
  const reft_rows_t *rows; /* may be NULL */
  void *saved;
  uint64_t saved_bytes;
  void *scratch;
  uint64_t scratch_bytes;
  uint64_t rng_key; /* counter-based randomness: the same (key, step) gives the same numbers */
  uint64_t rng_step;
  /* Since 1.1: */
  reft_mat_t dsource;     /* backward: out, [n, source_dim], OVERWRITTEN */
  reft_mat_t counterpart; /* in, [n, d]: the same rows in a run over another prompt */
  reft_mat_t collected;   /* forward: out, [n, collected_per_row]; data is NULL when nobody asks */
  void *const *states;    /* forward: one pointer per row, that of its sequence's state, zero at the
                           * start of a sequence; NULL unless plan asked for it. Rows of a sequence
                           * come in the order of their positions, its whole prompt in one call. */
  double *auxiliary;      /* forward: the sum over the call's rows, ADDED; NULL when nobody asks */
  double auxiliary_gradient; /* backward: d loss / d auxiliary */
  int64_t step;              /* optimiser steps done so far */
  int64_t total_steps;       /* of the run; 0 outside training */
} reft_args_t;

/* ---- Host ---- */

typedef void (*reft_body_t)(void *arg, int64_t begin, int64_t end);

typedef struct reft_host { /* services; valid as long as the instance that received it */
  uint32_t struct_size;
  uint32_t abi_major;
  uint32_t abi_minor;
  uint32_t reserved0;
  void *context; /* first argument of every function below */
  reft_str_t name;
  reft_str_t version;
  // Writes a line to the host's log. The host copies the text.
  // [any-thread, created, may-allocate]
  void (*log)(void *context, int32_t level, const char *text, uint64_t length) REFT_NOEXCEPT;
  // Says why the current call is about to fail, in a sentence. The host copies the text.
  // [any-thread, created, may-allocate]
  void (*set_error)(void *context, reft_call_t *call, reft_status_t code, const char *text,
                    uint64_t length) REFT_NOEXCEPT;
  // Memory for the life of an instance, 64-byte aligned; NULL when there is none.
  // [main-thread, created, may-allocate]
  void *(*alloc)(void *context, uint64_t bytes) REFT_NOEXCEPT;
  // [main-thread, created]
  void (*free)(void *context, void *memory) REFT_NOEXCEPT;
  // Runs body over [0, n) in pieces of at most `grain`, possibly on several threads; returns when
  // all are done. The pieces do not depend on the number of threads.
  // [worker-thread, active, in-forward, no-allocate]
  void (*parallel_for)(void *context, reft_call_t *call, int64_t n, int64_t grain, reft_body_t body,
                       void *arg) REFT_NOEXCEPT;
  // C = alpha op(A) op(B) + beta C, row-major; op transposes when the flag is 1. Each row of C is
  // computed in an order that does not depend on the other rows.
  // [worker-thread, active, in-forward, no-allocate]
  void (*gemm_f32)(void *context, reft_call_t *call, uint32_t transpose_a, uint32_t transpose_b,
                   int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                   const float *b, int64_t ldb, float beta, float *c, int64_t ldc) REFT_NOEXCEPT;
  // n standard normal numbers number offset...offset+n-1 of the stream (key, step).
  // [any-thread, created, no-allocate]
  void (*rng_normal)(void *context, uint64_t key, uint64_t step, uint64_t offset, float *out,
                     int64_t n) REFT_NOEXCEPT;
  // The same, uniform in [0, 1).
  // [any-thread, created, no-allocate]
  void (*rng_uniform)(void *context, uint64_t key, uint64_t step, uint64_t offset, float *out,
                      int64_t n) REFT_NOEXCEPT;
  // 1 when the host wants the current call to end early with REFT_E_CANCELLED.
  // [any-thread, active, in-forward, no-allocate]
  uint32_t (*cancelled)(void *context, reft_call_t *call) REFT_NOEXCEPT;
  // A table of further services by id ("reft.<name>/<revision>", NUL-terminated), or NULL.
  // [any-thread, created]
  const void *(*extension)(void *context, const char *id) REFT_NOEXCEPT;
  // Describes an input that an option named; REFT_E_INVALID for an index that no option had. Since
  // 1.1.
  // [main-thread, created, also within create, no-allocate]
  reft_status_t (*input_info)(void *context, int64_t index, reft_tensor_t *out) REFT_NOEXCEPT;
} reft_host_t;

/* ---- Plugin ---- */

typedef struct reft_instance reft_instance_t; /* opaque, plugin owned */

typedef struct reft_plugin { /* one intervention; lives as long as the process */
  uint32_t struct_size;
  uint32_t reserved0;
  reft_str_t id; /* reverse domain, e.g. "org.reft.loreft"; its last part is the plugin's name */
  reft_str_t version; /* semantic, e.g. "1.0.0" */
  reft_str_t summary; /* one line, with the formula */
  reft_str_t license; /* SPDX */
  uint64_t capabilities;
  uint64_t dtypes; /* bit (1 << dtype) for each dtype of x that is served */
  // Describes option `index`; REFT_E_INVALID past the end. NULL when there are no options.
  // `out->struct_size` says how much may be written. Texts live as long as the process.
  // [any-thread, no-allocate]
  reft_status_t (*option_info)(uint32_t index, reft_option_info_t *out) REFT_NOEXCEPT;
  // Makes an instance for rows of width shape->dim. Options not set have their defaults. `shape`
  // and `options` are valid until the call returns, `host` until destroy. On failure *out is NULL.
  // [main-thread, may-allocate]
  reft_status_t (*create)(const reft_host_t *host, const reft_shape_t *shape,
                          const reft_option_t *options, uint32_t n_options, reft_call_t *call,
                          reft_instance_t **out) REFT_NOEXCEPT;
  // Ends an instance; no call on it is running. NULL is allowed and does nothing.
  // [main-thread, created]
  void (*destroy)(reft_instance_t *self) REFT_NOEXCEPT;
  // Describes parameter `index`; REFT_E_INVALID past the end. The answer never changes during the
  // life of an instance. Texts live as long as the instance.
  // [any-thread, created, no-allocate]
  reft_status_t (*param_info)(reft_instance_t *self, uint32_t index,
                              reft_param_info_t *out) REFT_NOEXCEPT;
  // Fills the parameters that carry REFT_PARAM_CUSTOM_INIT, after the host filled the others. A
  // pure function of `seed`. NULL when no parameter asks for it.
  // [main-thread, created, may-allocate]
  reft_status_t (*init_params)(reft_instance_t *self, uint64_t seed, void *const *params,
                               uint32_t n_params, reft_call_t *call) REFT_NOEXCEPT;
  // States the memory that calls of up to shape->max_rows rows need.
  // [main-thread, created, may-allocate]
  reft_status_t (*plan)(reft_instance_t *self, const reft_shape_t *shape,
                        reft_workspace_t *out) REFT_NOEXCEPT;
  // Writes the edited rows to args->y and, when REFT_CALL_TRAINING is set, what backward needs to
  // args->saved. x, params and rows are read-only. On a failure y is unspecified.
  // [worker-thread, active, no-allocate]
  reft_status_t (*forward)(reft_instance_t *self, const reft_args_t *args) REFT_NOEXCEPT;
  // Overwrites args->dx with d loss / d x and adds d loss / d parameter to args->dparams. x, params,
  // rows, saved and (key, step) are those of the forward call. Between a forward and its backward
  // any number of other calls may happen. NULL only with REFT_CAP_NO_BACKWARD.
  // [worker-thread, active, no-allocate]
  reft_status_t (*backward)(reft_instance_t *self, const reft_args_t *args) REFT_NOEXCEPT;
  // A table of further abilities by id (NUL-terminated), or NULL. The slot itself may be NULL.
  // [any-thread, created]
  const void *(*extension)(reft_instance_t *self, const char *id) REFT_NOEXCEPT;
} reft_plugin_t;

typedef struct reft_library { /* what the entry returns; lives as long as the process */
  uint32_t struct_size;
  uint32_t abi_major;
  uint32_t abi_minor;
  uint32_t n_plugins;
  const reft_plugin_t *const *plugins;
} reft_library_t;

typedef struct reft_entry_args {
  uint32_t struct_size;
  uint32_t host_abi_major;
  uint32_t host_abi_minor;
  uint32_t reserved0;
  reft_str_t library_path;
  char *error; /* the plugin writes NUL-terminated text here when it returns NULL */
  uint64_t error_capacity;
} reft_entry_args_t;

// The one exported symbol. Returns the library's description, the same at every call, or NULL with
// a sentence in args->error. Fast, without side effects.
// [main-thread, may-allocate]
REFT_EXPORT const reft_library_t *reft_plugin_entry_v1(const reft_entry_args_t *args) REFT_NOEXCEPT
    REFT_SWIFT_NAME(reftPluginEntryV1(_:));

/* ---- Layout of ABI 1.1, asserted wherever the header is compiled ---- */

REFT_STATIC_ASSERT(sizeof(void *) == 8 && sizeof(int) == 4, "LP64 only");
REFT_STATIC_ASSERT(sizeof(reft_str_t) == 16, "reft_str_t");
REFT_STATIC_ASSERT(sizeof(reft_mat_t) == 48 && offsetof(reft_mat_t, col_stride) == 40, "reft_mat_t");
REFT_STATIC_ASSERT(sizeof(reft_tensor_t) == 56, "reft_tensor_t");
REFT_STATIC_ASSERT(sizeof(reft_option_info_t) == 104, "reft_option_info_t");
REFT_STATIC_ASSERT(sizeof(reft_option_t) == 56, "reft_option_t");
REFT_STATIC_ASSERT(sizeof(reft_param_info_t) == 120, "reft_param_info_t");
REFT_STATIC_ASSERT(sizeof(reft_shape_t) == 64, "reft_shape_t");
REFT_STATIC_ASSERT(sizeof(reft_workspace_t) == 56, "reft_workspace_t");
REFT_STATIC_ASSERT(sizeof(reft_rows_t) == 80, "reft_rows_t");
REFT_STATIC_ASSERT(sizeof(reft_args_t) == 520 && offsetof(reft_args_t, params) == 256, "reft_args_t");
REFT_STATIC_ASSERT(sizeof(reft_host_t) == 144, "reft_host_t");
REFT_STATIC_ASSERT(sizeof(reft_plugin_t) == 160, "reft_plugin_t");
REFT_STATIC_ASSERT(sizeof(reft_library_t) == 24, "reft_library_t");
REFT_STATIC_ASSERT(sizeof(reft_entry_args_t) == 48, "reft_entry_args_t");

#ifdef __cplusplus
}
#endif
#endif
