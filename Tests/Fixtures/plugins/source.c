// SPDX-License-Identifier: Apache-2.0
// A correct plugin that reads what its layer read, as LoRA does: y = x + b (a . s), s a row of
// source. Compiled with -DFAULT_SOURCE_<NAME>=1 it has one fault; faults.txt has the list.

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
  static const reft_str_t names[] = {STR("down.weight"), STR("up.weight")};
  if (index > 1) return REFT_E_INVALID;
  reft_param_info_t info = {0, 1, names[index], {self->d}, REFT_F32, REFT_PARAM_TRAINABLE};
  info.init_kind = index == 0 ? REFT_INIT_NORMAL : REFT_INIT_ZEROS;
  info.init_b = 0.1;
  return tell(info, out);
}

// Nothing is kept for backward: it is given the same source again.
static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  memset(&out->saved_bytes_per_row, 0, 4 * sizeof(uint64_t));
  return shape->dim == self->d ? REFT_OK : REFT_E_UNSUPPORTED;
}

// forward without dy, backward with it.
static reft_status_t edit(reft_instance_t* self, const reft_args_t* a) {
  const float *down = a->params[0], *up = a->params[1];
  const int is_back = a->dy.data != NULL, adds = is_back && a->flags & REFT_CALL_NEED_DPARAMS;
  if (a->flags >> 16) return REFT_E_UNSUPPORTED;
  for (int64_t i = 0; i < a->x.rows; i++) {
    float *s = ROW(a->source, FAULTY(SOURCE_OF_ANOTHER_ROW) ? 0 : i), c = 0, e = 0;
    const float *in = is_back ? ROW(a->dy, i) : ROW(a->x, i), *read = s;
    if (FAULTY(SOURCE_WRITTEN)) s[0] = 0;
    if (FAULTY(SOURCE_FOR_X)) read = ROW(a->x, i);
    for (int64_t j = 0; j < self->d; j++) c += down[j] * s[j], e += up[j] * in[j];
    for (int64_t j = 0; adds && j < self->d; j++) {
      ((float*)a->dparams[0])[j] += e * read[j];
      ((float*)a->dparams[1])[j] += c * in[j];
    }
    if (is_back && !(a->flags & REFT_CALL_NEED_DX)) continue;
    float* out = is_back ? ROW(a->dx, i) : ROW(a->y, i);
    for (int64_t j = 0; j < self->d; j++) out[j] = in[j] + (is_back ? 0 : up[j] * c);
  }
  return REFT_OK;
}

#define PROMISES                                                                       \
  (REFT_CAP_ROWWISE | REFT_CAP_REENTRANT | REFT_CAP_INPLACE | REFT_CAP_IDENTITY_INIT | \
   REFT_CAP_BITWISE | REFT_CAP_AFFINE_IN_X)
static const reft_plugin_t plugin = {
    sizeof plugin,
    0,
    STR("org.reft.source"),
    STR("1.0.0"),
    STR("y = x + b (a . source)"),
    STR("Apache-2.0"),
    PROMISES | (FAULTY(SOURCE_UNASKED) ? 0 : REFT_CAP_NEEDS_SOURCE),
    1u << REFT_F32,
    NULL,
    create,
    destroy,
    param_info,
    NULL,
    plan,
    edit,
    edit};
LIBRARY(0)
