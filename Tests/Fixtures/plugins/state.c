// SPDX-License-Identifier: Apache-2.0
// A correct plugin that decides at the last prompt token whether it edits from there on:
// y = x + v where w . x_last > 0. Compiled with -DFAULT_STATE_<NAME>=1 it has one fault.

#include "small.h"

enum { W, V };
struct reft_instance {
  int64_t d;
  float own[16];
};

static reft_status_t create(const reft_host_t* host, const reft_shape_t* shape,
                            const reft_option_t* options, uint32_t n_options, reft_call_t* call,
                            reft_instance_t** out) {
  const reft_status_t status = make_instance(host, shape, n_options, call, sizeof **out, out);
  if (status != REFT_OK) return status;
  (*out)->d = shape->dim;
  return REFT_OK;
}

static reft_status_t param_info(reft_instance_t* self, uint32_t index, reft_param_info_t* out) {
  static const reft_str_t names[] = {STR("condition"), STR("vector")};
  if (index > V) return REFT_E_INVALID;
  reft_param_info_t info = {0, 1, names[index], {self->d}, REFT_F32};
  info.flags = index == V ? REFT_PARAM_TRAINABLE : 0;
  info.init_kind = index == V ? REFT_INIT_ZEROS : REFT_INIT_NORMAL;
  info.init_b = 1;
  return tell(info, out);
}

static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  out->saved_bytes_per_row = sizeof(float);
  if (REFT_HAS(out, reft_workspace_t, state_bytes_per_sequence)) out->state_bytes_per_sequence = 64;
  return shape->dim == self->d ? REFT_OK : REFT_E_UNSUPPORTED;
}

static reft_status_t forward(reft_instance_t* self, const reft_args_t* a) {
  const float *w = a->params[W], *v = a->params[V];
  const reft_rows_t* rows = a->rows;
  if (a->flags >> 16) return REFT_E_UNSUPPORTED;
  float anew[16] = {0};
  for (int64_t i = 0; i < a->x.rows; i++) {
    const float* h = ROW(a->x, i);
    const int told =
        rows && rows->position && rows->length && REFT_HAS(a, reft_args_t, states) && a->states;
    const int from_last = told && rows->position[i] >= rows->length[i] - 1;
    float* state = told ? a->states[i] : anew;
    if (FAULTY(STATE_IN_INSTANCE)) state = self->own;
    if (FAULTY(STATE_FORGOTTEN)) state = anew;
    if (from_last && rows->position[i] == rows->length[i] - 1) {
      float sum = 0;
      for (int64_t j = 0; j < self->d; j++) sum += w[j] * h[j];
      state[0] = sum > 0;
      if (FAULTY(STATE_OVERRUN)) state[16] = 1;
    }
    const float gate = from_last ? state[0] : 0;
    if (a->flags & REFT_CALL_TRAINING) ((float*)a->saved)[i] = gate;
    for (int64_t j = 0; j < self->d; j++) ROW(a->y, i)[j] = h[j] + gate * v[j];
  }
  return REFT_OK;
}

static reft_status_t backward(reft_instance_t* self, const reft_args_t* a) {
  if (a->flags >> 16) return REFT_E_UNSUPPORTED;
  for (int64_t i = 0; i < a->x.rows; i++) {
    const float *dy = ROW(a->dy, i), gate = ((const float*)a->saved)[i];
    for (int64_t j = 0; a->flags & REFT_CALL_NEED_DPARAMS && j < self->d; j++)
      ((float*)a->dparams[V])[j] += gate * dy[j];
    for (int64_t j = 0; a->flags & REFT_CALL_NEED_DX && j < self->d; j++) ROW(a->dx, i)[j] = dy[j];
  }
  return REFT_OK;
}

static const reft_plugin_t plugin = {.struct_size = sizeof plugin,
                                     .id = STR("org.reft.state"),
                                     .version = STR("1.0.0"),
                                     .summary = STR("y = x + v where w . x_last > 0"),
                                     .license = STR("Apache-2.0"),
                                     .capabilities = REFT_CAP_REENTRANT | REFT_CAP_INPLACE |
                                                     REFT_CAP_BITWISE | REFT_CAP_IDENTITY_INIT |
                                                     (FAULTY(STATE_ROWWISE) ? REFT_CAP_ROWWISE : 0),
                                     .dtypes = 1u << REFT_F32,
                                     .create = create,
                                     .destroy = destroy,
                                     .param_info = param_info,
                                     .plan = plan,
                                     .forward = forward,
                                     .backward = backward};
LIBRARY(REFT_ABI_MINOR)
