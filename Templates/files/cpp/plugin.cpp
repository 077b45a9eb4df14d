// @NAME@: y_j = x_j (1 + s_j) + b_j, a scale and a shift for each channel. The identity at first.
#include <cstring>
#include <new>
#include "reft_plugin.h"

struct reft_instance { int64_t dim; };

namespace {

template <size_t n> constexpr reft_str_t text(const char (&literal)[n]) { return {literal, n - 1}; }
float *row(const reft_mat_t &m, int64_t i) { return static_cast<float *>(m.data) + i * m.row_stride; }
const float *parameter(const reft_args_t *a, int i) { return static_cast<const float *>(a->params[i]); }
float *gradient(const reft_args_t *a, int i) { return static_cast<float *>(a->dparams[i]); }
bool unserved(const reft_args_t *a) { // unknown flags, other types, strided columns
  return a->flags >> 16 != 0 || a->x.dtype != REFT_F32 || (a->x.cols > 1 && a->x.col_stride != 1);
}

reft_status_t create(const reft_host_t *host, const reft_shape_t *shape, const reft_option_t *,
                     uint32_t n_options, reft_call_t *call, reft_instance_t **out) noexcept {
  *out = nullptr;
  if (n_options > 0 || shape->dim < 1 || shape->dtype != REFT_F32) {
    constexpr auto why = text("@NAME@ has no options and edits rows of float32");
    host->set_error(host->context, call, REFT_E_INVALID, why.ptr, why.len);
    return shape->dtype != REFT_F32 ? REFT_E_UNSUPPORTED : REFT_E_INVALID;
  }
  *out = new (std::nothrow) reft_instance{shape->dim};
  return *out == nullptr ? REFT_E_NOMEM : REFT_OK;
}

void destroy(reft_instance_t *self) noexcept { delete self; }

reft_status_t param_info(reft_instance_t *self, uint32_t index, reft_param_info_t *out) noexcept {
  if (index > 1) return REFT_E_INVALID;
  reft_param_info_t info{};
  info.struct_size = sizeof info;
  info.name = index == 0 ? text("scale") : text("shift");
  info.rank = 1;
  info.dims[0] = self->dim;
  info.dtype = REFT_F32;
  info.flags = REFT_PARAM_TRAINABLE | REFT_PARAM_NO_DECAY;
  info.init_kind = REFT_INIT_ZEROS;
  info.learning_rate_scale = info.weight_decay_scale = 1;
  *out = info;
  return REFT_OK;
}

reft_status_t plan(reft_instance_t *, const reft_shape_t *, reft_workspace_t *out) noexcept {
  out->saved_bytes_per_row = out->saved_bytes_fixed = 0; // no further memory
  out->scratch_bytes_per_row = out->scratch_bytes_fixed = 0;
  return REFT_OK;
}

reft_status_t forward(reft_instance_t *self, const reft_args_t *a) noexcept {
  if (unserved(a)) return REFT_E_UNSUPPORTED;
  const float *scale = parameter(a, 0), *shift = parameter(a, 1);
  for (int64_t i = 0; i < a->x.rows; i++) {
    const float *x = row(a->x, i);
    float *y = row(a->y, i);
    for (int64_t j = 0; j < self->dim; j++) y[j] = x[j] * (1 + scale[j]) + shift[j];
  }
  return REFT_OK;
}

reft_status_t backward(reft_instance_t *self, const reft_args_t *a) noexcept {
  if (unserved(a)) return REFT_E_UNSUPPORTED;
  const float *scale = parameter(a, 0);
  for (int64_t i = 0; i < a->x.rows; i++) {
    const float *x = row(a->x, i);
    for (int64_t j = 0; j < self->dim; j++) {
      const float dy = row(a->dy, i)[j]; // read before dx is written: they may be the same memory
      if (a->flags & REFT_CALL_NEED_DPARAMS) gradient(a, 0)[j] += dy * x[j];
      if (a->flags & REFT_CALL_NEED_DPARAMS) gradient(a, 1)[j] += dy;
      if (a->flags & REFT_CALL_NEED_DX) row(a->dx, i)[j] = dy * (1 + scale[j]);
    }
  }
  return REFT_OK;
}

const void *extension(reft_instance_t *self, const char *id) noexcept { // no random numbers in training
  return std::strcmp(id, "reft.deterministic/1") == 0 ? self : nullptr;
}

reft_plugin_t describe() {
  reft_plugin_t plugin{};
  plugin.struct_size = sizeof plugin;
  plugin.id = text("org.example.@NAME@");
  plugin.version = text("0.1.0");
  plugin.summary = text("y = x (1 + s) + b");
  plugin.license = text("Apache-2.0");
  plugin.dtypes = 1ull << REFT_F32;
  plugin.capabilities = REFT_CAP_ROWWISE | REFT_CAP_REENTRANT | REFT_CAP_INPLACE | REFT_CAP_BITWISE |
                        REFT_CAP_IDENTITY_INIT | REFT_CAP_AFFINE_IN_X;
  plugin.create = create;
  plugin.destroy = destroy;
  plugin.param_info = param_info;
  plugin.plan = plan;
  plugin.forward = forward;
  plugin.backward = backward;
  plugin.extension = extension;
  return plugin;
}

const reft_plugin_t plugin = describe();
const reft_plugin_t *const all[] = {&plugin};
const reft_library_t library = {sizeof library, REFT_ABI_MAJOR, REFT_ABI_MINOR, 1, all};

} // namespace

extern "C" const reft_library_t *reft_plugin_entry_v1(const reft_entry_args_t *) noexcept {
  return &library;
}
