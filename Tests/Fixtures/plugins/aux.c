// SPDX-License-Identifier: Apache-2.0
// A correct plugin of ABI 1.1 that knows how far a run is and has a loss of its own:
// a = v . x, y = x + g w tanh(a), g = 1 + step / total_steps, auxiliary = sum of a^2 over the rows.
// Compiled with -DFAULT_AUX_<NAME>=1 it has one fault; faults.txt has the list.
#include <math.h>

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

// a is saved for backward, one float per row.
static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  memset(&out->saved_bytes_per_row, 0, 4 * sizeof(uint64_t));
  out->saved_bytes_per_row = sizeof(float);
  return shape->dim == self->d ? REFT_OK : REFT_E_UNSUPPORTED;
}

static float gain(const reft_args_t* a) {
  if (!FAULTY(AUX_STEP_OF_OLD_HOST) && !REFT_HAS(a, reft_args_t, total_steps)) return 1;
  if (a->total_steps == 0 && !FAULTY(AUX_DIVIDES_BY_STEPS)) return 1;
  return 1 + (float)a->step / (float)a->total_steps;
}

static reft_status_t forward(reft_instance_t* self, const reft_args_t* a) {
  const float *v = a->params[0], *w = a->params[1], g = gain(a);
  double own = 0;
  if (a->flags >> 16) return REFT_E_UNSUPPORTED;
  for (int64_t i = 0; i < a->x.rows; i++) {
    const float* x = ROW(a->x, i);
    float *y = ROW(a->y, i), c = 0;
    for (int64_t j = 0; j < self->d; j++) c += v[j] * x[j];
    if (a->flags & REFT_CALL_TRAINING) ((float*)a->saved)[i] = c;
    for (int64_t j = 0; j < self->d; j++) y[j] = x[j] + g * w[j] * tanhf(c);
    own += (double)c * c / (FAULTY(AUX_MEAN) ? (double)a->x.rows : 1);
  }
  if (FAULTY(AUX_NOT_FINITE) && own == 0) own = NAN;
  if (FAULTY(AUX_NEEDS_POINTER) || FAULTY(AUX_UNASKED))
    *a->auxiliary += own;
  else if (REFT_HAS(a, reft_args_t, auxiliary) && a->auxiliary)
    *a->auxiliary = own + (FAULTY(AUX_REPLACES) ? 0 : *a->auxiliary);
  return REFT_OK;
}

static reft_status_t backward(reft_instance_t* self, const reft_args_t* a) {
  const float *v = a->params[0], *w = a->params[1], g = gain(a);
  const int adds = (a->flags & REFT_CALL_NEED_DPARAMS) != 0;
  const int knows = REFT_HAS(a, reft_args_t, auxiliary_gradient) && !FAULTY(AUX_FORGOTTEN);
  const float slope = knows ? (float)a->auxiliary_gradient : 0;
  if (a->flags >> 16) return REFT_E_UNSUPPORTED;
  for (int64_t i = 0; i < a->x.rows; i++) {
    const float *x = ROW(a->x, i), *dy = ROW(a->dy, i), c = ((const float*)a->saved)[i];
    float t = tanhf(c), dc = 0;
    for (int64_t j = 0; j < self->d; j++) dc += w[j] * dy[j];
    dc = dc * g * (1 - t * t) + 2 * c * slope;
    for (int64_t j = 0; adds && j < self->d; j++) {
      ((float*)a->dparams[0])[j] += dc * x[j];
      ((float*)a->dparams[1])[j] += g * t * dy[j];
    }
    if (!(a->flags & REFT_CALL_NEED_DX)) continue;
    float* dx = ROW(a->dx, i);
    for (int64_t j = 0; j < self->d; j++) dx[j] = dy[j] + dc * v[j];
  }
  return REFT_OK;
}

#define PROMISES (REFT_CAP_ROWWISE | REFT_CAP_REENTRANT | REFT_CAP_INPLACE | REFT_CAP_BITWISE)
static const reft_plugin_t plugin = {sizeof plugin,
                                     0,
                                     STR("org.reft.aux"),
                                     STR("1.0.0"),
                                     STR("y = x + g w tanh(v . x), with the loss (v . x)^2"),
                                     STR("Apache-2.0"),
                                     PROMISES | (FAULTY(AUX_UNASKED) ? 0 : REFT_CAP_AUXILIARY_LOSS),
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
