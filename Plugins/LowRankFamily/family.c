// SPDX-License-Identifier: Apache-2.0
// The ablations of the ReFT paper (arXiv 2404.03592, appendix on other interventions), three
// interventions in one library. With A a matrix of r directions, all are y = D(h + A^T e), where
//   noreft    e = act(W h + b) - (A h + c)
//   consreft  e = b - A h, A with orthonormal rows
//   lobireft  e = b,       A with orthonormal rows
#include <string.h>

#include "reft_plugin.h"
#include "rows.h"

#define STR(text) \
  { text, sizeof(text) - 1 }

typedef enum { NOREFT, CONSREFT, LOBIREFT } kind_t;

struct reft_instance {
  const reft_host_t* host;
  int64_t d, r;
  kind_t kind;
  activation_t act;
  int has_bias;
  float dropout;
};

#define OPTION(kind_of_option, text) \
  .struct_size = sizeof(reft_option_info_t), .type = kind_of_option, .name = STR(text)

// LobiReFT has the first two, ConsReFT the first alone.
static const reft_option_info_t options[] = {
    {OPTION(REFT_OPTION_INT, "rank"), .help = STR("number of directions r that are edited"),
     .default_i = 4, .minimum = 1, .maximum = 65536},
    {OPTION(REFT_OPTION_FLOAT, "dropout"),
     .help = STR("share of the edited row that training sets to zero, the rest being scaled up"),
     .minimum = 0, .maximum = 0.99},
    {OPTION(REFT_OPTION_STRING, "activation"), .help = STR("function applied to W h + b"),
     .choices = STR("linear|relu|gelu|silu|tanh"), .default_s = STR("linear"), .minimum = 1},
    {OPTION(REFT_OPTION_FLAG, "bias"), .help = STR("whether the projection has a bias c"),
     .minimum = 1},
};

static reft_status_t copy_option(uint32_t count, uint32_t index, reft_option_info_t* out) {
  if (index >= count) return REFT_E_INVALID;
  uint32_t size = out->struct_size < sizeof *out ? out->struct_size : (uint32_t)sizeof *out;
  memcpy(out, &options[index], size);
  out->struct_size = size;
  return REFT_OK;
}

static reft_status_t noreft_option(uint32_t index, reft_option_info_t* out) {
  return copy_option(4, index, out);
}
static reft_status_t consreft_option(uint32_t index, reft_option_info_t* out) {
  return copy_option(1, index, out);
}
static reft_status_t lobireft_option(uint32_t index, reft_option_info_t* out) {
  return copy_option(2, index, out);
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
  static const char* const names[] = {"linear", "relu", "gelu", "silu", "tanh"};
  if (is_text(o->name, "rank") && o->type == REFT_OPTION_INT) {
    self->r = o->i;
    return 1;
  }
  if (is_text(o->name, "dropout") && o->type == REFT_OPTION_FLOAT && self->kind != CONSREFT) {
    self->dropout = (float)o->f;
    return o->f >= 0 && o->f < 1;
  }
  if (is_text(o->name, "bias") && o->type == REFT_OPTION_FLAG && self->kind == NOREFT) {
    self->has_bias = o->i != 0;
    return o->i == 0 || o->i == 1;
  }
  if (is_text(o->name, "activation") && o->type == REFT_OPTION_STRING && self->kind == NOREFT)
    for (int i = 0; i < 5; i++)
      if (is_text(o->s, names[i])) {
        self->act = (activation_t)i;
        return 1;
      }
  return 0;
}

static reft_status_t make(kind_t kind, const reft_host_t* host, const reft_shape_t* shape,
                          const reft_option_t* list, uint32_t count, reft_call_t* call,
                          reft_instance_t** out) {
  *out = NULL;
  reft_instance_t made = {.host = host, .d = shape->dim, .r = 4, .kind = kind};
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

#define CREATE(name, kind)                                                                \
  static reft_status_t name(const reft_host_t* host, const reft_shape_t* shape,           \
                            const reft_option_t* list, uint32_t count, reft_call_t* call, \
                            reft_instance_t** out) {                                      \
    return make(kind, host, shape, list, count, call, out);                               \
  }
CREATE(create_noreft, NOREFT)
CREATE(create_consreft, CONSREFT)
CREATE(create_lobireft, LOBIREFT)

static void destroy(reft_instance_t* self) {
  if (self) self->host->free(self->host->context, self);
}

// Parameters: A, b, and for NoReFT W and c. Bits of uniform numbers as torch.nn.Linear starts.
enum { P_A, P_B, P_W, P_C };

static reft_status_t param_info(reft_instance_t* self, uint32_t index, reft_param_info_t* out) {
  int is_noreft = self->kind == NOREFT;
  if (index >= (is_noreft ? 3u + (uint32_t)self->has_bias : 2u)) return REFT_E_INVALID;
  double bound = 1 / sqrt((double)self->d);
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
  if (index == P_B || index == P_C) {
    info.name = index == P_B ? (reft_str_t)STR("source.bias") : (reft_str_t)STR("proj.bias");
    info.rank = 1;
    info.dims[1] = 0;
    info.flags |= REFT_PARAM_NO_DECAY;
    if (!is_noreft) {  // pyreft: a vector of torch.rand
      info.init_a = 0;
      info.init_b = 1;
    }
  } else if (index == P_W) {
    info.name = (reft_str_t)STR("source.weight");
  } else if (is_noreft) {
    info.name = (reft_str_t)STR("proj.weight");
  } else {
    info.name = (reft_str_t)STR("rotate.weight");
    info.flags |= REFT_PARAM_NO_DECAY;
    info.init_kind = REFT_INIT_ORTHOGONAL;
    info.constraint = REFT_CONSTRAINT_ORTHONORMAL_ROWS;
  }
  memcpy(out, &info, info.struct_size);
  return REFT_OK;
}

// Saved per row: W h + b, e. Scratch: the same, de and da, noise, a dropped row.
static uint64_t saved_size(const reft_instance_t* self, int64_t rows) {
  return (uint64_t)(rows * self->r) * 2 * sizeof(float);
}
static uint64_t scratch_size(const reft_instance_t* self) {
  return (uint64_t)(self->r * 2 + self->d * 2) * sizeof(float);
}

static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  if (shape->dim != self->d || shape->dtype != REFT_F32) return REFT_E_UNSUPPORTED;
  out->saved_bytes_per_row = saved_size(self, 1);
  out->saved_bytes_fixed = 0;
  out->scratch_bytes_per_row = 0;
  out->scratch_bytes_fixed = scratch_size(self);
  return REFT_OK;
}

static int is_rows(const reft_instance_t* self, const reft_mat_t* m, int64_t n) {
  return m->data && m->dtype == REFT_F32 && m->cols == self->d && m->rows == n &&
         m->col_stride == 1;
}

static reft_status_t check(const reft_instance_t* self, const reft_args_t* args, int needs_saved) {
  uint32_t count = self->kind == NOREFT ? 3u + (uint32_t)self->has_bias : 2u;
  if (!REFT_HAS(args, reft_args_t, rng_step) || args->n_params != count || !args->params ||
      !is_rows(self, &args->x, args->x.rows) || args->scratch_bytes < scratch_size(self) ||
      (needs_saved && args->saved_bytes < saved_size(self, args->x.rows)))
    return fail(self->host, args->call, REFT_E_INVALID,
                "x, the parameters or the memory are not as planned");
  if (args->flags >> 16)
    return fail(self->host, args->call, REFT_E_UNSUPPORTED, "an unknown flag must be understood");
  return REFT_OK;
}

// y = dropout(x). The noise is named by the token, so that it does not depend on a batch's split.
static void drop(const reft_instance_t* self, const reft_args_t* args, int64_t i, const float* x,
                 float* noise, float* y) {
  const reft_rows_t* rows = args->rows;
  uint64_t example = rows && rows->example ? (uint32_t)rows->example[i] : 0;
  uint64_t position = rows && rows->position ? (uint32_t)rows->position[i] : (uint64_t)i;
  self->host->rng_uniform(self->host->context, args->rng_key, args->rng_step,
                          (example << 40) + position * (uint64_t)self->d, noise, self->d);
  float scale = 1 / (1 - self->dropout);
  for (int64_t j = 0; j < self->d; j++) y[j] = noise[j] >= self->dropout ? x[j] * scale : 0;
}

// a = W h + b where there is a W; e = what A^T lifts.
static void directions(const reft_instance_t* self, const reft_args_t* args, const float* h,
                       float* a, float* e) {
  const float *A = args->params[P_A], *b = args->params[P_B];
  int64_t d = self->d, r = self->r;
  if (self->kind != LOBIREFT) rows_multiply(d, r, A, self->has_bias ? args->params[P_C] : 0, h, e);
  if (self->kind == NOREFT) rows_multiply(d, r, args->params[P_W], b, h, a);
  for (int64_t k = 0; k < r; k++) {
    if (self->kind == NOREFT) e[k] = activate(self->act, a[k]) - e[k];
    if (self->kind == CONSREFT) e[k] = b[k] - e[k];
    if (self->kind == LOBIREFT) e[k] = b[k];
  }
}

static reft_status_t forward(reft_instance_t* self, const reft_args_t* args) {
  int training = (args->flags & REFT_CALL_TRAINING) != 0;
  reft_status_t status = check(self, args, training);
  if (status != REFT_OK) return status;
  int64_t r = self->r;
  if (!is_rows(self, &args->y, args->x.rows))
    return fail(self->host, args->call, REFT_E_INVALID, "y does not fit x");
  for (int64_t i = 0; i < args->x.rows; i++) {
    const float* h = (const float*)args->x.data + i * args->x.row_stride;
    float* y = (float*)args->y.data + i * args->y.row_stride;
    float *a = training ? (float*)args->saved + i * 2 * r : args->scratch, *e = a + r;
    directions(self, args, h, a, e);
    rows_copy(self->d, h, y);
    rows_add_transposed(self->d, r, 1, args->params[P_A], e, y);
    if (training && self->dropout > 0) drop(self, args, i, y, (float*)args->scratch + 2 * r, y);
  }
  return REFT_OK;
}

static void add_gradients(const reft_instance_t* self, const reft_args_t* args, const float* h,
                          const float* g, const float* e, const float* de, const float* da) {
  int64_t d = self->d, r = self->r;
  float *dA = args->dparams[P_A], *db = args->dparams[P_B];
  if (dA) rows_add_outer(d, r, 1, e, g, dA);
  if (dA && self->kind != LOBIREFT) rows_add_outer(d, r, -1, de, h, dA);
  for (int64_t k = 0; db && k < r; k++) db[k] += da[k];
  if (self->kind != NOREFT) return;
  if (args->dparams[P_W]) rows_add_outer(d, r, 1, da, h, args->dparams[P_W]);
  float* dc = self->has_bias ? args->dparams[P_C] : NULL;
  for (int64_t k = 0; dc && k < r; k++) dc[k] -= de[k];
}

static reft_status_t backward(reft_instance_t* self, const reft_args_t* args) {
  reft_status_t status = check(self, args, 1);
  if (status != REFT_OK) return status;
  int64_t d = self->d, r = self->r, n = args->x.rows;
  int needs_dx = (args->flags & REFT_CALL_NEED_DX) != 0;
  int needs_dp = (args->flags & REFT_CALL_NEED_DPARAMS) != 0;
  if (!is_rows(self, &args->dy, n) || (needs_dx && !is_rows(self, &args->dx, n)) ||
      (needs_dp && !args->dparams))
    return fail(self->host, args->call, REFT_E_INVALID, "dy or dx does not fit x");
  float *de = args->scratch, *da = de + r, *noise = da + r, *dropped = noise + d;
  for (int64_t i = 0; i < n; i++) {
    const float* h = (const float*)args->x.data + i * args->x.row_stride;
    const float* g = (const float*)args->dy.data + i * args->dy.row_stride;
    const float *a = (const float*)args->saved + i * 2 * r, *e = a + r;
    if (self->dropout > 0) {
      drop(self, args, i, g, noise, dropped);
      g = dropped;
    }
    rows_multiply(d, r, args->params[P_A], NULL, g, de);
    for (int64_t k = 0; k < r; k++)
      da[k] = self->kind == NOREFT ? de[k] * slope(self->act, a[k]) : de[k];
    if (needs_dp) add_gradients(self, args, h, g, e, de, da);
    if (!needs_dx) continue;
    float* dx = (float*)args->dx.data + i * args->dx.row_stride;
    rows_copy(d, g, dx);
    if (self->kind == NOREFT) rows_add_transposed(d, r, 1, args->params[P_W], da, dx);
    if (self->kind != LOBIREFT) rows_add_transposed(d, r, -1, args->params[P_A], de, dx);
  }
  return REFT_OK;
}

// Without dropout, numbers depend on x and the parameters alone, in training too.
static const void* extension(reft_instance_t* self, const char* id) {
  return self->dropout == 0 && strcmp(id, "reft.deterministic/1") == 0 ? self : NULL;
}

#define PROMISES (REFT_CAP_ROWWISE | REFT_CAP_REENTRANT | REFT_CAP_INPLACE | REFT_CAP_BITWISE)
#define PLUGIN(name, text, more)                                                                 \
  {                                                                                              \
    .struct_size = sizeof(reft_plugin_t), .id = STR("org.reft." #name), .version = STR("1.0.0"), \
    .summary = STR(text), .license = STR("Apache-2.0"), .capabilities = PROMISES | (more),       \
    .dtypes = 1u << REFT_F32, .option_info = name##_option, .create = create_##name,             \
    .destroy = destroy, .param_info = param_info, .plan = plan, .forward = forward,              \
    .backward = backward, .extension = extension                                                 \
  }

static const reft_plugin_t noreft =
    PLUGIN(noreft, "NoReFT: h + W2^T (act(W1 h + b) - (W2 h + c)), nothing orthonormal", 0);
static const reft_plugin_t consreft =
    PLUGIN(consreft, "ConsReFT: h + R^T (b - R h), R with orthonormal rows", REFT_CAP_AFFINE_IN_X);
static const reft_plugin_t lobireft =
    PLUGIN(lobireft, "LobiReFT: h + R^T b, R with orthonormal rows", REFT_CAP_AFFINE_IN_X);

const reft_library_t* reft_plugin_entry_v1(const reft_entry_args_t* args) {
  static const reft_plugin_t* const plugins[] = {&noreft, &consreft, &lobireft};
  static const reft_library_t library = {.struct_size = sizeof library,
                                         .abi_major = REFT_ABI_MAJOR,
                                         .abi_minor = REFT_ABI_MINOR,
                                         .n_plugins = 3,
                                         .plugins = plugins};
  (void)args;
  return &library;
}
