// SPDX-License-Identifier: Apache-2.0
// A correct plugin with one parameter set for each location of the position rule: y = x +
// b[location]. Rows of no location stay as they are. Compiled with -DFAULT_POSITIONS_<NAME>=1 it
// has one fault.

#include "small.h"

struct reft_instance {
  int64_t d, n;
};

static reft_status_t create(const reft_host_t* host, const reft_shape_t* shape,
                            const reft_option_t* options, uint32_t n_options, reft_call_t* call,
                            reft_instance_t** out) {
  static const char reason[] = "needs float32 rows, a rule that lists positions, and no options";
  const int64_t n = REFT_HAS(shape, reft_shape_t, n_locations) ? shape->n_locations : 0;
  const int fits = shape->dim >= 1 && shape->dim <= 1 << 20 && shape->dtype == REFT_F32 &&
                   n_options == 0 && (n > 0 || FAULTY(POSITIONS_EMPTY));
  *out = fits ? malloc(sizeof **out) : NULL;
  if (!*out) {
    host->set_error(host->context, call, REFT_E_INVALID, reason, sizeof reason - 1);
    return REFT_E_INVALID;
  }
  **out = (reft_instance_t){shape->dim, n};
  return REFT_OK;
}

static reft_status_t param_info(reft_instance_t* self, uint32_t index, reft_param_info_t* out) {
  if (index > 0) return REFT_E_INVALID;
  reft_param_info_t info = {0, 2, STR("bias"), {self->n, self->d}, REFT_F32, REFT_PARAM_TRAINABLE};
  return tell(info, out);
}

static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  return (void)out, shape->dim == self->d ? REFT_OK : REFT_E_UNSUPPORTED;  // the host's zeros hold
}

// forward without dy, backward with it.
static reft_status_t edit(reft_instance_t* self, const reft_args_t* a) {
  const int is_back = a->dy.data != NULL, adds = is_back && a->flags & REFT_CALL_NEED_DPARAMS;
  if (a->flags >> 16) return REFT_E_UNSUPPORTED;
  for (int64_t i = 0; i < a->x.rows; i++) {
    const int32_t place = a->rows && a->rows->location ? a->rows->location[i] : -1;
    const int known = FAULTY(POSITIONS_UNMARKED) || place >= 0;
    const float* in = is_back ? ROW(a->dy, i) : ROW(a->x, i);
    const float* bias = (const float*)a->params[0] + place * self->d;
    for (int64_t j = 0; adds && known && j < self->d; j++)
      ((float*)a->dparams[0])[place * self->d + j] += in[j];
    if (is_back && !(a->flags & REFT_CALL_NEED_DX)) continue;
    float* out = is_back ? ROW(a->dx, i) : ROW(a->y, i);
    for (int64_t j = 0; j < self->d; j++) out[j] = in[j] + (known && !is_back ? bias[j] : 0);
  }
  return REFT_OK;
}

static const reft_plugin_t plugin = {.struct_size = sizeof plugin,
                                     .id = STR("org.reft.positions"),
                                     .version = STR("1.0.0"),
                                     .summary = STR("y = x + b[location]"),
                                     .license = STR("Apache-2.0"),
                                     .capabilities = REFT_CAP_ROWWISE | REFT_CAP_REENTRANT |
                                                     REFT_CAP_INPLACE | REFT_CAP_BITWISE |
                                                     REFT_CAP_IDENTITY_INIT | REFT_CAP_AFFINE_IN_X,
                                     .dtypes = 1u << REFT_F32,
                                     .create = create,
                                     .destroy = destroy,
                                     .param_info = param_info,
                                     .plan = plan,
                                     .forward = edit,
                                     .backward = edit};
LIBRARY(REFT_ABI_MINOR)
