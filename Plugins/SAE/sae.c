// SPDX-License-Identifier: Apache-2.0
// One feature i of a sparse autoencoder that lies in a file, set or added to:
//   z = w_i . (h - b_dec) + b_i,  a = z where z > threshold_i, else 0
//   clamp  y = h + (value - a) d_i
//   add    y = h + value d_i
// Sparse autoencoders: arXiv 2309.08600; with JumpReLU: arXiv 2407.14435.
#include "../Shared/edit_plugin.h"

enum { O_ENCODER, O_DECODER, O_ENCODER_BIAS, O_DECODER_BIAS, O_THRESHOLD, O_FEATURE, O_MODE };
enum { O_VALUE = O_MODE + 1, O_TRAIN };
enum { CLAMP, ADD };
/* What an instance keeps of the autoencoder: w_i, d_i, then two numbers. */
enum { OWN_OFFSET, OWN_THRESHOLD, OWN_NUMBERS };

static const reft_option_info_t sae_options[] = {
    {EDIT_OPTION(REFT_OPTION_TENSOR, "encoder"),
     .help = STR("w: [features, width], or [width, features]")},
    {EDIT_OPTION(REFT_OPTION_TENSOR, "decoder"),
     .help = STR("d: [features, width], or [width, features]")},
    {EDIT_OPTION(REFT_OPTION_TENSOR, "encoder_bias"), .help = STR("b: [features]; without: zeros")},
    {EDIT_OPTION(REFT_OPTION_TENSOR, "decoder_bias"),
     .help = STR("b_dec: [width]; without: zeros")},
    {EDIT_OPTION(REFT_OPTION_TENSOR, "threshold"),
     .help = STR("of a JumpReLU: [features]; without: zeros, a ReLU")},
    {EDIT_OPTION(REFT_OPTION_INT, "feature"), .help = STR("which feature, from 0"), .minimum = 0,
     .maximum = 1e9},
    {EDIT_OPTION(REFT_OPTION_STRING, "mode"),
     .help = STR("whether the feature is set to the value, or the value added to it"),
     .choices = STR("clamp|add"), .default_s = STR("clamp"), .minimum = 1},
    {EDIT_OPTION(REFT_OPTION_FLOAT, "value"), .help = STR("how active the feature is made"),
     .minimum = -1e6, .maximum = 1e6},
    {EDIT_OPTION(REFT_OPTION_FLAG, "train"), .help = STR("whether training changes the value"),
     .minimum = 1},
};

static const float* own(const reft_instance_t* self, int number) {
  return self->own + 2 * self->d + number;
}

// Copies row `feature` of a matrix [n, d], or column of one [d, n], to `out`; returns n, or 0 where
// the matrix is none of both or has not so many features.
static int64_t take_feature(const reft_tensor_t* m, int64_t d, int64_t feature, float* out) {
  const float* numbers = m->data;
  if (!numbers || m->rank != 2) return 0;
  const int rows = m->dims[1] == d;
  const int64_t n = rows ? m->dims[0] : m->dims[1];
  if ((!rows && m->dims[0] != d) || feature >= n) return 0;
  for (int64_t j = 0; j < d; j++) out[j] = numbers[rows ? feature * d + j : j * n + feature];
  return n;
}

// The number of a vector of `n`; `otherwise` where there is no vector, and *fits 0 for another one.
static float number_of(const reft_tensor_t* v, int64_t n, int64_t index, int* fits) {
  if (!v->data) return 0;
  *fits = *fits && v->rank == 1 && v->dims[0] == n;
  return *fits ? ((const float*)v->data)[index] : 0;
}

static const char* setup(reft_instance_t* self) {
  const int64_t d = self->d, feature = self->set[O_FEATURE].i;
  const reft_tensor_t* in = self->inputs;
  if (!in[O_ENCODER].data || !in[O_DECODER].data)
    return "encoder and decoder must be given, as FILE.safetensors#TENSOR";
  self->r = 1;
  self->kind = (int)self->set[O_MODE].i;
  self->own = self->host->alloc(self->host->context, (uint64_t)(2 * d + OWN_NUMBERS) * 4);
  if (!self->own) return "no memory for a feature";
  const int64_t n = take_feature(&in[O_ENCODER], d, feature, self->own);
  if (n == 0 || take_feature(&in[O_DECODER], d, feature, self->own + d) != n)
    return "encoder and decoder must be matrices of features as wide as a row, with this one among "
           "them";
  int fits = 1;
  float offset = number_of(&in[O_ENCODER_BIAS], n, feature, &fits);
  const float threshold = number_of(&in[O_THRESHOLD], n, feature, &fits);
  for (int64_t j = 0; j < d; j++)
    offset -= self->own[j] * number_of(&in[O_DECODER_BIAS], d, j, &fits);
  self->own[2 * d + OWN_OFFSET] = offset;
  self->own[2 * d + OWN_THRESHOLD] = threshold;
  return fits ? NULL : "a bias or the threshold has not one number for each feature, or column";
}

static uint32_t n_params(const reft_instance_t* self) {
  (void)self;
  return 1;
}

static void param(const reft_instance_t* self, uint32_t index, reft_param_info_t* info) {
  (void)index;
  edit_vector(info, 1);
  edit_constant(info, self->set[O_VALUE].f);
  info->name = (reft_str_t)STR("value");
  if (self->set[O_TRAIN].i == 0) info->flags &= ~(uint32_t)REFT_PARAM_TRAINABLE;
}

static int64_t one(const reft_instance_t* self) {
  (void)self;
  return 1;
}

static void forward(const reft_instance_t* self, const edit_row_t* row) {
  const float *w = self->own, *d = self->own + self->d, *h = row->h;
  const float z = dot(self->d, w, h) + *own(self, OWN_OFFSET);
  const int active = self->kind == CLAMP && z > *own(self, OWN_THRESHOLD);
  const float push = row->params[0][0] - (active ? z : 0);
  row->saved[0] = (float)active;
  for (int64_t j = 0; j < self->d; j++) row->y[j] = h[j] + push * d[j];
}

static void backward(const reft_instance_t* self, const edit_row_t* row) {
  row->scratch[0] = dot(self->d, self->own + self->d, row->g);
}

static void columns(const reft_instance_t* self, const edit_group_t* group) {
  const float* w = self->own + group->first;
  for (int64_t i = 0; i < group->n; i++) {
    const float e = group->scratch[i][0], back = group->saved[i][0] * e;
    if (group->dparams[0]) group->dparams[0][0] += e;
    for (int64_t j = 0; group->dx[i] && j < group->count; j++)
      group->dx[i][j] = group->g[i][j] - back * w[j];
  }
}

static const edit_t sae = {.options = sae_options,
                           .n_options = sizeof sae_options / sizeof *sae_options,
                           .setup = setup,
                           .n_params = n_params,
                           .param = param,
                           .saved = one,
                           .scratch = one,
                           .forward = forward,
                           .backward = backward,
                           .columns = columns};

EDIT_PLUGIN(sae, "org.reft.sae", sae,
            "a feature of a sparse autoencoder: h + (value - a_i) d_i, or h + value d_i", 0);

EDIT_LIBRARY(&plugin_sae);
