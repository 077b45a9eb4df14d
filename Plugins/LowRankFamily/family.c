// SPDX-License-Identifier: Apache-2.0
// Edits through r directions, several interventions in one library. With A a matrix [r, d], all are
// y = D(h + A^T e), where
//   noreft    e = act(W h + b) - (A h + c)
//   consreft  e = b - A h, A with orthonormal rows
//   lobireft  e = b,       A with orthonormal rows
//   reft-r1   e = the largest top_k of relu(W h + b), A with rows of length one
// reft-r1 also adds the L1 norm of read-outs to the loss: of those that do not act where top_k
// chooses, else of all. The first three are the ablations of the ReFT paper (arXiv 2404.03592,
// appendix on other interventions), the last is from AxBench (arXiv 2501.17148).
#include "../Shared/edit_plugin.h"
#include "../Shared/low_rank_cuda.h"

enum { NOREFT, CONSREFT, LOBIREFT, REFT_R1 };
enum { P_A, P_B, P_W, P_C };

static const reft_option_info_t low_rank_options[] = {
    EDIT_RANK(4),
    EDIT_DROPOUT,
    EDIT_ACTIVATION,
    {EDIT_OPTION(REFT_OPTION_FLAG, "bias"), .help = STR("whether the projection has a bias c"),
     .minimum = 1},
};
static const reft_option_info_t r1_options[] = {
    EDIT_RANK(1),
    {EDIT_OPTION(REFT_OPTION_INT, "top_k"),
     .help = STR("how many of the r read-outs act on a row, the largest; 0: all that are positive"),
     .minimum = 0, .maximum = 65536},
    {EDIT_OPTION(REFT_OPTION_FLOAT, "l1"),
     .help = STR("what the L1 norm of the read-outs adds to the auxiliary loss"),
     .default_f = 0.005, .minimum = 0, .maximum = 1000},
};

static int has_source(const reft_instance_t* self) {
  return self->kind == NOREFT || self->kind == REFT_R1;
}

static int has_bias(const reft_instance_t* self) {
  return self->kind == NOREFT && self->choice;
}

static const char* noreft_setup(reft_instance_t* self) {
  self->choice = edit_get(self, "bias")->i;
  return NULL;
}

static const char* r1_setup(reft_instance_t* self) {
  self->choice = edit_get(self, "top_k")->i;
  self->strength = (float)edit_get(self, "l1")->f;
  self->act = ACT_RELU;
  return self->choice <= self->r ? NULL : "top_k can be at most the rank";
}

static uint32_t n_params(const reft_instance_t* self) {
  return has_source(self) ? 3u + (uint32_t)has_bias(self) : 2u;
}

static void param(const reft_instance_t* self, uint32_t index, reft_param_info_t* info) {
  if (index == P_B || index == P_C) {
    edit_vector(info, self->r);
    info->name = index == P_B ? (reft_str_t)STR("source.bias") : (reft_str_t)STR("proj.bias");
    if (!has_source(self)) {  // pyreft: a vector of torch.rand
      info->init_a = 0;
      info->init_b = 1;
    } else if (self->kind == REFT_R1) {
      edit_constant(info, 0);
    }
  } else if (index == P_W) {
    info->name = (reft_str_t)STR("source.weight");
  } else if (self->kind == NOREFT) {
    info->name = (reft_str_t)STR("proj.weight");
  } else if (self->kind == REFT_R1) {
    info->name = (reft_str_t)STR("proj.weight");
    info->flags |= REFT_PARAM_NO_DECAY;
    info->init_kind = REFT_INIT_ORTHOGONAL;
    info->constraint = REFT_CONSTRAINT_UNIT_ROWS;
  } else {
    info->name = (reft_str_t)STR("rotate.weight");
    edit_orthonormal(info);
  }
}

// Saved per row: e, and W h + b where there is a W.
static int64_t saved(const reft_instance_t* self) {
  return (1 + has_source(self)) * self->r;
}

// de, da
static int64_t scratch(const reft_instance_t* self) {
  return 2 * self->r;
}

// Sets all but the `count` largest of e to zero; of equal ones, the first are kept.
static void keep_largest(int64_t r, int64_t count, const float* a, float* e) {
  for (int64_t k = 0; k < r; k++) {
    int64_t ahead = 0;
    for (int64_t j = 0; j < r; j++) ahead += a[j] > a[k] || (a[j] == a[k] && j < k);
    if (ahead >= count) e[k] = 0;
  }
}

// a = W h + b where there is a W; e = what A^T lifts.
static void directions(const reft_instance_t* self, const edit_row_t* row, float* a, float* e) {
  const float *A = row->params[P_A], *b = row->params[P_B];
  int64_t d = self->d, r = self->r;
  if (self->kind == NOREFT || self->kind == CONSREFT)
    rows_multiply(d, r, A, has_bias(self) ? row->params[P_C] : NULL, row->h, e);
  if (has_source(self)) rows_multiply(d, r, row->params[P_W], b, row->h, a);
  for (int64_t k = 0; k < r; k++) {
    if (self->kind == NOREFT) e[k] = activate(self->act, a[k]) - e[k];
    if (self->kind == CONSREFT) e[k] = b[k] - e[k];
    if (self->kind == LOBIREFT) e[k] = b[k];
    if (self->kind == REFT_R1) e[k] = activate(self->act, a[k]);
  }
  if (self->kind == REFT_R1 && self->choice) keep_largest(r, self->choice, a, e);
}

static void forward(const reft_instance_t* self, const edit_row_t* row) {
  float *e = row->saved, *a = e + self->r;
  directions(self, row, a, e);
  rows_copy(self->d, row->h, row->y);
  const float* lifted = e;
  rows_add_transposed(1, self->d, self->d, self->r, 1, row->params[P_A], &lifted, &row->y);
}

// Whether read-out k adds to the auxiliary loss.
static int is_penalised(const reft_instance_t* self, const float* e, int64_t k) {
  return self->choice == 0 || e[k] == 0;
}

static double auxiliary(const reft_instance_t* self, const float* saved) {
  const float *e = saved, *a = e + self->r;
  double sum = 0;
  for (int64_t k = 0; k < self->r; k++)
    if (is_penalised(self, e, k)) sum += activate(self->act, a[k]);
  return self->strength * sum;
}

static void backward(const reft_instance_t* self, const edit_row_t* row) {
  const float *e = row->saved, *a = e + self->r;
  float *de = row->scratch, *da = de + self->r;
  rows_multiply(self->d, self->r, row->params[P_A], NULL, row->g, de);
  for (int64_t k = 0; k < self->r; k++) {
    da[k] = has_source(self) ? de[k] * slope(self->act, a[k]) : de[k];
    if (self->kind == REFT_R1 && e[k] == 0) da[k] = 0;
    if (self->kind == REFT_R1 && is_penalised(self, e, k))
      da[k] += row->own * self->strength * slope(self->act, a[k]);
  }
}

static int has_readout(const reft_instance_t* self) {
  return self->kind == NOREFT || self->kind == CONSREFT;
}

static void add_gradients(const reft_instance_t* self, const edit_group_t* group,
                          const float* const* da) {
  int64_t n = group->n, r = self->r, width = group->count, stride = group->stride;
  const float* const* de = has_readout(self) ? group->scratch : NULL;
  float *dA = group->dparams[P_A], *db = group->dparams[P_B];
  float* dW = has_source(self) ? group->dparams[P_W] : NULL;
  float* dc = has_bias(self) ? group->dparams[P_C] : NULL;
  if (dA) rows_add_outer(n, width, stride, r, 1, group->saved, group->g, -1, de, group->h, dA);
  if (dW) rows_add_outer(n, width, stride, r, 1, da, group->h, 0, NULL, NULL, dW);
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < r; k++) {
      if (db) db[k] += da[i][k];
      if (dc) dc[k] -= de[i][k];
    }
}

static void columns(const reft_instance_t* self, const edit_group_t* group) {
  int64_t n = group->n, d = self->d, r = self->r, width = group->count, first = group->first;
  const float* da[EDIT_GROUP];
  edit_behind(group, group->scratch, r, da);
  add_gradients(self, group, da);
  if (!group->dx[0]) return;
  edit_copy_g(group);
  if (has_source(self))
    rows_add_transposed(n, width, d, r, 1, group->params[P_W] + first, da, group->dx);
  if (has_readout(self))
    rows_add_transposed(n, width, d, r, -1, group->params[P_A] + first, group->scratch, group->dx);
}

static int cuda(const reft_instance_t* self, reft_cuda_program_t* out) {
  static const enum low_rank_kind kinds[] = {[NOREFT] = LOW_RANK_DIFFERENCE,
                                             [CONSREFT] = LOW_RANK_SCALED,
                                             [LOBIREFT] = LOW_RANK_CONSTANT,
                                             [REFT_R1] = LOW_RANK_READOUT};
  low_rank_cuda(out, self->r, kinds[self->kind]);
  out->ints[PLACE_ACT] = (int32_t)self->act;
  out->ints[PLACE_B] = P_B;
  if (has_source(self)) out->ints[PLACE_W] = P_W;
  if (has_bias(self)) out->ints[PLACE_C] = P_C;
  if (self->kind == REFT_R1) out->ints[PLACE_TOP_K] = (int32_t)self->choice;
  out->floats[0] = -1;  // consreft: b - A h
  return 1;
}

#define LOW_RANK(kind_of_edit, list, count, read, loss)                                           \
  {                                                                                               \
    .kind = kind_of_edit, .options = list, .n_options = count, .setup = read,                     \
    .n_params = n_params, .param = param, .saved = saved, .scratch = scratch, .forward = forward, \
    .backward = backward, .columns = columns, .cuda = cuda, .auxiliary = loss                     \
  }

// LobiReFT has the first two options, ConsReFT the first alone.
static const edit_t noreft = LOW_RANK(NOREFT, low_rank_options, 4, noreft_setup, NULL);
static const edit_t consreft = LOW_RANK(CONSREFT, low_rank_options, 1, NULL, NULL);
static const edit_t lobireft = LOW_RANK(LOBIREFT, low_rank_options, 2, NULL, NULL);
static const edit_t reft_r1 = LOW_RANK(REFT_R1, r1_options, 3, r1_setup, auxiliary);

EDIT_PLUGIN(noreft, "org.reft.noreft", noreft,
            "NoReFT: h + W2^T (act(W1 h + b) - (W2 h + c)), nothing orthonormal", 0);
EDIT_PLUGIN(consreft, "org.reft.consreft", consreft,
            "ConsReFT: h + R^T (b - R h), R with orthonormal rows", REFT_CAP_AFFINE_IN_X);
EDIT_PLUGIN(lobireft, "org.reft.lobireft", lobireft, "LobiReFT: h + R^T b, R with orthonormal rows",
            REFT_CAP_AFFINE_IN_X);
EDIT_PLUGIN(reft_r1, "org.reft.reft-r1", reft_r1,
            "ReFT-r1: h + V^T relu(W h + b), V with rows of length one, the largest top_k alone",
            REFT_CAP_AUXILIARY_LOSS);

EDIT_LIBRARY(&plugin_noreft, &plugin_consreft, &plugin_lobireft, &plugin_reft_r1);
