/* SPDX-License-Identifier: Apache-2.0
 * edit_plugin.h: the ABI as our C plugins speak it, written once. An edit states its options, its
 * parameters, how many numbers it needs, and how one row goes forward and backward; what stands
 * here makes the tables from that and checks what the host passes. The walk over the rows, with
 * dropout of the edited row where an option of that name exists, is in edit_walk.h, what an edit
 * states in edit_options.h, the arithmetic of a row in rows.h.
 *
 * A library defines its edits and, for each, `EDIT_PLUGIN(name, edit, summary, capabilities)`, then
 * once `EDIT_LIBRARY(&plugin_a, &plugin_b)`.
 */
#ifndef SHARED_EDIT_PLUGIN_H
#define SHARED_EDIT_PLUGIN_H

#include "edit_walk.h"

/* ---- Life of an instance ---- */

SHARED reft_status_t edit_fail(const reft_host_t* host, reft_call_t* call, reft_status_t code,
                               const char* text) {
  host->set_error(host->context, call, code, text, strlen(text));
  return code;
}

SHARED reft_status_t edit_create(const edit_t* edit, const reft_host_t* host,
                                 const reft_shape_t* shape, const reft_option_t* list,
                                 uint32_t count, reft_call_t* call, reft_instance_t** out) {
  *out = NULL;
  if (shape->dtype != REFT_F32 || shape->dim < 1)
    return edit_fail(host, call, REFT_E_UNSUPPORTED, "rows must be float32 and at least 1 wide");
  reft_instance_t made = {.host = host, .edit = edit, .d = shape->dim, .kind = edit->kind};
  const char* reason = edit_read(&made, list, count);
  if (!reason) reason = edit_common(&made);
  if (!reason && edit->setup) reason = edit->setup(&made);
  if (reason) {
    if (made.own) host->free(host->context, made.own);
    return edit_fail(host, call, REFT_E_INVALID, reason);
  }
  for (uint32_t i = 0; i < edit->n_options; i++) made.set[i].s = (reft_str_t){NULL, 0};
  reft_instance_t* self = host->alloc(host->context, sizeof *self);
  if (!self) {
    if (made.own) host->free(host->context, made.own);
    return edit_fail(host, call, REFT_E_NOMEM, "no memory for an instance");
  }
  *self = made;
  *out = self;
  return REFT_OK;
}

SHARED void edit_destroy(reft_instance_t* self) {
  if (self && self->own) self->host->free(self->host->context, self->own);
  if (self) self->host->free(self->host->context, self);
}

SHARED reft_status_t edit_param_info(reft_instance_t* self, uint32_t index,
                                     reft_param_info_t* out) {
  if (index >= self->edit->n_params(self)) return REFT_E_INVALID;
  reft_param_info_t info = edit_parameter(self, index);
  if (out->struct_size < sizeof info) info.struct_size = out->struct_size;
  memcpy(out, &info, info.struct_size);
  return REFT_OK;
}

// Makes of a parameter a vector of `count` numbers without decay.
SHARED void edit_vector(reft_param_info_t* info, int64_t count) {
  info->rank = 1;
  info->dims[0] = count;
  info->dims[1] = 0;
  info->flags |= REFT_PARAM_NO_DECAY;
}

// Makes of a matrix one whose rows stay orthonormal.
SHARED void edit_orthonormal(reft_param_info_t* info) {
  info->flags |= REFT_PARAM_NO_DECAY;
  info->init_kind = REFT_INIT_ORTHOGONAL;
  info->constraint = REFT_CONSTRAINT_ORTHONORMAL_ROWS;
}

// Makes of a parameter one that starts as one value everywhere.
SHARED void edit_constant(reft_param_info_t* info, double value) {
  info->init_kind = REFT_INIT_CONSTANT;
  info->init_a = value;
  info->init_b = 0;
}

/* ---- Calls ---- */

SHARED reft_status_t edit_plan(reft_instance_t* self, const reft_shape_t* shape,
                               reft_workspace_t* out) {
  if (shape->dim != self->d || shape->dtype != REFT_F32) return REFT_E_UNSUPPORTED;
  out->saved_bytes_per_row = (uint64_t)self->edit->saved(self) * sizeof(float);
  out->saved_bytes_fixed = 0;
  out->scratch_bytes_per_row = 0;
  out->scratch_bytes_fixed = (uint64_t)edit_scratch(self, shape->max_rows) * sizeof(float);
  return REFT_OK;
}

SHARED int edit_is_rows(const reft_instance_t* self, const reft_mat_t* m, int64_t n) {
  return m->data && m->dtype == REFT_F32 && m->cols == self->d && m->rows == n &&
         m->col_stride == 1;
}

SHARED reft_status_t edit_check(const reft_instance_t* self, const reft_args_t* args,
                                int needs_saved) {
  uint64_t saved = (uint64_t)(args->x.rows * self->edit->saved(self)) * sizeof(float);
  uint64_t scratch = (uint64_t)edit_scratch(self, args->x.rows) * sizeof(float);
  if (!REFT_HAS(args, reft_args_t, rng_step) || !args->params ||
      args->n_params != self->edit->n_params(self) || !edit_is_rows(self, &args->x, args->x.rows) ||
      args->scratch_bytes < scratch || (needs_saved && args->saved_bytes < saved))
    return edit_fail(self->host, args->call, REFT_E_INVALID,
                     "x, the parameters or the memory are not as planned");
  if (self->edit->takes_counterpart && (!REFT_HAS(args, reft_args_t, counterpart) ||
                                        !edit_is_rows(self, &args->counterpart, args->x.rows)))
    return edit_fail(self->host, args->call, REFT_E_UNSUPPORTED,
                     "there are no rows of a source prompt, which hosts of ABI 1.1 give");
  if (args->flags >> 16)
    return edit_fail(self->host, args->call, REFT_E_UNSUPPORTED,
                     "an unknown flag must be understood");
  const char* reason = self->edit->refuses ? self->edit->refuses(self, args) : NULL;
  if (reason) return edit_fail(self->host, args->call, REFT_E_INVALID, reason);
  return REFT_OK;
}

SHARED reft_status_t edit_forward(reft_instance_t* self, const reft_args_t* args) {
  reft_status_t status = edit_check(self, args, (args->flags & REFT_CALL_TRAINING) != 0);
  if (status != REFT_OK) return status;
  if (!edit_is_rows(self, &args->y, args->x.rows))
    return edit_fail(self->host, args->call, REFT_E_INVALID, "y does not fit x");
  edit_walk_t walk = edit_walk(self, args);
  double own[EDIT_MOST_PIECES] = {0};
  if (self->edit->auxiliary && REFT_HAS(args, reft_args_t, auxiliary) && args->auxiliary)
    walk.own = own;
  edit_run(&walk, walk.pieces, edit_forward_piece);
  for (int64_t piece = 0; walk.own && piece < walk.pieces; piece++) *args->auxiliary += own[piece];
  return REFT_OK;
}

SHARED reft_status_t edit_backward(reft_instance_t* self, const reft_args_t* args) {
  reft_status_t status = edit_check(self, args, 1);
  if (status != REFT_OK) return status;
  int64_t n = args->x.rows;
  if (!edit_is_rows(self, &args->dy, n) ||
      ((args->flags & REFT_CALL_NEED_DX) && !edit_is_rows(self, &args->dx, n)) ||
      ((args->flags & REFT_CALL_NEED_DPARAMS) && !args->dparams))
    return edit_fail(self->host, args->call, REFT_E_INVALID, "dy or dx does not fit x");
  edit_walk_t walk = edit_walk(self, args);
  if (walk.pieces == 1) {
    edit_backward_alone(&walk);
  } else {
    edit_run(&walk, walk.pieces, edit_rows_piece);
    edit_run(&walk, edit_column_pieces(&walk), edit_columns_piece);
  }
  return REFT_OK;
}

/* ---- Extensions ---- */

SHARED reft_status_t edit_program(reft_instance_t* self, uint32_t flags, reft_cuda_program_t* out) {
  reft_cuda_program_t program = {.struct_size = out->struct_size < sizeof program
                                                    ? out->struct_size
                                                    : (uint32_t)sizeof program};
  if (((flags & REFT_CALL_TRAINING) && self->dropout > 0) || !self->edit->cuda(self, &program))
    return REFT_E_UNSUPPORTED;
  memcpy(out, &program, program.struct_size);
  return REFT_OK;
}

static const reft_cuda_t edit_cuda = {.struct_size = sizeof(reft_cuda_t), .program = edit_program};

// Without dropout and sets, numbers depend on x and the parameters alone, in training too.
SHARED const void* edit_extension(reft_instance_t* self, const char* id) {
  if (strcmp(id, REFT_CUDA_EXTENSION) == 0) return self->edit->cuda ? &edit_cuda : NULL;
  int is_fixed = self->dropout == 0 && self->n_sets == 0;
  return is_fixed && strcmp(id, "reft.deterministic/1") == 0 ? self : NULL;
}

/* ---- Tables ---- */

#define EDIT_PROMISES (REFT_CAP_ROWWISE | REFT_CAP_REENTRANT | REFT_CAP_INPLACE | REFT_CAP_BITWISE)

// Defines the table plugin_<name> for an edit; `more` are promises beside those that all keep.
#define EDIT_PLUGIN(name, plugin_id, of_edit, text, more)                                          \
  static reft_status_t name##_option(uint32_t index, reft_option_info_t* out) {                    \
    return edit_option_info(&of_edit, index, out);                                                 \
  }                                                                                                \
  static reft_status_t name##_create(const reft_host_t* host, const reft_shape_t* shape,           \
                                     const reft_option_t* list, uint32_t count, reft_call_t* call, \
                                     reft_instance_t** out) {                                      \
    return edit_create(&of_edit, host, shape, list, count, call, out);                             \
  }                                                                                                \
  static const reft_plugin_t plugin_##name = {.struct_size = sizeof(reft_plugin_t),                \
                                              .id = STR(plugin_id),                                \
                                              .version = STR("1.0.0"),                             \
                                              .summary = STR(text),                                \
                                              .license = STR("Apache-2.0"),                        \
                                              .capabilities = EDIT_PROMISES | (more),              \
                                              .dtypes = 1u << REFT_F32,                            \
                                              .option_info = name##_option,                        \
                                              .create = name##_create,                             \
                                              .destroy = edit_destroy,                             \
                                              .param_info = edit_param_info,                       \
                                              .plan = edit_plan,                                   \
                                              .forward = edit_forward,                             \
                                              .backward = edit_backward,                           \
                                              .extension = edit_extension}

// Defines the entry.
#define EDIT_LIBRARY(...)                                                                 \
  const reft_library_t* reft_plugin_entry_v1(const reft_entry_args_t* args) {             \
    static const reft_plugin_t* const plugins[] = {__VA_ARGS__};                          \
    static const reft_library_t library = {.struct_size = sizeof library,                 \
                                           .abi_major = REFT_ABI_MAJOR,                   \
                                           .abi_minor = REFT_ABI_MINOR,                   \
                                           .n_plugins = sizeof plugins / sizeof *plugins, \
                                           .plugins = plugins};                           \
    (void)args;                                                                           \
    return &library;                                                                      \
  }                                                                                       \
  REFT_STATIC_ASSERT(1, "")

#endif
