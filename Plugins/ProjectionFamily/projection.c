// SPDX-License-Identifier: Apache-2.0
// Edits of what a row says along r orthonormal directions V, [r, d], and of nothing else; three
// interventions in one library. With a = V h, all are y = h + V^T e, where
//   ablate  e = -strength a
//   clamp   e = c - a
//   affine  e = (s - 1) a + t, number by number
// Ablation of a direction: arXiv 2406.11717.
#include "../Shared/edit_plugin.h"
#include "../Shared/low_rank_cuda.h"

enum { ABLATE, CLAMP, AFFINE };
enum { P_V, P_SHIFT, P_SCALE };
enum { TRAIN_ALL, TRAIN_VALUES, TRAIN_DIRECTIONS, TRAIN_NONE };

#define EDIT_TRAIN(all, text)                                                         \
  {                                                                                   \
    EDIT_OPTION(REFT_OPTION_STRING, "train"), .help = STR(text), .choices = STR(all), \
                                              .default_s = STR("all"), .minimum = 1   \
  }

static const reft_option_info_t ablate_options[] = {
    EDIT_RANK(1),
    EDIT_TRAIN("all|none", "whether training changes the directions, or leaves them as given"),
    {EDIT_OPTION(REFT_OPTION_FLOAT, "strength"),
     .help = STR("share of h along the directions that is taken away; 2 mirrors it"),
     .default_f = 1, .minimum = -100, .maximum = 100},
};
static const reft_option_info_t clamp_options[] = {
    EDIT_RANK(1),
    EDIT_TRAIN("all|values|directions|none", "what training changes; the rest stays as given"),
    {EDIT_OPTION(REFT_OPTION_FLOAT, "value"),
     .help = STR("what the coefficients along the directions are set to at the start"),
     .minimum = -1e6, .maximum = 1e6},
};

static const char* setup(reft_instance_t* self) {
  const reft_option_t* train = edit_get(self, "train");
  self->choice = self->kind == ABLATE && train->i ? TRAIN_NONE : train->i;
  const reft_option_t* strength = edit_get(self, self->kind == CLAMP ? "value" : "strength");
  self->strength = strength ? (float)strength->f : 0;
  return NULL;
}

static uint32_t n_params(const reft_instance_t* self) {
  return self->kind == ABLATE ? 1 : self->kind == CLAMP ? 2 : 3;
}

static void param(const reft_instance_t* self, uint32_t index, reft_param_info_t* info) {
  int64_t without = index == P_V ? TRAIN_VALUES : TRAIN_DIRECTIONS;
  if (self->choice == without || self->choice == TRAIN_NONE)
    info->flags &= ~(uint32_t)REFT_PARAM_TRAINABLE;
  if (index == P_V) {
    info->name = (reft_str_t)STR("directions");
    edit_orthonormal(info);
    return;
  }
  edit_vector(info, self->r);
  if (index == P_SCALE) info->name = (reft_str_t)STR("scale");
  if (index == P_SHIFT)
    info->name = self->kind == CLAMP ? (reft_str_t)STR("values") : (reft_str_t)STR("shift");
  edit_constant(info, index == P_SCALE ? 1 : self->kind == CLAMP ? self->strength : 0);
}

// a = V h
static int64_t saved(const reft_instance_t* self) {
  return self->r;
}

// e, de, da
static int64_t scratch(const reft_instance_t* self) {
  return 3 * self->r;
}

// What a coefficient a[k] is multiplied with in e.
static float factor(const reft_instance_t* self, const edit_row_t* row, int64_t k) {
  if (self->kind == AFFINE) return row->params[P_SCALE][k] - 1;
  return self->kind == CLAMP ? -1 : -self->strength;
}

static void change(const reft_instance_t* self, const edit_row_t* row, const float* a, float* e) {
  for (int64_t k = 0; k < self->r; k++) {
    e[k] = factor(self, row, k) * a[k];
    if (self->kind != ABLATE) e[k] += row->params[P_SHIFT][k];
  }
}

static void forward(const reft_instance_t* self, const edit_row_t* row) {
  rows_multiply(self->d, self->r, row->params[P_V], NULL, row->h, row->saved);
  change(self, row, row->saved, row->scratch);
  rows_copy(self->d, row->h, row->y);
  const float* e = row->scratch;
  rows_add_transposed(1, self->d, self->d, self->r, 1, row->params[P_V], &e, &row->y);
}

static void backward(const reft_instance_t* self, const edit_row_t* row) {
  float *e = row->scratch, *de = e + self->r, *da = de + self->r;
  change(self, row, row->saved, e);
  rows_multiply(self->d, self->r, row->params[P_V], NULL, row->g, de);
  for (int64_t k = 0; k < self->r; k++) da[k] = factor(self, row, k) * de[k];
}

static void columns(const reft_instance_t* self, const edit_group_t* group) {
  int64_t n = group->n, d = self->d, r = self->r, first = group->first;
  const float *de[EDIT_GROUP], *da[EDIT_GROUP];
  edit_behind(group, group->scratch, r, de);
  edit_behind(group, group->scratch, 2 * r, da);
  float* dV = group->dparams[P_V];
  float* shift = self->kind == ABLATE ? NULL : group->dparams[P_SHIFT];
  float* scale = self->kind == AFFINE ? group->dparams[P_SCALE] : NULL;
  if (dV)
    rows_add_outer(n, group->count, group->stride, r, 1, group->scratch, group->g, 1, da, group->h,
                   dV);
  for (int64_t i = 0; i < n; i++) {
    for (int64_t k = 0; shift && k < r; k++) shift[k] += de[i][k];
    for (int64_t k = 0; scale && k < r; k++) scale[k] += de[i][k] * group->saved[i][k];
  }
  if (!group->dx[0]) return;
  edit_copy_g(group);
  rows_add_transposed(n, group->count, d, r, 1, group->params[P_V] + first, da, group->dx);
}

static int cuda(const reft_instance_t* self, reft_cuda_program_t* out) {
  low_rank_cuda(out, self->r, LOW_RANK_SCALED);
  if (self->kind != ABLATE) out->ints[PLACE_B] = P_SHIFT;
  if (self->kind == AFFINE) out->ints[PLACE_S] = P_SCALE;
  out->floats[0] = self->kind == CLAMP ? -1 : -self->strength;
  return 1;
}

#define PROJECTION(kind_of_edit, list, count)                                                     \
  {                                                                                               \
    .kind = kind_of_edit, .options = list, .n_options = count, .setup = setup,                    \
    .n_params = n_params, .param = param, .saved = saved, .scratch = scratch, .forward = forward, \
    .backward = backward, .columns = columns, .cuda = cuda                                        \
  }

// The affine edit has the first two of clamp's options.
static const edit_t ablate = PROJECTION(ABLATE, ablate_options, 3);
static const edit_t clamp = PROJECTION(CLAMP, clamp_options, 3);
static const edit_t affine = PROJECTION(AFFINE, clamp_options, 2);

EDIT_PLUGIN(ablate, "org.reft.ablate", ablate,
            "ablation: h - strength V^T V h, V with orthonormal rows", REFT_CAP_AFFINE_IN_X);
EDIT_PLUGIN(clamp, "org.reft.clamp", clamp, "clamping: h + V^T (c - V h), V with orthonormal rows",
            REFT_CAP_AFFINE_IN_X);
EDIT_PLUGIN(affine, "org.reft.affine", affine,
            "affine on a subspace: h + V^T ((s - 1) V h + t), V with orthonormal rows",
            REFT_CAP_AFFINE_IN_X | REFT_CAP_IDENTITY_INIT);

EDIT_LIBRARY(&plugin_ablate, &plugin_clamp, &plugin_affine);
