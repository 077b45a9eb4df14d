// SPDX-License-Identifier: Apache-2.0
// A correct plugin that changes nothing and tells the sum and the largest number of each row.
// Compiled with -DFAULT_COLLECT_<NAME>=1 it has one fault.

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
  return (void)self, (void)index, (void)out, REFT_E_INVALID;
}

static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  if (REFT_HAS(out, reft_workspace_t, collected_per_row)) out->collected_per_row = 2;
  return shape->dim == self->d ? REFT_OK : REFT_E_UNSUPPORTED;
}

// forward without dy, backward with it.
static reft_status_t edit(reft_instance_t* self, const reft_args_t* a) {
  const int is_back = a->dy.data != NULL;
  const int asked = !is_back && REFT_HAS(a, reft_args_t, collected) && a->collected.data;
  if (a->flags >> 16) return REFT_E_UNSUPPORTED;
  for (int64_t i = 0; i < a->x.rows; i++) {
    const float* in = is_back ? ROW(a->dy, i) : ROW(a->x, i);
    float sum = 0, largest = in[0];
    for (int64_t j = 0; j < self->d; j++) {
      sum += in[j];
      if (in[j] > largest) largest = in[j];
    }
    if (asked) ROW(a->collected, i)[0] = sum;
    if (asked && !FAULTY(COLLECT_SKIPS)) ROW(a->collected, i)[1] = largest;
    if (is_back && !(a->flags & REFT_CALL_NEED_DX)) continue;
    float* out = is_back ? ROW(a->dx, i) : ROW(a->y, i);
    for (int64_t j = 0; j < self->d; j++) out[j] = in[j] + (FAULTY(COLLECT_DECIDES) && asked);
  }
  return REFT_OK;
}

static const reft_plugin_t plugin = {.struct_size = sizeof plugin,
                                     .id = STR("org.reft.collect-kit"),
                                     .version = STR("1.0.0"),
                                     .summary = STR("y = x"),
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
