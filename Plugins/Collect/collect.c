// SPDX-License-Identifier: Apache-2.0
// Changes nothing and tells what rows hold: c = h, or, with directions D [k, d] from a file, c = D
// h. `reft collect` asks for c and writes it to a file; elsewhere nobody asks, and nothing is done.
#include "../Shared/edit_plugin.h"

static const reft_option_info_t collect_options[] = {
    {EDIT_OPTION(REFT_OPTION_TENSOR, "directions"),
     .help = STR("[k, width] or [width]: tell the products with these, not the row itself")},
};

static const char* setup(reft_instance_t* self) {
  const reft_tensor_t* m = &self->inputs[0];
  self->r = 0;
  if (!m->data) return NULL;
  if (m->dtype != REFT_F32 || m->rank < 1 || m->rank > 2 || m->dims[m->rank - 1] != self->d)
    return "directions must be a matrix, or one direction, as wide as a row";
  self->r = m->rank == 2 ? m->dims[0] : 1;
  return NULL;
}

static uint32_t n_params(const reft_instance_t* self) {
  (void)self;
  return 0;
}

static const edit_t collect = {
    .options = collect_options, .n_options = 1, .setup = setup, .n_params = n_params};

static reft_status_t option_info(uint32_t index, reft_option_info_t* out) {
  return edit_option_info(&collect, index, out);
}

static reft_status_t create(const reft_host_t* host, const reft_shape_t* shape,
                            const reft_option_t* list, uint32_t count, reft_call_t* call,
                            reft_instance_t** out) {
  return edit_create(&collect, host, shape, list, count, call, out);
}

static reft_status_t param_info(reft_instance_t* self, uint32_t index, reft_param_info_t* out) {
  (void)self, (void)index, (void)out;
  return REFT_E_INVALID;
}

static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  if (shape->dim != self->d || shape->dtype != REFT_F32) return REFT_E_UNSUPPORTED;
  if (REFT_HAS(out, reft_workspace_t, collected_per_row))
    out->collected_per_row = (uint64_t)(self->r ? self->r : self->d);
  return REFT_OK;
}

static float* at(const reft_mat_t* m, int64_t row) {
  return (float*)m->data + row * m->row_stride;
}

static void tell(const reft_instance_t* self, const float* h, float* out) {
  const float* directions = self->inputs[0].data;
  if (!self->r) memcpy(out, h, (size_t)self->d * sizeof(float));
  for (int64_t k = 0; k < self->r; k++) out[k] = dot(self->d, directions + k * self->d, h);
}

// Rows as they are, forward and back.
static reft_status_t pass(const reft_instance_t* self, const reft_args_t* args,
                          const reft_mat_t* from, const reft_mat_t* to) {
  if (args->flags >> 16)
    return edit_fail(self->host, args->call, REFT_E_UNSUPPORTED,
                     "an unknown flag must be understood");
  if (!edit_is_rows(self, from, args->x.rows) || !edit_is_rows(self, to, args->x.rows))
    return edit_fail(self->host, args->call, REFT_E_INVALID, "the rows are not as planned");
  for (int64_t i = 0; i < args->x.rows; i++)
    memmove(at(to, i), at(from, i), (size_t)self->d * sizeof(float));
  return REFT_OK;
}

static reft_status_t forward(reft_instance_t* self, const reft_args_t* args) {
  const int asked = REFT_HAS(args, reft_args_t, collected) && args->collected.data;
  if (asked && args->collected.cols != (self->r ? self->r : self->d))
    return edit_fail(self->host, args->call, REFT_E_INVALID, "collected is not as planned");
  for (int64_t i = 0; asked && i < args->x.rows; i++)
    tell(self, at(&args->x, i), at(&args->collected, i));
  return pass(self, args, &args->x, &args->y);
}

static reft_status_t backward(reft_instance_t* self, const reft_args_t* args) {
  if (!(args->flags & REFT_CALL_NEED_DX)) return args->flags >> 16 ? REFT_E_UNSUPPORTED : REFT_OK;
  return pass(self, args, &args->dy, &args->dx);
}

static const void* extension(reft_instance_t* self, const char* id) {
  return strcmp(id, "reft.deterministic/1") == 0 ? self : NULL;
}

static const reft_plugin_t plugin_collect = {
    .struct_size = sizeof(reft_plugin_t),
    .id = STR("org.reft.collect"),
    .version = STR("1.0.0"),
    .summary = STR("changes nothing and tells rows, or their products with directions of a file"),
    .license = STR("Apache-2.0"),
    .capabilities = EDIT_PROMISES | REFT_CAP_IDENTITY_INIT | REFT_CAP_AFFINE_IN_X,
    .dtypes = 1u << REFT_F32,
    .option_info = option_info,
    .create = create,
    .destroy = edit_destroy,
    .param_info = param_info,
    .plan = plan,
    .forward = forward,
    .backward = backward,
    .extension = extension};

EDIT_LIBRARY(&plugin_collect);
