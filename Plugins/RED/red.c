// SPDX-License-Identifier: Apache-2.0
// RED, representation editing (Wu et al. 2024, arXiv 2402.15179): y = s * h + b, number by number.
#include "../Shared/edit_plugin.h"
#include "red_cuda.h"

enum { P_SCALE, P_BIAS };

static const reft_option_info_t red_options[] = {
    {EDIT_OPTION(REFT_OPTION_STRING, "train"),
     .help = STR("what training changes; the other stays as it starts or is given"),
     .choices = STR("both|scale|bias"), .default_s = STR("both"), .minimum = 1},
};
enum { TRAIN_BOTH, TRAIN_SCALE, TRAIN_BIAS };

static uint32_t n_params(const reft_instance_t* self) {
  (void)self;
  return 2;
}

static void param(const reft_instance_t* self, uint32_t index, reft_param_info_t* info) {
  int64_t other = index == P_SCALE ? TRAIN_BIAS : TRAIN_SCALE;
  if (self->set[0].i == other) info->flags &= ~(uint32_t)REFT_PARAM_TRAINABLE;
  info->flags |= REFT_PARAM_NO_DECAY;
  info->name = index == P_SCALE ? (reft_str_t)STR("scale") : (reft_str_t)STR("bias");
  edit_constant(info, index == P_SCALE);
}

static int64_t nothing(const reft_instance_t* self) {
  (void)self;
  return 0;
}

static void forward(const reft_instance_t* self, const edit_row_t* row) {
  const float *s = row->params[P_SCALE], *b = row->params[P_BIAS];
  for (int64_t j = 0; j < self->d; j++) row->y[j] = s[j] * row->h[j] + b[j];
}

static void columns(const reft_instance_t* self, const edit_group_t* group) {
  const float* s = group->params[P_SCALE] + group->first;
  float *ds = group->dparams[P_SCALE], *db = group->dparams[P_BIAS];
  int64_t n = group->count;
  (void)self;
  for (int64_t i = 0; i < group->n; i++) {
    const float *h = group->h[i], *g = group->g[i];
    for (int64_t j = 0; ds && j < n; j++) ds[j] += g[j] * h[j];
    for (int64_t j = 0; db && j < n; j++) db[j] += g[j];
    for (int64_t j = 0; group->dx[i] && j < n; j++) group->dx[i][j] = g[j] * s[j];
  }
}

static int cuda(const reft_instance_t* self, reft_cuda_program_t* out) {
  (void)self;
  red_cuda(out);
  return 1;
}

static const edit_t red = {.options = red_options,
                           .n_options = 1,
                           .n_params = n_params,
                           .param = param,
                           .saved = nothing,
                           .scratch = nothing,
                           .forward = forward,
                           .columns = columns,
                           .cuda = cuda};

EDIT_PLUGIN(red, "org.reft.red", red, "RED: s * h + b, number by number",
            REFT_CAP_AFFINE_IN_X | REFT_CAP_IDENTITY_INIT);

EDIT_LIBRARY(&plugin_red);
