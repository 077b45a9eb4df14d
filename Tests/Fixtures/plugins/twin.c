// SPDX-License-Identifier: Apache-2.0
// A correct plugin of ABI 1.1 that takes rows of another prompt: y = x + b (a . (t - x)), t a row
// of counterpart. Compiled with -DFAULT_TWIN_<NAME>=1 it has one fault; faults.txt has the list.

#include "small.h"

struct reft_instance {
  int64_t d;
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
  static const reft_str_t names[] = {STR("read.weight"), STR("write.weight")};
  if (index > 1) return REFT_E_INVALID;
  reft_param_info_t info = {0, 1, names[index], {self->d}, REFT_F32, REFT_PARAM_TRAINABLE};
  info.init_kind = REFT_INIT_NORMAL;
  info.init_b = 0.1;
  return tell(info, out);
}

// Nothing is kept for backward: it is given the same counterpart again.
static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  memset(&out->saved_bytes_per_row, 0, 4 * sizeof(uint64_t));
  return shape->dim == self->d ? REFT_OK : REFT_E_UNSUPPORTED;
}

static const float* twin(const reft_args_t* a, int64_t i) {
  float* t = ROW(a->counterpart, FAULTY(TWIN_OF_ANOTHER_ROW) ? 0 : i);
  if (FAULTY(TWIN_WRITTEN)) *(volatile float*)t = 0;
  return t;
}

static float read_out(const reft_instance_t* self, const reft_args_t* a, int64_t i) {
  const float *read = a->params[0], *x = ROW(a->x, i), *t = twin(a, i);
  float sum = 0;
  for (int64_t j = 0; j < self->d; j++) sum += read[j] * (t[j] - x[j]);
  return sum;
}

// A host of ABI 1.0 has no other prompts.
static int serves(const reft_args_t* a) {
  if (FAULTY(TWIN_OF_OLD_HOST) || FAULTY(TWIN_UNASKED)) return !(a->flags >> 16);
  return !(a->flags >> 16) && REFT_HAS(a, reft_args_t, counterpart) && a->counterpart.data;
}

static reft_status_t forward(reft_instance_t* self, const reft_args_t* a) {
  const float* write = a->params[1];
  if (!serves(a)) return REFT_E_UNSUPPORTED;
  for (int64_t i = 0; i < a->x.rows; i++) {
    const float *x = ROW(a->x, i), c = read_out(self, a, i);
    float* y = ROW(a->y, i);
    for (int64_t j = 0; j < self->d; j++) y[j] = x[j] + write[j] * c;
  }
  return REFT_OK;
}

static reft_status_t backward(reft_instance_t* self, const reft_args_t* a) {
  const float *read = a->params[0], *write = a->params[1];
  const int adds = (a->flags & REFT_CALL_NEED_DPARAMS) != 0;
  if (!serves(a)) return REFT_E_UNSUPPORTED;
  for (int64_t i = 0; i < a->x.rows; i++) {
    const float *dy = ROW(a->dy, i), *x = ROW(a->x, i), *t = twin(a, i);
    float c = read_out(self, a, i), slope = 0;
    for (int64_t j = 0; j < self->d; j++) slope += write[j] * dy[j];
    for (int64_t j = 0; adds && j < self->d; j++) {
      ((float*)a->dparams[0])[j] += slope * (t[j] - (FAULTY(TWIN_FOR_X) ? 0 : x[j]));
      ((float*)a->dparams[1])[j] += c * dy[j];
    }
    if (!(a->flags & REFT_CALL_NEED_DX)) continue;
    float* dx = ROW(a->dx, i);
    for (int64_t j = 0; j < self->d; j++) dx[j] = dy[j] - slope * read[j];
  }
  return REFT_OK;
}

#define PROMISES                                                                 \
  (REFT_CAP_ROWWISE | REFT_CAP_REENTRANT | REFT_CAP_INPLACE | REFT_CAP_BITWISE | \
   REFT_CAP_AFFINE_IN_X)
static const reft_plugin_t plugin = {
    sizeof plugin,
    0,
    STR("org.reft.twin"),
    STR("1.0.0"),
    STR("y = x + b (a . (counterpart - x))"),
    STR("Apache-2.0"),
    PROMISES | (FAULTY(TWIN_UNASKED) ? 0 : REFT_CAP_NEEDS_COUNTERPART),
    1u << REFT_F32,
    NULL,
    create,
    destroy,
    param_info,
    NULL,
    plan,
    forward,
    backward};
LIBRARY(1)
