// SPDX-License-Identifier: Apache-2.0
// A correct plugin that reads a file: y = x + s t, t the file's last byte as a part of 255, or 1
// where no file is named, and s a trained number.

#include "small.h"

struct reft_instance {
  int64_t d;
  float t;
};

static reft_status_t option_info(uint32_t index, reft_option_info_t* out) {
  const uint32_t size = out->struct_size < sizeof *out ? out->struct_size : (uint32_t)sizeof *out;
  const reft_option_info_t info = {
      .struct_size = size, .type = REFT_OPTION_FILE, .name = STR("table"), .help = STR("bytes")};
  if (index > 0) return REFT_E_INVALID;
  memcpy(out, &info, size);
  return REFT_OK;
}

// Reads the table; 0 where the option names something else.
static int take(const reft_host_t* host, const reft_option_t* option, float* t) {
  reft_tensor_t file = {.struct_size = sizeof file};
  if (option->type != REFT_OPTION_FILE || option->name.len != 5 ||
      memcmp(option->name.ptr, "table", 5) != 0)
    return 0;
  if (option->i == -1) return 1;
  if (!REFT_HAS(host, reft_host_t, input_info) ||
      host->input_info(host->context, option->i, &file) != REFT_OK || file.dtype != REFT_U8 ||
      file.rank != 1 || file.dims[0] < 1)
    return 0;
  *t = (float)((const uint8_t*)file.data)[file.dims[0] - 1] / 255;
  return 1;
}

static reft_status_t create(const reft_host_t* host, const reft_shape_t* shape,
                            const reft_option_t* options, uint32_t n_options, reft_call_t* call,
                            reft_instance_t** out) {
  static const char reason[] = "the only option is table, a file of one byte or more";
  float t = 1;
  const reft_status_t status = make_instance(host, shape, 0, call, sizeof **out, out);
  if (status != REFT_OK) return status;
  for (uint32_t i = 0; i < n_options; i++) {
    if (take(host, &options[i], &t)) continue;
    free(*out);
    *out = NULL;
    host->set_error(host->context, call, REFT_E_INVALID, reason, sizeof reason - 1);
    return REFT_E_INVALID;
  }
  **out = (reft_instance_t){shape->dim, t};
  return REFT_OK;
}

static reft_status_t param_info(reft_instance_t* self, uint32_t index, reft_param_info_t* out) {
  (void)self;
  if (index > 0) return REFT_E_INVALID;
  reft_param_info_t info = {0, 1, STR("strength"), {1}, REFT_F32};
  info.flags = REFT_PARAM_TRAINABLE;
  info.init_kind = REFT_INIT_ZEROS;
  return tell(info, out);
}

static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  return (void)out, shape->dim == self->d ? REFT_OK : REFT_E_UNSUPPORTED;
}

// forward without dy, backward with it.
static reft_status_t edit(reft_instance_t* self, const reft_args_t* a) {
  const int is_back = a->dy.data != NULL, adds = is_back && a->flags & REFT_CALL_NEED_DPARAMS;
  const float shift = is_back ? 0 : *(const float*)a->params[0] * self->t;
  if (a->flags >> 16) return REFT_E_UNSUPPORTED;
  for (int64_t i = 0; i < a->x.rows; i++) {
    const float* in = is_back ? ROW(a->dy, i) : ROW(a->x, i);
    float sum = 0;
    for (int64_t j = 0; adds && j < self->d; j++) sum += self->t * in[j];
    if (adds) *(float*)a->dparams[0] += sum;
    if (is_back && !(a->flags & REFT_CALL_NEED_DX)) continue;
    float* out = is_back ? ROW(a->dx, i) : ROW(a->y, i);
    for (int64_t j = 0; j < self->d; j++) out[j] = in[j] + shift;
  }
  return REFT_OK;
}

static const reft_plugin_t plugin = {.struct_size = sizeof plugin,
                                     .id = STR("org.reft.table"),
                                     .version = STR("1.0.0"),
                                     .summary = STR("y = x + s t"),
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
