// SPDX-License-Identifier: Apache-2.0
// LoReFT (Wu et al. 2024, arXiv 2404.03592, equation 2): y = h + R^T (act(W h + b) - R h), R with
// orthonormal rows. This file speaks the ABI; the arithmetic is in edit.h.
#include <string.h>

#include "edit.h"
#include "reft_plugin.h"

#define STR(text) \
  { text, sizeof(text) - 1 }

struct reft_instance {
  const reft_host_t* host;
  int64_t d, r;
  activation_t act;
  int is_identity;
  float dropout;
};

enum { P_ROTATE, P_WEIGHT, P_BIAS, P_COUNT };

static const char* const activations[] = {"linear", "relu", "gelu", "silu", "tanh"};

static const reft_option_info_t options[] = {
    {.struct_size = sizeof(reft_option_info_t),
     .type = REFT_OPTION_INT,
     .name = STR("rank"),
     .help = STR("number of directions r that are edited"),
     .default_i = 4,
     .minimum = 1,
     .maximum = 65536},
    {.struct_size = sizeof(reft_option_info_t),
     .type = REFT_OPTION_FLOAT,
     .name = STR("dropout"),
     .help = STR("share of the edited row that training sets to zero, the rest being scaled up"),
     .minimum = 0,
     .maximum = 0.99},
    {.struct_size = sizeof(reft_option_info_t),
     .type = REFT_OPTION_STRING,
     .name = STR("activation"),
     .help = STR("function applied to W h + b"),
     .choices = STR("linear|relu|gelu|silu|tanh"),
     .default_s = STR("linear"),
     .minimum = 1},
    {.struct_size = sizeof(reft_option_info_t),
     .type = REFT_OPTION_STRING,
     .name = STR("init"),
     .help = STR("default: as pyreft; identity: W = R and b = 0, a linear edit starts as no edit"),
     .choices = STR("default|identity"),
     .default_s = STR("default"),
     .minimum = 1},
};

static reft_status_t option_info(uint32_t index, reft_option_info_t* out) {
  if (index >= sizeof options / sizeof *options) return REFT_E_INVALID;
  uint32_t size = out->struct_size < sizeof *out ? out->struct_size : (uint32_t)sizeof *out;
  memcpy(out, &options[index], size);
  out->struct_size = size;
  return REFT_OK;
}

static reft_status_t fail(const reft_host_t* host, reft_call_t* call, reft_status_t code,
                          const char* text) {
  host->set_error(host->context, call, code, text, strlen(text));
  return code;
}

static int is_text(reft_str_t s, const char* text) {
  return s.len == strlen(text) && memcmp(s.ptr, text, s.len) == 0;
}

static int set_option(reft_instance_t* self, const reft_option_t* o) {
  if (is_text(o->name, "rank") && o->type == REFT_OPTION_INT) {
    self->r = o->i;
    return 1;
  }
  if (is_text(o->name, "dropout") && o->type == REFT_OPTION_FLOAT) {
    self->dropout = (float)o->f;
    return o->f >= 0 && o->f < 1;
  }
  if (is_text(o->name, "activation") && o->type == REFT_OPTION_STRING) {
    for (int i = 0; i < 5; i++) {
      self->act = (activation_t)i;
      if (is_text(o->s, activations[i])) return 1;
    }
    return 0;
  }
  if (is_text(o->name, "init") && o->type == REFT_OPTION_STRING) {
    self->is_identity = is_text(o->s, "identity");
    return self->is_identity || is_text(o->s, "default");
  }
  return 0;
}

static reft_status_t create(const reft_host_t* host, const reft_shape_t* shape,
                            const reft_option_t* list, uint32_t count, reft_call_t* call,
                            reft_instance_t** out) {
  *out = NULL;
  reft_instance_t made = {.host = host, .d = shape->dim, .r = 4};
  if (shape->dtype != REFT_F32 || shape->dim < 1)
    return fail(host, call, REFT_E_UNSUPPORTED, "rows must be float32 and at least 1 wide");
  for (uint32_t i = 0; i < count; i++)
    if (!set_option(&made, &list[i]))
      return fail(host, call, REFT_E_INVALID, "an option is unknown or out of its range");
  if (made.r < 1 || made.r > made.d)
    return fail(host, call, REFT_E_INVALID, "rank must lie between 1 and the width of a row");
  reft_instance_t* self = host->alloc(host->context, sizeof *self);
  if (!self) return fail(host, call, REFT_E_NOMEM, "no memory for an instance");
  *self = made;
  *out = self;
  return REFT_OK;
}

static void destroy(reft_instance_t* self) {
  if (self) self->host->free(self->host->context, self);
}

static reft_status_t param_info(reft_instance_t* self, uint32_t index, reft_param_info_t* out) {
  if (index >= P_COUNT) return REFT_E_INVALID;
  double bound = 1 / sqrt((double)self->d);  // torch.nn.Linear: weight and bias in +-1/sqrt(d)
  reft_param_info_t info = {
      .struct_size = out->struct_size < sizeof info ? out->struct_size : (uint32_t)sizeof info,
      .rank = 2,
      .dims = {self->r, self->d},
      .dtype = REFT_F32,
      .flags = REFT_PARAM_TRAINABLE,
      .init_kind = REFT_INIT_UNIFORM,
      .init_a = -bound,
      .init_b = bound,
      .learning_rate_scale = 1,
      .weight_decay_scale = 1};
  if (index == P_ROTATE) {
    info.name = (reft_str_t)STR("rotate.weight");
    info.flags |= REFT_PARAM_NO_DECAY;
    info.init_kind = REFT_INIT_ORTHOGONAL;
    info.constraint = REFT_CONSTRAINT_ORTHONORMAL_ROWS;
  } else if (index == P_WEIGHT) {
    info.name = (reft_str_t)STR("source.weight");
    if (self->is_identity) {
      info.init_kind = REFT_INIT_COPY;
      info.init_a = P_ROTATE;
    }
  } else {
    info.name = (reft_str_t)STR("source.bias");
    info.rank = 1;
    info.dims[1] = 0;
    info.flags |= REFT_PARAM_NO_DECAY;
    if (self->is_identity) info.init_kind = REFT_INIT_ZEROS;
  }
  memcpy(out, &info, info.struct_size);
  return REFT_OK;
}

static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  if (shape->dim != self->d || shape->dtype != REFT_F32) return REFT_E_UNSUPPORTED;
  out->saved_bytes_per_row = (uint64_t)self->r * 2 * sizeof(float);  // a, e
  out->saved_bytes_fixed = 0;
  out->scratch_bytes_per_row = 0;
  out->scratch_bytes_fixed = (uint64_t)(self->r * 2 + self->d * 2) * sizeof(float);  // de, da, u, g
  return REFT_OK;
}

static int is_rows(const reft_instance_t* self, const reft_mat_t* m, int64_t n) {
  return m->data && m->dtype == REFT_F32 && m->cols == self->d && m->rows == n &&
         m->col_stride == 1;
}

static reft_status_t check(const reft_instance_t* self, const reft_args_t* args) {
  if (!REFT_HAS(args, reft_args_t, rng_step) || args->n_params != P_COUNT || !args->params ||
      !is_rows(self, &args->x, args->x.rows))
    return fail(self->host, args->call, REFT_E_INVALID,
                "x must be float32 rows of the planned width, with a column stride of 1 and 3 "
                "parameters");
  if (args->flags >> 16)
    return fail(self->host, args->call, REFT_E_UNSUPPORTED, "an unknown flag must be understood");
  if (args->scratch_bytes < (uint64_t)(self->r * 2 + self->d * 2) * sizeof(float))
    return fail(self->host, args->call, REFT_E_INVALID, "scratch is smaller than planned");
  return REFT_OK;
}

// Uniform numbers of row i. Their place in the stream is given by the token, not by the row, so
// that dropout does not depend on how a batch is split.
static void row_noise(const reft_instance_t* self, const reft_args_t* args, int64_t i, float* out) {
  const reft_rows_t* rows = args->rows;
  uint64_t example = rows && rows->example ? (uint32_t)rows->example[i] : 0;
  uint64_t position = rows && rows->position ? (uint32_t)rows->position[i] : (uint64_t)i;
  self->host->rng_uniform(self->host->context, args->rng_key, args->rng_step,
                          (example << 40) + position * (uint64_t)self->d, out, self->d);
}

static reft_status_t forward(reft_instance_t* self, const reft_args_t* args) {
  reft_status_t status = check(self, args);
  if (status != REFT_OK) return status;
  int64_t d = self->d, r = self->r, n = args->x.rows;
  int training = (args->flags & REFT_CALL_TRAINING) != 0;
  if (!is_rows(self, &args->y, n) ||
      (training && args->saved_bytes < (uint64_t)(n * r) * 2 * sizeof(float)))
    return fail(self->host, args->call, REFT_E_INVALID, "y or the saved values do not fit x");
  const float *R = args->params[P_ROTATE], *W = args->params[P_WEIGHT], *b = args->params[P_BIAS];
  float *work = args->scratch, *noise = work + 2 * r;
  for (int64_t i = 0; i < n; i++) {
    const float* h = (const float*)args->x.data + i * args->x.row_stride;
    float* y = (float*)args->y.data + i * args->y.row_stride;
    float *a = training ? (float*)args->saved + i * 2 * r : work, *e = a + r;
    edit_project(d, r, self->act, R, W, b, h, a, e);
    edit_lift(d, r, R, e, h, y);
    if (training && self->dropout > 0) {
      row_noise(self, args, i, noise);
      edit_drop(d, self->dropout, noise, y, y);
    }
  }
  return REFT_OK;
}

static reft_status_t backward(reft_instance_t* self, const reft_args_t* args) {
  reft_status_t status = check(self, args);
  if (status != REFT_OK) return status;
  int64_t d = self->d, r = self->r, n = args->x.rows;
  int needs_dx = (args->flags & REFT_CALL_NEED_DX) != 0;
  int needs_dp = (args->flags & REFT_CALL_NEED_DPARAMS) != 0;
  if (!is_rows(self, &args->dy, n) || (needs_dx && !is_rows(self, &args->dx, n)) ||
      (needs_dp && !args->dparams) || args->saved_bytes < (uint64_t)(n * r) * 2 * sizeof(float))
    return fail(self->host, args->call, REFT_E_INVALID, "dy, dx or the saved values do not fit x");
  const float *R = args->params[P_ROTATE], *W = args->params[P_WEIGHT];
  float *de = args->scratch, *da = de + r, *noise = da + r, *dropped = noise + d;
  for (int64_t i = 0; i < n; i++) {
    const float* h = (const float*)args->x.data + i * args->x.row_stride;
    const float* g = (const float*)args->dy.data + i * args->dy.row_stride;
    const float *a = (const float*)args->saved + i * 2 * r, *e = a + r;
    if (self->dropout > 0) {
      row_noise(self, args, i, noise);
      edit_drop(d, self->dropout, noise, g, dropped);
      g = dropped;
    }
    edit_project_back(d, r, self->act, R, a, g, de, da);
    if (needs_dp)
      edit_accumulate(d, r, h, g, e, de, da, args->dparams[P_ROTATE], args->dparams[P_WEIGHT],
                      args->dparams[P_BIAS]);
    if (needs_dx)
      edit_lift_back(d, r, R, W, de, da, g, (float*)args->dx.data + i * args->dx.row_stride);
  }
  return REFT_OK;
}

// Without dropout, numbers depend on x and the parameters alone, in training too.
static const void* extension(reft_instance_t* self, const char* id) {
  return self->dropout == 0 && strcmp(id, "reft.deterministic/1") == 0 ? self : NULL;
}

static const reft_plugin_t plugin = {
    .struct_size = sizeof(reft_plugin_t),
    .id = STR("org.reft.loreft"),
    .version = STR("1.0.0"),
    .summary = STR("LoReFT: h + R^T (act(W h + b) - R h), R with orthonormal rows"),
    .license = STR("Apache-2.0"),
    .capabilities = REFT_CAP_ROWWISE | REFT_CAP_REENTRANT | REFT_CAP_INPLACE | REFT_CAP_BITWISE,
    .dtypes = 1u << REFT_F32,
    .option_info = option_info,
    .create = create,
    .destroy = destroy,
    .param_info = param_info,
    .plan = plan,
    .forward = forward,
    .backward = backward,
    .extension = extension,
};

const reft_library_t* reft_plugin_entry_v1(const reft_entry_args_t* args) {
  static const reft_plugin_t* const plugins[] = {&plugin};
  static const reft_library_t library = {.struct_size = sizeof library,
                                         .abi_major = REFT_ABI_MAJOR,
                                         .abi_minor = REFT_ABI_MINOR,
                                         .n_plugins = 1,
                                         .plugins = plugins};
  (void)args;
  return &library;
}
