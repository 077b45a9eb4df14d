// SPDX-License-Identifier: Apache-2.0
// Interchange interventions: rows s of the frozen model over another prompt take the place of a row
// h, or of a part of it; two in one library.
//   interchange  y[j] = s[j] for the chosen numbers j of a row, h[j] for the others
//   das          y = h + R^T (R s - R h), R [r, d] with orthonormal rows
// Interchange: arXiv 2106.02997; DAS, distributed alignment search: arXiv 2303.02536. To gradients
// s is a constant.
#include "../Shared/edit_plugin.h"

enum { P_ROTATE };

/* ---- interchange ---- */

static const reft_option_info_t interchange_options[] = {
    {EDIT_OPTION(REFT_OPTION_STRING, "dimensions"),
     .help = STR("the numbers of a row that are replaced, such as 0-31,40; empty: all"),
     .minimum = 1},
};

static const char* interchange_setup(reft_instance_t* self) {
  reft_str_t text = edit_get(self, "dimensions")->s;
  if (text.len) return edit_read_ranges(self, text, self->d);
  self->ranges[self->n_ranges++] = (edit_range_t){0, self->d};
  return NULL;
}

static int64_t nothing(const reft_instance_t* self) {
  (void)self;
  return 0;
}

static uint32_t no_params(const reft_instance_t* self) {
  (void)self;
  return 0;
}

static void no_param(const reft_instance_t* self, uint32_t index, reft_param_info_t* info) {
  (void)self, (void)index, (void)info;
}

static void replace(const reft_instance_t* self, const edit_row_t* row) {
  rows_copy(self->d, row->h, row->y);
  for (int64_t i = 0; i < self->n_ranges; i++) {
    const edit_range_t range = self->ranges[i];
    rows_copy(range.last - range.first, row->t + range.first, row->y + range.first);
  }
}

// No gradient reaches h through a number that was replaced.
static void replace_columns(const reft_instance_t* self, const edit_group_t* group) {
  if (!group->dx[0]) return;
  edit_copy_g(group);
  for (int64_t i = 0; i < self->n_ranges; i++) {
    int64_t first = self->ranges[i].first - group->first,
            last = self->ranges[i].last - group->first;
    if (first < 0) first = 0;
    if (last > group->count) last = group->count;
    for (int64_t l = 0; l < group->n; l++)
      for (int64_t j = first; j < last; j++) group->dx[l][j] = 0;
  }
}

/* ---- das ---- */

static const reft_option_info_t das_options[] = {EDIT_RANK(1)};

static uint32_t one_param(const reft_instance_t* self) {
  (void)self;
  return 1;
}

static void rotation(const reft_instance_t* self, uint32_t index, reft_param_info_t* info) {
  (void)self, (void)index;
  info->name = (reft_str_t)STR("rotate.weight");
  edit_orthonormal(info);
}

static int64_t rank(const reft_instance_t* self) {
  return self->r;
}

// Saved: c = R s - R h. Scratch: R h, and on the way back u = R g.
static void align(const reft_instance_t* self, const edit_row_t* row) {
  const float* R = row->params[P_ROTATE];
  float *c = row->saved, *a = row->scratch;
  rows_multiply(self->d, self->r, R, NULL, row->t, c);
  rows_multiply(self->d, self->r, R, NULL, row->h, a);
  for (int64_t k = 0; k < self->r; k++) c[k] -= a[k];
  rows_copy(self->d, row->h, row->y);
  const float* lifted = c;
  rows_add_transposed(1, self->d, self->d, self->r, 1, R, &lifted, &row->y);
}

static void align_back(const reft_instance_t* self, const edit_row_t* row) {
  rows_multiply(self->d, self->r, row->params[P_ROTATE], NULL, row->g, row->scratch);
}

// dR = c g^T + u (s - h)^T, dx = g - R^T u
static void align_columns(const reft_instance_t* self, const edit_group_t* group) {
  int64_t n = group->n, r = self->r, width = group->count;
  const float* const* u = group->scratch;
  float* dR = group->dparams[P_ROTATE];
  if (dR) {
    rows_add_outer(n, width, group->stride, r, 1, group->saved, group->g, -1, u, group->h, dR);
    rows_add_outer(n, width, group->stride, r, 1, u, group->t, 0, NULL, NULL, dR);
  }
  if (!group->dx[0]) return;
  edit_copy_g(group);
  rows_add_transposed(n, width, self->d, r, -1, group->params[P_ROTATE] + group->first, u,
                      group->dx);
}

static const edit_t interchange = {.options = interchange_options,
                                   .n_options = 1,
                                   .setup = interchange_setup,
                                   .n_params = no_params,
                                   .param = no_param,
                                   .saved = nothing,
                                   .scratch = nothing,
                                   .forward = replace,
                                   .columns = replace_columns,
                                   .takes_counterpart = 1};
static const edit_t das = {.options = das_options,
                           .n_options = 1,
                           .n_params = one_param,
                           .param = rotation,
                           .saved = rank,
                           .scratch = rank,
                           .forward = align,
                           .backward = align_back,
                           .columns = align_columns,
                           .takes_counterpart = 1};

EDIT_PLUGIN(interchange, "org.reft.interchange", interchange,
            "interchange: s in place of h, or chosen numbers of it, s of a source prompt",
            REFT_CAP_AFFINE_IN_X | REFT_CAP_NEEDS_COUNTERPART);
EDIT_PLUGIN(das, "org.reft.das", das,
            "DAS: h + R^T (R s - R h), R with orthonormal rows, s of a source prompt",
            REFT_CAP_AFFINE_IN_X | REFT_CAP_NEEDS_COUNTERPART);

EDIT_LIBRARY(&plugin_interchange, &plugin_das);
