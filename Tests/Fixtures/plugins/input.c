// SPDX-License-Identifier: Apache-2.0
// A correct plugin that reads a direction from a file: y = x + s v, v an input of d numbers and s
// trained. Compiled with -DFAULT_INPUT_<NAME>=1 it has one fault.

#include "small.h"

enum { V, S };
struct reft_instance {
  int64_t d, input;
};

static reft_status_t option_info(uint32_t index, reft_option_info_t* out) {
  const uint32_t size = out->struct_size < sizeof *out ? out->struct_size : (uint32_t)sizeof *out;
  const reft_option_info_t info = {
      .struct_size = size, .type = REFT_OPTION_TENSOR, .name = STR("direction"), .help = STR("v")};
  if (index > 0) return REFT_E_INVALID;
  memcpy(out, &info, size);
  return REFT_OK;
}

static reft_status_t create(const reft_host_t* host, const reft_shape_t* shape,
                            const reft_option_t* options, uint32_t n_options, reft_call_t* call,
                            reft_instance_t** out) {
  static const char reason[] = "needs float32 rows and a direction of as many numbers as a row has";
  reft_tensor_t v = {.struct_size = sizeof v};
  const int named = n_options == 1 && options->type == REFT_OPTION_TENSOR &&
                    options->name.len == 9 && memcmp(options->name.ptr, "direction", 9) == 0 &&
                    REFT_HAS(host, reft_host_t, input_info) &&
                    host->input_info(host->context, options->i, &v) == REFT_OK;
  const int fits = shape->dim >= 1 && shape->dim <= 1 << 20 && shape->dtype == REFT_F32 && named &&
                   v.dtype == REFT_F32 &&
                   (FAULTY(INPUT_UNCHECKED) || (v.rank == 1 && v.dims[0] == shape->dim));
  *out = fits ? malloc(sizeof **out) : NULL;
  if (!*out) {
    host->set_error(host->context, call, REFT_E_INVALID, reason, sizeof reason - 1);
    return REFT_E_INVALID;
  }
  **out = (reft_instance_t){shape->dim, options->i};
  float last = ((const float*)v.data)[shape->dim - 1];
  if (FAULTY(INPUT_WRITTEN)) *(volatile float*)v.data = last;
  return REFT_OK;
}

static reft_status_t param_info(reft_instance_t* self, uint32_t index, reft_param_info_t* out) {
  static const reft_str_t names[] = {STR("direction"), STR("strength")};
  if (index > S) return REFT_E_INVALID;
  reft_param_info_t info = {0, 1, names[index], {index == V ? self->d : 1}, REFT_F32};
  info.flags = index == S ? REFT_PARAM_TRAINABLE : 0;
  info.init_kind = index == V ? REFT_INIT_INPUT : REFT_INIT_ZEROS;
  info.init_a = index == V ? (double)self->input : 0;
  return tell(info, out);
}

static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  return (void)out, shape->dim == self->d ? REFT_OK : REFT_E_UNSUPPORTED;
}

// forward without dy, backward with it.
static reft_status_t edit(reft_instance_t* self, const reft_args_t* a) {
  const float *v = a->params[V], s = *(const float*)a->params[S];
  const int is_back = a->dy.data != NULL, adds = is_back && a->flags & REFT_CALL_NEED_DPARAMS;
  if (a->flags >> 16) return REFT_E_UNSUPPORTED;
  for (int64_t i = 0; i < a->x.rows; i++) {
    const float* in = is_back ? ROW(a->dy, i) : ROW(a->x, i);
    float sum = 0;
    for (int64_t j = 0; adds && j < self->d; j++) sum += v[j] * in[j];
    if (adds) *(float*)a->dparams[S] += sum;
    if (adds && FAULTY(INPUT_GRADIENT)) ((float*)a->dparams[V])[0] += s * in[0];
    if (is_back && !(a->flags & REFT_CALL_NEED_DX)) continue;
    float* out = is_back ? ROW(a->dx, i) : ROW(a->y, i);
    for (int64_t j = 0; j < self->d; j++) out[j] = in[j] + (is_back ? 0 : s * v[j]);
  }
  return REFT_OK;
}

static const reft_plugin_t plugin = {.struct_size = sizeof plugin,
                                     .id = STR("org.reft.input"),
                                     .version = STR("1.0.0"),
                                     .summary = STR("y = x + s v"),
                                     .license = STR("Apache-2.0"),
                                     .capabilities = REFT_CAP_ROWWISE | REFT_CAP_REENTRANT |
                                                     REFT_CAP_INPLACE | REFT_CAP_BITWISE |
                                                     REFT_CAP_IDENTITY_INIT | REFT_CAP_AFFINE_IN_X,
                                     .dtypes = 1u << REFT_F32,
                                     .option_info = option_info,
                                     .create = create,
                                     .destroy = destroy,
                                     .param_info = param_info,
                                     .plan = plan,
                                     .forward = edit,
                                     .backward = edit};
LIBRARY(REFT_ABI_MINOR)
