// SPDX-License-Identifier: Apache-2.0
// LoReFT (Wu et al. 2024, arXiv 2404.03592, equation 2): y = h + R^T (act(W h + b) - R h), R with
// orthonormal rows; of these rows all, or those that the option `subspace` names, or for each
// sequence those of its own subspace. The ABI is spoken by ../Shared/edit_plugin.h; the arithmetic
// is in edit.h.
#include "../Shared/edit_plugin.h"
#include "../Shared/low_rank_cuda.h"
#include "edit.h"

enum { P_ROTATE, P_WEIGHT, P_BIAS, P_COUNT };

static const reft_option_info_t loreft_options[] = {
    EDIT_RANK(4),
    EDIT_DROPOUT,
    EDIT_ACTIVATION,
    {EDIT_OPTION(REFT_OPTION_STRING, "init"),
     .help = STR("default: as pyreft; identity: W = R and b = 0, a linear edit starts as no edit"),
     .choices = STR("default|identity"), .default_s = STR("default"), .minimum = 1},
    {EDIT_OPTION(REFT_OPTION_STRING, "subspace"),
     .help = STR("the directions that are edited and trained, such as 0-3,6; empty: all"),
     .minimum = 1},
    {EDIT_OPTION(REFT_OPTION_STRING, "subspaces"),
     .help = STR("the directions of each subspace that rows of the data name, such as 0-3;4-7"),
     .minimum = 1},
};

static const char* setup(reft_instance_t* self) {
  self->choice = edit_get(self, "init")->i;
  reft_str_t one = edit_get(self, "subspace")->s, several = edit_get(self, "subspaces")->s;
  if (one.len && several.len) return "subspace is one for all rows, subspaces are chosen by row";
  if (several.len) return edit_read_sets(self, several, self->r);
  if (one.len) return edit_read_ranges(self, one, self->r);
  self->ranges[self->n_ranges++] = (edit_range_t){0, self->r};
  return NULL;
}

// The ranges of directions that are computed: with sets all, of which rows then keep their own.
static int64_t n_ranges(const reft_instance_t* self) {
  return self->n_sets ? 1 : self->n_ranges;
}

static edit_range_t range(const reft_instance_t* self, int64_t i) {
  return self->n_sets ? (edit_range_t){0, self->r} : self->ranges[i];
}

static uint32_t n_params(const reft_instance_t* self) {
  (void)self;
  return P_COUNT;
}

static void param(const reft_instance_t* self, uint32_t index, reft_param_info_t* info) {
  int starts_as_identity = self->choice == 1;
  if (index == P_ROTATE) {
    info->name = (reft_str_t)STR("rotate.weight");
    edit_orthonormal(info);
  } else if (index == P_WEIGHT) {
    info->name = (reft_str_t)STR("source.weight");
    if (starts_as_identity) {
      info->init_kind = REFT_INIT_COPY;
      info->init_a = P_ROTATE;
    }
  } else {
    info->name = (reft_str_t)STR("source.bias");
    edit_vector(info, self->r);
    if (starts_as_identity) info->init_kind = REFT_INIT_ZEROS;
  }
}

// How many directions are edited.
static int64_t edited(const reft_instance_t* self) {
  int64_t count = 0;
  for (int64_t i = 0; i < n_ranges(self); i++) count += range(self, i).last - range(self, i).first;
  return count;
}

// a, e of the edited directions, one after the other
static int64_t saved(const reft_instance_t* self) {
  return 2 * edited(self);
}

// de, da of these
static int64_t scratch(const reft_instance_t* self) {
  return 2 * edited(self);
}

static void forward(const reft_instance_t* self, const edit_row_t* row) {
  const float *R = row->params[P_ROTATE], *W = row->params[P_WEIGHT], *b = row->params[P_BIAS];
  float *a = row->saved, *e = a + edited(self);
  int64_t d = self->d, count;
  // All directions are projected before the first is lifted: y may be h.
  for (int64_t i = 0, at = 0; i < n_ranges(self); i++, at += count) {
    int64_t k = range(self, i).first;
    count = range(self, i).last - k;
    edit_project(d, count, self->act, R + k * d, W + k * d, b + k, row->h, a + at, e + at);
  }
  edit_keep_set(self, row->subspace, self->r, e);
  rows_copy(d, row->h, row->y);
  for (int64_t i = 0, at = 0; i < n_ranges(self); i++, at += count) {
    int64_t k = range(self, i).first;
    count = range(self, i).last - k;
    const float* lifted = e + at;
    rows_add_transposed(1, d, d, count, 1, R + k * d, &lifted, &row->y);
  }
}

static void backward(const reft_instance_t* self, const edit_row_t* row) {
  const float *R = row->params[P_ROTATE], *a = row->saved;
  float *de = row->scratch, *da = de + edited(self);
  int64_t d = self->d, count;
  for (int64_t i = 0, at = 0; i < n_ranges(self); i++, at += count) {
    int64_t k = range(self, i).first;
    count = range(self, i).last - k;
    edit_project_back(d, count, self->act, R + k * d, a + at, row->g, de + at, da + at);
  }
  edit_keep_set(self, row->subspace, self->r, de);
  edit_keep_set(self, row->subspace, self->r, da);
}

// Directions k...k + count - 1, the first of which is number `at` of those edited.
static void columns_of_range(const reft_instance_t* self, const edit_group_t* group, int64_t k,
                             int64_t count, int64_t at) {
  const float *e[EDIT_GROUP], *de[EDIT_GROUP], *da[EDIT_GROUP];
  edit_behind(group, group->saved, edited(self) + at, e);
  edit_behind(group, group->scratch, at, de);
  edit_behind(group, group->scratch, edited(self) + at, da);
  float *dR = group->dparams[P_ROTATE], *dW = group->dparams[P_WEIGHT];
  float* db = group->dparams[P_BIAS];
  int64_t n = group->n, width = group->count, s = group->stride;
  if (dR) rows_add_outer(n, width, s, count, 1, e, group->g, -1, de, group->h, dR + k * s);
  if (dW) rows_add_outer(n, width, s, count, 1, da, group->h, 0, NULL, NULL, dW + k * s);
  for (int64_t i = 0; db && i < n; i++)
    for (int64_t l = 0; l < count; l++) db[k + l] += da[i][l];
}

static void columns(const reft_instance_t* self, const edit_group_t* group) {
  const float *R = group->params[P_ROTATE], *W = group->params[P_WEIGHT];
  int64_t d = self->d, count;
  for (int64_t i = 0, at = 0; i < n_ranges(self); i++, at += count) {
    count = range(self, i).last - range(self, i).first;
    columns_of_range(self, group, range(self, i).first, count, at);
  }
  if (!group->dx[0]) return;
  edit_copy_g(group);
  for (int64_t i = 0, at = 0; i < n_ranges(self); i++, at += count) {
    const float *de[EDIT_GROUP], *da[EDIT_GROUP];
    int64_t place = range(self, i).first * d + group->first;
    count = range(self, i).last - range(self, i).first;
    edit_behind(group, group->scratch, at, de);
    edit_behind(group, group->scratch, edited(self) + at, da);
    rows_add_transposed(group->n, group->count, d, count, 1, W + place, da, group->dx);
    rows_add_transposed(group->n, group->count, d, count, -1, R + place, de, group->dx);
  }
}

// The edited directions, unless they are too many pieces for a program's numbers, or by row.
static int cuda(const reft_instance_t* self, reft_cuda_program_t* out) {
  if (self->n_sets || self->n_ranges > LOW_RANK_RANGES) return 0;
  low_rank_cuda(out, edited(self), LOW_RANK_DIFFERENCE);
  out->ints[PLACE_ACT] = (int32_t)self->act;
  out->ints[PLACE_W] = P_WEIGHT;
  out->ints[PLACE_B] = P_BIAS;
  out->ints[PLACE_RANGES] = (int32_t)self->n_ranges;
  for (int64_t i = 0; i < self->n_ranges; i++) {
    out->ints[PLACE_RANGES + 1 + 2 * i] = (int32_t)self->ranges[i].first;
    out->ints[PLACE_RANGES + 2 + 2 * i] = (int32_t)self->ranges[i].last;
  }
  return 1;
}

static const edit_t loreft = {.options = loreft_options,
                              .n_options = 6,
                              .setup = setup,
                              .n_params = n_params,
                              .param = param,
                              .saved = saved,
                              .scratch = scratch,
                              .forward = forward,
                              .backward = backward,
                              .columns = columns,
                              .cuda = cuda,
                              .refuses = edit_refuse_sets};

EDIT_PLUGIN(loreft, "org.reft.loreft", loreft,
            "LoReFT: h + R^T (act(W h + b) - R h), R with orthonormal rows", 0);

EDIT_LIBRARY(&plugin_loreft);
