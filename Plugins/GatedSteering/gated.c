// SPDX-License-Identifier: Apache-2.0
// Steering that a prompt turns on: at the last token of the prompt the row h says how much it is
// like a condition c, and from that token on rows move along v as far as the gate is open.
//   s = cos(c, h_last),  g = sigmoid((s - threshold) / softness),  y = h + alpha g v
// Conditional activation steering: arXiv 2409.05907.
#include "../Shared/edit_plugin.h"

enum { P_CONDITION, P_VECTOR, P_COUNT };
enum { TRAIN_ALL, TRAIN_VECTOR, TRAIN_CONDITION, TRAIN_NONE };
enum { O_TRAIN, O_THRESHOLD, O_SOFTNESS, O_ALPHA };

static const reft_option_info_t gated_options[] = {
    {EDIT_OPTION(REFT_OPTION_STRING, "train"),
     .help = STR("what training changes; the other stays as it starts or is given"),
     .choices = STR("all|vector|condition|none"), .default_s = STR("all"), .minimum = 1},
    {EDIT_OPTION(REFT_OPTION_FLOAT, "threshold"),
     .help = STR("cosine of condition and prompt at which the gate is half open"), .minimum = -1,
     .maximum = 1},
    {EDIT_OPTION(REFT_OPTION_FLOAT, "softness"),
     .help = STR("how gradually the gate opens; 0 opens it at once, and trains the vector alone"),
     .default_f = 0.1, .minimum = 0, .maximum = 10},
    {EDIT_OPTION(REFT_OPTION_FLOAT, "alpha"), .help = STR("strength of the vector"), .default_f = 1,
     .minimum = -1000, .maximum = 1000},
};

typedef struct state { /* of a sequence */
  float gate, cosine;
  int32_t row; /* of the present call, where the prompt's last token is; -1: in an earlier one */
} state_t;

static uint32_t n_params(const reft_instance_t* self) {
  (void)self;
  return P_COUNT;
}

static void param(const reft_instance_t* self, uint32_t index, reft_param_info_t* info) {
  const int64_t other = index == P_VECTOR ? TRAIN_CONDITION : TRAIN_VECTOR;
  const int64_t train = self->set[O_TRAIN].i;
  if (train == other || train == TRAIN_NONE) info->flags &= ~(uint32_t)REFT_PARAM_TRAINABLE;
  info->flags |= REFT_PARAM_NO_DECAY;
  info->name = index == P_VECTOR ? (reft_str_t)STR("vector") : (reft_str_t)STR("condition");
  if (index == P_VECTOR) edit_constant(info, 0);
}

static const edit_t gated = {
    .options = gated_options, .n_options = 4, .n_params = n_params, .param = param};

static reft_status_t option_info(uint32_t index, reft_option_info_t* out) {
  return edit_option_info(&gated, index, out);
}

static reft_status_t create(const reft_host_t* host, const reft_shape_t* shape,
                            const reft_option_t* list, uint32_t count, reft_call_t* call,
                            reft_instance_t** out) {
  *out = NULL;
  if (host->abi_minor < 1)
    return edit_fail(host, call, REFT_E_UNSUPPORTED,
                     "a state of each sequence is needed, which hosts of ABI 1.1 keep");
  return edit_create(&gated, host, shape, list, count, call, out);
}

static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  if (shape->dim != self->d || shape->dtype != REFT_F32) return REFT_E_UNSUPPORTED;
  out->saved_bytes_per_row = sizeof(state_t);
  out->scratch_bytes_per_row = sizeof(float);
  if (REFT_HAS(out, reft_workspace_t, state_bytes_per_sequence))
    out->state_bytes_per_sequence = sizeof(state_t);
  return REFT_OK;
}

static float* at(const reft_mat_t* m, int64_t row) {
  return (float*)m->data + row * m->row_stride;
}

static reft_status_t check(const reft_instance_t* self, const reft_args_t* args, int has_saved) {
  const int fits = REFT_HAS(args, reft_args_t, states) && args->params &&
                   args->n_params == P_COUNT && edit_is_rows(self, &args->x, args->x.rows);
  if (!fits || (has_saved && args->saved_bytes < (uint64_t)args->x.rows * sizeof(state_t)))
    return edit_fail(self->host, args->call, REFT_E_INVALID,
                     "x, the parameters or the memory are not as planned");
  if (args->flags >> 16)
    return edit_fail(self->host, args->call, REFT_E_UNSUPPORTED,
                     "an unknown flag must be understood");
  return REFT_OK;
}

// The state of a row's sequence, and whether the row is the prompt's last (0) or behind it (1, 2,
// ...); before it, and where nothing is known of the row, NULL.
static state_t* state_of(const reft_args_t* args, int64_t row, int32_t* behind) {
  const reft_rows_t* rows = args->rows;
  if (!REFT_HAS(args, reft_args_t, states) || !args->states) return NULL;
  if (!rows || !rows->position || !rows->length) return NULL;
  *behind = rows->position[row] - (rows->length[row] - 1);
  return *behind < 0 ? NULL : args->states[row];
}

static float length(int64_t n, const float* x) {
  return sqrtf(dot(n, x, x));
}

// Decides at row `row` of the call.
static void decide(const reft_instance_t* self, const reft_args_t* args, int64_t row,
                   state_t* state) {
  const float *c = args->params[P_CONDITION], *h = at(&args->x, row);
  const float lengths = length(self->d, c) * length(self->d, h);
  const float softness = (float)self->set[O_SOFTNESS].f;
  state->cosine = lengths > 0 ? dot(self->d, c, h) / lengths : 0;
  const float over = state->cosine - (float)self->set[O_THRESHOLD].f;
  state->gate = softness > 0 ? 1 / (1 + expf(-over / softness)) : over > 0;
  state->row = (int32_t)row;
}

static reft_status_t forward(reft_instance_t* self, const reft_args_t* args) {
  const int training = (args->flags & REFT_CALL_TRAINING) != 0;
  const reft_status_t status = check(self, args, training);
  if (status != REFT_OK) return status;
  if (!edit_is_rows(self, &args->y, args->x.rows))
    return edit_fail(self->host, args->call, REFT_E_INVALID, "y does not fit x");
  const float alpha = (float)self->set[O_ALPHA].f, *v = args->params[P_VECTOR];
  int32_t behind = 0;
  for (int64_t i = 0; i < args->x.rows; i++) {
    state_t* state = state_of(args, i, &behind);
    if (state) state->row = -1;
  }
  for (int64_t i = 0; i < args->x.rows; i++) {
    state_t* state = state_of(args, i, &behind);
    if (state && behind == 0) decide(self, args, i, state);
    const state_t now = state ? *state : (state_t){.row = -1};
    if (training) ((state_t*)args->saved)[i] = now;
    const float *h = at(&args->x, i), push = alpha * now.gate;
    float* y = at(&args->y, i);
    for (int64_t j = 0; j < self->d; j++) y[j] = h[j] + push * v[j];
  }
  return REFT_OK;
}

// What opening the gate at row `row` a little more does to the loss, into the condition and that
// row.
static void carry_back(const reft_instance_t* self, const reft_args_t* args, int64_t row,
                       float slope_of_gate) {
  const state_t now = ((const state_t*)args->saved)[row];
  const float softness = (float)self->set[O_SOFTNESS].f;
  const float *c = args->params[P_CONDITION], *h = at(&args->x, row);
  const float along_c = length(self->d, c), along_h = length(self->d, h);
  if (!(softness > 0 && along_c > 0 && along_h > 0)) return;
  const float e = slope_of_gate * now.gate * (1 - now.gate) / softness;
  float* dc = args->flags & REFT_CALL_NEED_DPARAMS ? args->dparams[P_CONDITION] : NULL;
  float* dx = args->flags & REFT_CALL_NEED_DX ? at(&args->dx, row) : NULL;
  for (int64_t j = 0; j < self->d; j++) {
    const float cj = c[j] / along_c, hj = h[j] / along_h;
    if (dc) dc[j] += e * (hj - now.cosine * cj) / along_c;
    if (dx) dx[j] += e * (cj - now.cosine * hj) / along_h;
  }
}

static reft_status_t backward(reft_instance_t* self, const reft_args_t* args) {
  const reft_status_t status = check(self, args, 1);
  if (status != REFT_OK) return status;
  const int64_t n = args->x.rows, d = self->d;
  const int wants_dx = (args->flags & REFT_CALL_NEED_DX) != 0;
  if (!edit_is_rows(self, &args->dy, n) || (wants_dx && !edit_is_rows(self, &args->dx, n)))
    return edit_fail(self->host, args->call, REFT_E_INVALID, "dy or dx does not fit x");
  const state_t* saved = args->saved;
  const float alpha = (float)self->set[O_ALPHA].f, *v = args->params[P_VECTOR];
  float *dv = args->flags & REFT_CALL_NEED_DPARAMS ? args->dparams[P_VECTOR] : NULL,
        *slopes = args->scratch;
  for (int64_t i = 0; i < n; i++) slopes[i] = 0;
  for (int64_t i = 0; i < n; i++)
    if (saved[i].row >= 0) slopes[saved[i].row] += alpha * dot(d, v, at(&args->dy, i));
  for (int64_t i = 0; i < n; i++) {
    const float *g = at(&args->dy, i), push = alpha * saved[i].gate;
    for (int64_t j = 0; dv && push != 0 && j < d; j++) dv[j] += push * g[j];
    for (int64_t j = 0; wants_dx && j < d; j++) at(&args->dx, i)[j] = g[j];
  }
  for (int64_t i = 0; i < n; i++)
    if (saved[i].row == i) carry_back(self, args, i, slopes[i]);
  return REFT_OK;
}

static const reft_plugin_t plugin_gated = {
    .struct_size = sizeof(reft_plugin_t),
    .id = STR("org.reft.gated-steering"),
    .version = STR("1.0.0"),
    .summary = STR("gated steering: h + alpha g v from the prompt's last token on, g of cos(c, h)"),
    .license = STR("Apache-2.0"),
    .capabilities =
        REFT_CAP_REENTRANT | REFT_CAP_INPLACE | REFT_CAP_BITWISE | REFT_CAP_IDENTITY_INIT,
    .dtypes = 1u << REFT_F32,
    .option_info = option_info,
    .create = create,
    .destroy = edit_destroy,
    .param_info = edit_param_info,
    .plan = plan,
    .forward = forward,
    .backward = backward};

EDIT_LIBRARY(&plugin_gated);
