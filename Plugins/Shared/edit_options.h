/* SPDX-License-Identifier: Apache-2.0
 * edit_options.h: what an edit states about itself, an instance of one, and how its options are
 * read. edit_plugin.h makes a plugin from that.
 */
#ifndef SHARED_EDIT_OPTIONS_H
#define SHARED_EDIT_OPTIONS_H

#include <math.h>
#include <string.h>

#include "reft_cuda.h"
#include "reft_plugin.h"
#include "rows.h"

#define STR(text) \
  { text, sizeof(text) - 1 }

#define EDIT_OPTION_LIMIT 12
#define EDIT_RANGE_LIMIT 32

typedef struct edit edit_t;

typedef struct edit_range { /* directions first...last - 1 */
  int64_t first, last;
} edit_range_t;

struct reft_instance {
  const reft_host_t* host;
  const edit_t* edit;
  int64_t d, r; /* width of a row; number of directions, 0 where the edit has none */
  activation_t act;
  int kind;      /* of a family: which of its edits */
  float dropout; /* share of the edited row, in training */
  float strength;
  int64_t choice;                       /* a number or flag of the edit's own, set by `setup` */
  reft_option_t set[EDIT_OPTION_LIMIT]; /* in the order of the edit's options; texts: the choice's
                                           number in i, the text itself only during `setup` */
  reft_tensor_t inputs[EDIT_OPTION_LIMIT]; /* of options that name one; data is NULL elsewhere */
  float* own;                              /* memory of the edit's own, from `setup`, or NULL */
  int64_t n_ranges;                        /* of directions that are edited, where chosen */
  edit_range_t ranges[EDIT_RANGE_LIMIT];
  int64_t n_sets; /* of ranges, one for each subspace that rows may name; 0: rows name none */
  int64_t set_ends[EDIT_RANGE_LIMIT]; /* the ranges of a set end there, where the next begin */
};

typedef struct edit_row { /* one row of a call; what does not exist is NULL */
  const float* const* params;
  const float* h;
  const float* t;   /* the row of another prompt, for edits that take it */
  float* saved;     /* `saved` numbers; in inference they are scratch */
  float* scratch;   /* `scratch` numbers */
  float* y;         /* forward */
  const float* g;   /* backward: d loss / d y */
  float own;        /* backward: d loss / d (what `auxiliary` told of the row) */
  int64_t subspace; /* that the row's sequence is edited in; -1 = all */
} edit_row_t;

#define EDIT_GROUP 4
#define EDIT_PARAM_LIMIT 4 /* parameters of an edit */

typedef struct edit_group { /* columns first...first + count - 1 of n rows, on the way back */
  int64_t n, first, count;
  const float* const* params;
  // Gradients from column `first` on, their rows `stride` apart. Those without columns go with
  // column 0 and are NULL elsewhere, as are those that are not asked for.
  float* dparams[EDIT_PARAM_LIMIT];
  int64_t stride;
  const float* h[EDIT_GROUP]; /* from column `first` on, as are g and dx */
  const float* g[EDIT_GROUP];
  const float* t[EDIT_GROUP];
  float* dx[EDIT_GROUP]; /* all NULL where it is not asked for */
  const float* saved[EDIT_GROUP];
  const float* scratch[EDIT_GROUP];
} edit_group_t;

struct edit {
  int kind;
  uint32_t n_options;
  const reft_option_info_t* options;
  // Reads self->set. Returns NULL, or the sentence that says why not.
  const char* (*setup)(reft_instance_t* self);
  uint32_t (*n_params)(const reft_instance_t* self);
  // Changes what differs from a trained matrix [r, d] (vector [d] where r is 0), uniform as
  // torch.nn.Linear starts.
  void (*param)(const reft_instance_t* self, uint32_t index, reft_param_info_t* out);
  int64_t (*saved)(const reft_instance_t* self);
  int64_t (*scratch)(const reft_instance_t* self);
  // y may be h.
  void (*forward)(const reft_instance_t* self, const edit_row_t* row);
  // Backward in two steps. The first looks at whole rows and leaves in a row's scratch what the
  // second needs; NULL: nothing.
  void (*backward)(const reft_instance_t* self, const edit_row_t* row);
  // The second writes these columns of dx and adds to these of the gradients, row after row. dx may
  // be g.
  void (*columns)(const reft_instance_t* self, const edit_group_t* group);
  // Fills in the device form, but for dropout, with which there is none; 0: there is none. May be
  // NULL.
  int (*cuda)(const reft_instance_t* self, reft_cuda_program_t* out);
  // What a row adds to the auxiliary loss, from what forward saved; NULL: nothing. Edits that have
  // it say REFT_CAP_AUXILIARY_LOSS.
  double (*auxiliary)(const reft_instance_t* self, const float* saved);
  // Whether it takes rows of another prompt; such edits say REFT_CAP_NEEDS_COUNTERPART.
  int takes_counterpart;
  // Looks at what edit_check does not. NULL, or the sentence that says why a call cannot be served.
  const char* (*refuses)(const reft_instance_t* self, const reft_args_t* args);
};

#define EDIT_OPTION(kind_of_option, text) \
  .struct_size = sizeof(reft_option_info_t), .type = kind_of_option, .name = STR(text)

// Options that several edits have, always with one meaning.
#define EDIT_RANK(count)                                                                         \
  {                                                                                              \
    EDIT_OPTION(REFT_OPTION_INT, "rank"), .help = STR("number of directions r that are edited"), \
                                          .default_i = count, .minimum = 1, .maximum = 65536     \
  }
#define EDIT_DROPOUT                                                                         \
  {                                                                                          \
    EDIT_OPTION(REFT_OPTION_FLOAT, "dropout"),                                               \
        .help =                                                                              \
            STR("share of the edited row that training sets to zero, the rest being scaled " \
                "up"),                                                                       \
        .minimum = 0, .maximum = 0.99                                                        \
  }
#define EDIT_ACTIVATION                                                                          \
  {                                                                                              \
    EDIT_OPTION(REFT_OPTION_STRING, "activation"), .help = STR("function applied to W h + b"),   \
                                                   .choices = STR("linear|relu|gelu|silu|tanh"), \
                                                   .default_s = STR("linear"), .minimum = 1      \
  }

// The place of an option in the edit's list, or -1.
SHARED int edit_find(const edit_t* edit, reft_str_t name) {
  for (uint32_t i = 0; i < edit->n_options; i++)
    if (edit->options[i].name.len == name.len &&
        memcmp(edit->options[i].name.ptr, name.ptr, name.len) == 0)
      return (int)i;
  return -1;
}

// What an option of this name is set to; NULL when the edit has none.
SHARED const reft_option_t* edit_get(const reft_instance_t* self, const char* name) {
  int i = edit_find(self->edit, (reft_str_t){name, strlen(name)});
  return i < 0 ? NULL : &self->set[i];
}

// The number of `text` among choices that '|' separates, or -1.
SHARED int64_t edit_choice(reft_str_t choices, reft_str_t text) {
  int64_t number = 0;
  for (uint64_t start = 0; start <= choices.len; number++) {
    uint64_t end = start;
    while (end < choices.len && choices.ptr[end] != '|') end++;
    if (end - start == text.len &&
        (text.len == 0 || memcmp(choices.ptr + start, text.ptr, text.len) == 0))
      return number;
    start = end + 1;
  }
  return -1;
}

// 1 when the schema allows the value; a choice gets its number.
SHARED int edit_allows(const reft_option_info_t* info, reft_option_t* o) {
  if (o->type != info->type) return 0;
  double number = o->type == REFT_OPTION_FLOAT ? o->f : (double)o->i;
  if (o->type == REFT_OPTION_FLAG) return o->i == 0 || o->i == 1;
  if (o->type == REFT_OPTION_TENSOR || o->type == REFT_OPTION_FILE) return o->i >= -1;
  if (o->type != REFT_OPTION_STRING)
    return isfinite(number) &&
           (info->minimum > info->maximum || (number >= info->minimum && number <= info->maximum));
  if (info->choices.len == 0) return 1;
  o->i = edit_choice(info->choices, o->s);
  return o->i >= 0;
}

SHARED reft_status_t edit_option_info(const edit_t* edit, uint32_t index, reft_option_info_t* out) {
  if (index >= edit->n_options) return REFT_E_INVALID;
  uint32_t size = out->struct_size < sizeof *out ? out->struct_size : (uint32_t)sizeof *out;
  memcpy(out, &edit->options[index], size);
  out->struct_size = size;
  return REFT_OK;
}

// Takes defaults, then what the user set. NULL, or why not.
SHARED const char* edit_read(reft_instance_t* self, const reft_option_t* list, uint32_t count) {
  const edit_t* edit = self->edit;
  for (uint32_t i = 0; i < edit->n_options; i++) {
    const reft_option_info_t* info = &edit->options[i];
    self->set[i] = (reft_option_t){.struct_size = sizeof(reft_option_t),
                                   .type = info->type,
                                   .name = info->name,
                                   .i = info->default_i,
                                   .f = info->default_f,
                                   .s = info->default_s};
    if (info->type == REFT_OPTION_STRING)
      self->set[i].i = edit_choice(info->choices, info->default_s);
    if (info->type == REFT_OPTION_TENSOR || info->type == REFT_OPTION_FILE) self->set[i].i = -1;
  }
  for (uint32_t i = 0; i < count; i++) {
    int place = edit_find(edit, list[i].name);
    if (place < 0) return "an option is unknown";
    reft_option_t given = list[i];
    if (!edit_allows(&edit->options[place], &given))
      return "an option has the wrong type, or a value out of its range or choices";
    given.name = edit->options[place].name;
    self->set[place] = given;
    if (given.type != REFT_OPTION_TENSOR && given.type != REFT_OPTION_FILE) continue;
    const reft_host_t* host = self->host;
    reft_tensor_t* input = &self->inputs[place];
    *input = (reft_tensor_t){.struct_size = sizeof *input};
    if (given.i >= 0 && (!REFT_HAS(host, reft_host_t, input_info) ||
                         host->input_info(host->context, given.i, input) != REFT_OK))
      return "an option names an input that the host does not have";
  }
  return NULL;
}

// Reads a number at *place and moves behind it; -1 where there is none, or one past `limit`.
SHARED int64_t edit_read_number(reft_str_t text, uint64_t* place, int64_t limit) {
  int64_t number = -1;
  for (; *place < text.len && text.ptr[*place] >= '0' && text.ptr[*place] <= '9'; (*place)++) {
    number = (number < 0 ? 0 : number) * 10 + (text.ptr[*place] - '0');
    if (number > limit) return -1;
  }
  return number;
}

// Reads "0-3,6" into ranges that ascend, of numbers below `count`. NULL, or why not.
SHARED const char* edit_read_ranges(reft_instance_t* self, reft_str_t text, int64_t count) {
  uint64_t place = 0;
  int64_t next = 0;
  while (place < text.len) {
    int64_t first = edit_read_number(text, &place, count - 1), last = first;
    if (place < text.len && text.ptr[place] == '-') {
      place++;
      last = edit_read_number(text, &place, count - 1);
    }
    if (first < next || last < first)
      return "chosen places must be ascending numbers or ranges below their count, such as 0-3,6";
    if (self->n_ranges == EDIT_RANGE_LIMIT) return "at most 32 ranges can be chosen";
    self->ranges[self->n_ranges++] = (edit_range_t){first, last + 1};
    next = last + 1;
    if (place == text.len) break;
    if (text.ptr[place++] != ',' || place == text.len)
      return "chosen places must be separated by single commas, such as 0-3,6";
  }
  return NULL;
}

// Reads "0-3;4-7" into sets of such ranges. NULL, or why not.
SHARED const char* edit_read_sets(reft_instance_t* self, reft_str_t text, int64_t count) {
  for (uint64_t start = 0; start <= text.len;) {
    uint64_t end = start;
    while (end < text.len && text.ptr[end] != ';') end++;
    if (end == start) return "each of the sets that ';' separates must choose at least one place";
    if (self->n_sets == EDIT_RANGE_LIMIT) return "at most 32 sets can be chosen";
    reft_str_t part = {text.ptr + start, end - start};
    const char* reason = edit_read_ranges(self, part, count);
    if (reason) return reason;
    self->set_ends[self->n_sets++] = self->n_ranges;
    start = end + 1;
  }
  return NULL;
}

// Sets to zero what a row's subspace leaves out of `count` values, one for each direction.
SHARED void edit_keep_set(const reft_instance_t* self, int64_t set, int64_t count, float* values) {
  if (set < 0 || self->n_sets == 0) return;
  int64_t next = 0;
  for (int64_t i = set ? self->set_ends[set - 1] : 0; i < self->set_ends[set]; i++) {
    for (; next < self->ranges[i].first; next++) values[next] = 0;
    next = self->ranges[i].last;
  }
  for (; next < count; next++) values[next] = 0;
}

// Whether the rows of a call name sets that there are. NULL, or why not.
SHARED const char* edit_refuse_sets(const reft_instance_t* self, const reft_args_t* args) {
  if (self->n_sets == 0 || !args->rows || !args->rows->subspace) return NULL;
  for (int64_t i = 0; i < args->x.rows; i++)
    if (args->rows->subspace[i] >= self->n_sets)
      return "a row names a subspace that the option 'subspaces' does not list; they count from 0";
  return NULL;
}

// What the options of common names mean. NULL, or why not.
SHARED const char* edit_common(reft_instance_t* self) {
  const reft_option_t* o;
  if ((o = edit_get(self, "rank"))) self->r = o->i;
  if ((o = edit_get(self, "dropout"))) self->dropout = (float)o->f;
  if ((o = edit_get(self, "activation"))) self->act = (activation_t)o->i;
  return self->r <= self->d ? NULL : "rank must lie between 1 and the width of a row";
}

// What the host is told of a parameter.
SHARED reft_param_info_t edit_parameter(const reft_instance_t* self, uint32_t index) {
  double bound = 1 / sqrt((double)self->d);
  reft_param_info_t info = {.struct_size = sizeof info,
                            .rank = self->r ? 2 : 1,
                            .dims = {self->r ? self->r : self->d, self->r ? self->d : 0},
                            .dtype = REFT_F32,
                            .flags = REFT_PARAM_TRAINABLE,
                            .init_kind = REFT_INIT_UNIFORM,
                            .init_a = -bound,
                            .init_b = bound,
                            .learning_rate_scale = 1,
                            .weight_decay_scale = 1};
  self->edit->param(self, index, &info);
  return info;
}

// How many rows of d numbers a parameter has; 0: it has no columns.
SHARED int64_t edit_height(const reft_instance_t* self, uint32_t index) {
  reft_param_info_t info = edit_parameter(self, index);
  return info.rank == 2 ? info.dims[0] : self->r ? 0 : 1;
}

#endif
