// SPDX-License-Identifier: Apache-2.0
// A correct plugin of ABI 1.1 that reads rows of any width beside its own and knows the gradient of
// these: y = x + b tanh(a . s), s a row of source. Compiled with -DFAULT_WIDE_<NAME>=1 it has one
// fault; faults.txt has the list.
#include <math.h>

#include "small.h"

struct reft_instance {
  int64_t d, width;
};

static reft_status_t create(const reft_host_t* host, const reft_shape_t* shape,
                            const reft_option_t* options, uint32_t n_options, reft_call_t* call,
                            reft_instance_t** out) {
  const reft_status_t status = make_instance(host, shape, n_options, call, sizeof **out, out);
  if (status != REFT_OK) return status;
  (*out)->d = (*out)->width = shape->dim;
  if (REFT_HAS(shape, reft_shape_t, source_dim)) (*out)->width = shape->source_dim;
  return REFT_OK;
}

static reft_status_t param_info(reft_instance_t* self, uint32_t index, reft_param_info_t* out) {
  static const reft_str_t names[] = {STR("read.weight"), STR("write.weight")};
  if (index > 1) return REFT_E_INVALID;
  const int64_t count = index == 0 ? self->width : self->d;
  reft_param_info_t info = {0, 1, names[index], {count}, REFT_F32, REFT_PARAM_TRAINABLE};
  info.init_kind = REFT_INIT_NORMAL;
  info.init_b = 0.1;
  return tell(info, out);
}

// Nothing is kept for backward: it is given the same source again.
static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  memset(&out->saved_bytes_per_row, 0, 4 * sizeof(uint64_t));
  return shape->dim == self->d ? REFT_OK : REFT_E_UNSUPPORTED;
}

static float read_out(const reft_instance_t* self, const reft_args_t* a, int64_t i) {
  const float *read = a->params[0], *s = ROW(a->source, i);
  float sum = 0;
  for (int64_t j = 0; j < self->width; j++) sum += read[j] * s[j];
  return tanhf(sum);
}

static reft_status_t forward(reft_instance_t* self, const reft_args_t* a) {
  const float* write = a->params[1];
  if (a->flags >> 16) return REFT_E_UNSUPPORTED;
  for (int64_t i = 0; i < a->x.rows; i++) {
    const float *x = ROW(a->x, i), t = read_out(self, a, i);
    float* y = ROW(a->y, i);
    for (int64_t j = 0; j < self->d; j++) y[j] = x[j] + write[j] * t;
  }
  return REFT_OK;
}

static reft_status_t backward(reft_instance_t* self, const reft_args_t* a) {
  const float *read = a->params[0], *write = a->params[1];
  const int adds = (a->flags & REFT_CALL_NEED_DPARAMS) != 0;
  const int gives = a->flags & REFT_CALL_NEED_DSOURCE || FAULTY(WIDE_UNASKED);
  if (a->flags >> 16) return REFT_E_UNSUPPORTED;
  for (int64_t i = 0; i < a->x.rows; i++) {
    const float *dy = ROW(a->dy, i), *s = ROW(a->source, i), t = read_out(self, a, i);
    float slope = 0;
    for (int64_t j = 0; j < self->d; j++) slope += write[j] * dy[j];
    if (!FAULTY(WIDE_FORGETS_FACTOR)) slope *= 1 - t * t;
    for (int64_t j = 0; adds && j < self->width; j++) {
      const float factor = FAULTY(WIDE_FORGETS_FACTOR) ? 1 - t * t : 1;
      ((float*)a->dparams[0])[j] += factor * slope * s[j];
    }
    for (int64_t j = 0; adds && j < self->d; j++) ((float*)a->dparams[1])[j] += t * dy[j];
    for (int64_t j = 0; gives && j < (FAULTY(WIDE_AS_X) ? self->d : self->width); j++) {
      float* ds = ROW(a->dsource, i);
      ds[j] = slope * read[j] + (FAULTY(WIDE_ADDS) && ds[j] == ds[j] ? ds[j] : 0);
    }
    if (!(a->flags & REFT_CALL_NEED_DX)) continue;
    memmove(ROW(a->dx, i), dy, (size_t)self->d * sizeof(float));
  }
  return REFT_OK;
}

#define PROMISES                                                                 \
  (REFT_CAP_ROWWISE | REFT_CAP_REENTRANT | REFT_CAP_INPLACE | REFT_CAP_BITWISE | \
   REFT_CAP_AFFINE_IN_X | REFT_CAP_SOURCE_GRADIENT)
static const reft_plugin_t plugin = {
    sizeof plugin,
    0,
    STR("org.reft.wide"),
    STR("1.0.0"),
    STR("y = x + b tanh(a . source)"),
    STR("Apache-2.0"),
    PROMISES | (FAULTY(WIDE_WITHOUT_SOURCE) ? 0 : REFT_CAP_NEEDS_SOURCE),
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
