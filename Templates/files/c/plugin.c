// @NAME@: y_j = x_j (1 + s_j) + b_j, a scale and a shift for each channel. The identity at first.
#include <stdlib.h>
#include <string.h>
#include "reft_plugin.h"
#define TEXT(literal) {literal, sizeof(literal) - 1}
#define ROW(matrix, i) ((float *)(matrix).data + (i) * (matrix).row_stride)
#define UNSERVED(a) /* unknown flags, other types, strided columns */ ((a)->flags >> 16 != 0 || \
  (a)->x.dtype != REFT_F32 || ((a)->x.cols > 1 && (a)->x.col_stride != 1))
struct reft_instance { int64_t dim; };
static reft_status_t create(const reft_host_t *host, const reft_shape_t *shape, const reft_option_t *o,
                            uint32_t n_options, reft_call_t *call, reft_instance_t **out) {
  static const char why[] = "@NAME@ has no options and edits rows of float32";
  *out = NULL;
  if (n_options > 0 || shape->dim < 1 || shape->dtype != REFT_F32)
    return host->set_error(host->context, call, REFT_E_INVALID, why, sizeof why - 1),
        shape->dtype != REFT_F32 ? REFT_E_UNSUPPORTED : REFT_E_INVALID;
  return (*out = malloc(sizeof **out)) == NULL ? REFT_E_NOMEM : ((*out)->dim = shape->dim, REFT_OK);
}
static void destroy(reft_instance_t *self) { free(self); }
static reft_status_t param_info(reft_instance_t *self, uint32_t index, reft_param_info_t *out) {
  static const reft_str_t names[] = {TEXT("scale"), TEXT("shift")};
  if (index > 1) return REFT_E_INVALID;
  return *out = (reft_param_info_t){.struct_size = sizeof *out, .name = names[index], .rank = 1,
      .dims = {self->dim}, .flags = REFT_PARAM_TRAINABLE | REFT_PARAM_NO_DECAY, .dtype = REFT_F32,
      .init_kind = REFT_INIT_ZEROS, .learning_rate_scale = 1, .weight_decay_scale = 1}, REFT_OK; }
static reft_status_t plan(reft_instance_t *self, const reft_shape_t *shape, reft_workspace_t *out) {
  out->saved_bytes_per_row = out->saved_bytes_fixed = 0; // no further memory
  return out->scratch_bytes_per_row = out->scratch_bytes_fixed = 0, REFT_OK; }
static reft_status_t forward(reft_instance_t *self, const reft_args_t *a) {
  if (UNSERVED(a)) return REFT_E_UNSUPPORTED;
  const float *scale = a->params[0], *shift = a->params[1];
  for (int64_t i = 0; i < a->x.rows; i++)
    for (int64_t j = 0; j < self->dim; j++)
      ROW(a->y, i)[j] = ROW(a->x, i)[j] * (1 + scale[j]) + shift[j];
  return REFT_OK;
}
static reft_status_t backward(reft_instance_t *self, const reft_args_t *a) {
  if (UNSERVED(a)) return REFT_E_UNSUPPORTED;
  const float *scale = a->params[0];
  for (int64_t i = 0; i < a->x.rows; i++)
    for (int64_t j = 0; j < self->dim; j++) {
      const float dy = ROW(a->dy, i)[j]; // read before dx is written: they may be the same memory
      if (a->flags & REFT_CALL_NEED_DPARAMS) ((float *)a->dparams[0])[j] += dy * ROW(a->x, i)[j];
      if (a->flags & REFT_CALL_NEED_DPARAMS) ((float *)a->dparams[1])[j] += dy;
      if (a->flags & REFT_CALL_NEED_DX) ROW(a->dx, i)[j] = dy * (1 + scale[j]);
    }
  return REFT_OK;
}
static const void *extension(reft_instance_t *self, const char *id) { // no random numbers in training
  return strcmp(id, "reft.deterministic/1") == 0 ? self : NULL; }
static const reft_plugin_t plugin = {.struct_size = sizeof plugin, .id = TEXT("org.example.@NAME@"),
    .version = TEXT("0.1.0"), .summary = TEXT("y = x (1 + s) + b"), .license = TEXT("Apache-2.0"),
    .dtypes = 1ull << REFT_F32, .capabilities = REFT_CAP_ROWWISE | REFT_CAP_REENTRANT |
    REFT_CAP_INPLACE | REFT_CAP_BITWISE | REFT_CAP_IDENTITY_INIT | REFT_CAP_AFFINE_IN_X,
    .create = create, .destroy = destroy, .param_info = param_info, .plan = plan,
    .forward = forward, .backward = backward, .extension = extension};
static const reft_plugin_t *const all[] = {&plugin};
static const reft_library_t library = {sizeof library, REFT_ABI_MAJOR, REFT_ABI_MINOR, 1, all};
const reft_library_t *reft_plugin_entry_v1(const reft_entry_args_t *args) { return &library; }
