/* SPDX-License-Identifier: Apache-2.0
 * edit_walk.h: how a call walks over its rows, on several threads where there is enough to do.
 *
 * Forward splits the rows. Backward does so for what looks at a whole row, and splits the columns
 * for what does not, dx and the gradients: each piece of these takes all rows in their order. So
 * each number comes from the same sums in the same order in one piece as in many, nothing needs to
 * be added up afterwards, and a piece's columns of the parameters stay in the cache. That costs
 * scratch memory of one copy of the gradients, whatever the number of pieces.
 */
#ifndef SHARED_EDIT_WALK_H
#define SHARED_EDIT_WALK_H

#include "edit_options.h"

#define EDIT_MOST_PIECES 16
#define EDIT_PIECE_WORK (1 << 17) /* multiply-adds of one product with a matrix */
#define EDIT_LINE 16              /* floats that one thread shall not share with another */
#define EDIT_LEAST_COLUMNS 256    /* of a piece: narrow ones are read ahead into their neighbours */

// How many pieces a call over n rows has: that depends on its sizes, never on threads.
SHARED int64_t edit_pieces(const reft_instance_t* self, int64_t n) {
  if (!REFT_HAS(self->host, reft_host_t, parallel_for) || !self->host->parallel_for) return 1;
  int64_t rows = n < 1 << 21 ? n : 1 << 21;  // as many have all the pieces, whatever their width
  int64_t count = rows * self->d * (self->r ? self->r : 1) / EDIT_PIECE_WORK;
  return count < 1 ? 1 : count > EDIT_MOST_PIECES ? EDIT_MOST_PIECES : count;
}

SHARED int64_t edit_rounded(int64_t count) {
  return (count + EDIT_LINE - 1) / EDIT_LINE * EDIT_LINE;
}

// Floats of scratch that belong to a row: the edit's own, and g behind dropout.
SHARED int64_t edit_line(const reft_instance_t* self) {
  return edit_rounded(self->edit->scratch(self) + (self->dropout > 0 ? self->d : 0));
}

// Floats that belong to a piece: what training would save, and the noise of a row.
SHARED int64_t edit_spare(const reft_instance_t* self) {
  return edit_rounded(self->edit->saved(self) + (self->dropout > 0 ? self->d : 0));
}

// Floats of a copy of all gradients that have columns.
SHARED int64_t edit_copies(const reft_instance_t* self) {
  int64_t rows = 0;
  for (uint32_t p = 0; p < self->edit->n_params(self); p++) rows += edit_height(self, p);
  return rows * self->d;
}

// Floats of scratch for a call over n rows; in one piece, rows follow each other in one line.
SHARED int64_t edit_scratch(const reft_instance_t* self, int64_t n) {
  int64_t pieces = edit_pieces(self, n);
  if (pieces == 1) return edit_line(self) + edit_spare(self);
  return n * edit_line(self) + pieces * edit_spare(self) + edit_copies(self);
}

typedef struct edit_walk { /* one call */
  const reft_instance_t* self;
  const reft_args_t* args;
  int64_t n, pieces;
  int64_t saved, line; /* floats from row to row */
  float* spare;        /* of the first piece */
  double* own;         /* forward: the auxiliary loss of each piece; NULL: nobody asks */
  void (*step)(const struct edit_walk* walk, int64_t piece);
} edit_walk_t;

SHARED edit_walk_t edit_walk(const reft_instance_t* self, const reft_args_t* args) {
  edit_walk_t walk = {.self = self,
                      .args = args,
                      .n = args->x.rows,
                      .pieces = edit_pieces(self, args->x.rows),
                      .saved = self->edit->saved(self)};
  int64_t line = edit_line(self);
  walk.line = walk.pieces > 1 ? line : 0;
  walk.spare = (float*)args->scratch + (walk.pieces > 1 ? walk.n : 1) * line;
  return walk;
}

SHARED void edit_some_pieces(void* argument, int64_t begin, int64_t end) {
  const edit_walk_t* walk = argument;
  for (int64_t piece = begin; piece < end; piece++) walk->step(walk, piece);
}

SHARED void edit_run(edit_walk_t* walk, int64_t pieces, void (*step)(const edit_walk_t*, int64_t)) {
  const reft_host_t* host = walk->self->host;
  walk->step = step;
  if (pieces == 1)
    step(walk, 0);
  else
    host->parallel_for(host->context, walk->args->call, pieces, 1, edit_some_pieces, walk);
}

// y = dropout(x). The noise is named by the token, so that it does not depend on a batch's split.
SHARED void edit_drop(const reft_instance_t* self, const reft_args_t* args, int64_t i,
                      const float* x, float* noise, float* y) {
  const reft_rows_t* rows = args->rows;
  uint64_t example = rows && REFT_HAS(rows, reft_rows_t, key) && rows->key ? (uint64_t)rows->key[i]
                     : rows && rows->example ? (uint32_t)rows->example[i]
                                             : 0;
  uint64_t position = rows && rows->position ? (uint32_t)rows->position[i] : (uint64_t)i;
  self->host->rng_uniform(self->host->context, args->rng_key, args->rng_step,
                          (example << 40) + position * (uint64_t)self->d, noise, self->d);
  rows_drop(self->d, self->dropout, noise, x, y);
}

// The row of another prompt; NULL for edits that take none.
SHARED const float* edit_counterpart(const reft_instance_t* self, const reft_args_t* args,
                                     int64_t i) {
  if (!self->edit->takes_counterpart) return NULL;
  return (const float*)args->counterpart.data + i * args->counterpart.row_stride;
}

// The subspace that the row's sequence names; -1 = all.
SHARED int64_t edit_subspace(const reft_args_t* args, int64_t i) {
  return args->rows && args->rows->subspace ? args->rows->subspace[i] : -1;
}

SHARED void edit_forward_piece(const edit_walk_t* walk, int64_t piece) {
  const reft_instance_t* self = walk->self;
  const reft_args_t* args = walk->args;
  int training = (args->flags & REFT_CALL_TRAINING) != 0;
  int64_t first = walk->n * piece / walk->pieces, end = walk->n * (piece + 1) / walk->pieces;
  float *spare = walk->spare + piece * edit_spare(self), *noise = spare + walk->saved;
  edit_row_t row = {.params = (const float* const*)args->params,
                    .scratch = (float*)args->scratch + first * walk->line};
  for (int64_t i = first; i < end; i++) {
    row.h = (const float*)args->x.data + i * args->x.row_stride;
    row.y = (float*)args->y.data + i * args->y.row_stride;
    row.t = edit_counterpart(self, args, i);
    row.subspace = edit_subspace(args, i);
    row.saved = training ? (float*)args->saved + i * walk->saved : spare;
    self->edit->forward(self, &row);
    if (walk->own) walk->own[piece] += self->edit->auxiliary(self, row.saved);
    if (training && self->dropout > 0) edit_drop(self, args, i, row.y, noise, row.y);
  }
}

// Row i on the way back; g behind dropout stands in the row's scratch.
SHARED edit_row_t edit_row_back(const edit_walk_t* walk, int64_t i) {
  const reft_args_t* args = walk->args;
  edit_row_t row = {.params = (const float* const*)args->params,
                    .h = (const float*)args->x.data + i * args->x.row_stride,
                    .saved = (float*)args->saved + i * walk->saved,
                    .scratch = (float*)args->scratch + i * walk->line,
                    .g = (const float*)args->dy.data + i * args->dy.row_stride,
                    .t = edit_counterpart(walk->self, args, i),
                    .subspace = edit_subspace(args, i)};
  if (walk->self->edit->auxiliary && REFT_HAS(args, reft_args_t, auxiliary_gradient))
    row.own = (float)args->auxiliary_gradient;
  if (walk->self->dropout > 0) row.g = row.scratch + walk->self->edit->scratch(walk->self);
  return row;
}

SHARED void edit_whole_row(const edit_walk_t* walk, int64_t i, float* noise) {
  const reft_instance_t* self = walk->self;
  edit_row_t row = edit_row_back(walk, i);
  if (self->dropout > 0) {
    const float* dy = (const float*)walk->args->dy.data + i * walk->args->dy.row_stride;
    edit_drop(self, walk->args, i, dy, noise, (float*)row.g);
  }
  if (self->edit->backward) self->edit->backward(self, &row);
}

SHARED void edit_rows_piece(const edit_walk_t* walk, int64_t piece) {
  float* noise = walk->spare + piece * edit_spare(walk->self) + walk->saved;
  int64_t end = walk->n * (piece + 1) / walk->pieces;
  for (int64_t i = walk->n * piece / walk->pieces; i < end; i++) edit_whole_row(walk, i, noise);
}

// Columns first...first + count - 1; gradients are the host's.
SHARED edit_group_t edit_columns(const edit_walk_t* walk, int64_t first, int64_t count) {
  const reft_instance_t* self = walk->self;
  edit_group_t group = {.first = first,
                        .count = count,
                        .params = (const float* const*)walk->args->params,
                        .stride = self->d};
  if (!(walk->args->flags & REFT_CALL_NEED_DPARAMS)) return group;
  for (uint32_t p = 0; p < self->edit->n_params(self); p++) {
    float* whole = walk->args->dparams[p];
    if (whole && edit_height(self, p) > 0)
      group.dparams[p] = whole + first;
    else
      group.dparams[p] = first ? NULL : whole;
  }
  return group;
}

// n rows from row i on
SHARED void edit_some_columns(const edit_walk_t* walk, edit_group_t* group, int64_t i, int64_t n) {
  const reft_args_t* args = walk->args;
  group->n = n;
  for (int64_t l = 0; l < n; l++) {
    edit_row_t row = edit_row_back(walk, i + l);
    group->h[l] = row.h + group->first;
    group->g[l] = row.g + group->first;
    group->t[l] = row.t ? row.t + group->first : NULL;
    group->saved[l] = row.saved;
    group->scratch[l] = row.scratch;
    if (args->flags & REFT_CALL_NEED_DX)
      group->dx[l] = (float*)args->dx.data + (i + l) * args->dx.row_stride + group->first;
  }
  walk->self->edit->columns(walk->self, group);
}

// Rows of `count` numbers, which stand `from_stride` and `to_stride` apart.
SHARED void edit_copy(int64_t rows, int64_t count, const float* from, int64_t from_stride,
                      float* to, int64_t to_stride) {
  for (int64_t k = 0; k < rows; k++) rows_copy(count, from + k * from_stride, to + k * to_stride);
}

SHARED int64_t edit_column_pieces(const edit_walk_t* walk) {
  int64_t count = (walk->self->d + EDIT_LEAST_COLUMNS - 1) / EDIT_LEAST_COLUMNS;
  return count < walk->pieces ? count : walk->pieces;
}

// The gradients of a piece are summed up in a copy: threads that write over and over beside each
// other would take lines of the cache from each other.
SHARED void edit_columns_piece(const edit_walk_t* walk, int64_t piece) {
  const reft_instance_t* self = walk->self;
  int64_t d = self->d, n = walk->n, pieces = edit_column_pieces(walk);
  int64_t tiles = (d + TILE * LANES - 1) / (TILE * LANES);
  int64_t first = tiles * piece / pieces * TILE * LANES;
  int64_t end = tiles * (piece + 1) / pieces * TILE * LANES;
  if (end > d) end = d;
  edit_group_t host = edit_columns(walk, first, end - first), own = host;
  own.stride = host.count;
  float* place = walk->spare + walk->pieces * edit_spare(self) + first * (edit_copies(self) / d);
  for (uint32_t p = 0; p < self->edit->n_params(self); p++) {
    int64_t rows = edit_height(self, p);
    if (rows == 0 || !host.dparams[p]) continue;
    own.dparams[p] = place;
    place += rows * own.stride;
    edit_copy(rows, own.count, host.dparams[p], host.stride, own.dparams[p], own.stride);
  }
  for (int64_t i = 0; i < n; i += EDIT_GROUP)
    edit_some_columns(walk, &own, i, n - i < EDIT_GROUP ? n - i : EDIT_GROUP);
  for (uint32_t p = 0; p < self->edit->n_params(self); p++)
    if (own.dparams[p] != host.dparams[p])
      edit_copy(edit_height(self, p), own.count, own.dparams[p], own.stride, host.dparams[p],
                host.stride);
}

// All of backward, row by row.
SHARED void edit_backward_alone(const edit_walk_t* walk) {
  edit_group_t group = edit_columns(walk, 0, walk->self->d);
  for (int64_t i = 0; i < walk->n; i++) {
    edit_whole_row(walk, i, walk->spare + walk->saved);
    edit_some_columns(walk, &group, i, 1);
  }
}

/* ---- What an edit's `columns` needs ---- */

// The places `count` numbers further on in each row.
SHARED void edit_behind(const edit_group_t* group, const float* const* of, int64_t count,
                        const float** out) {
  for (int64_t i = 0; i < group->n; i++) out[i] = of[i] + count;
}

// dx = g
SHARED void edit_copy_g(const edit_group_t* group) {
  for (int64_t i = 0; i < group->n; i++) rows_copy(group->count, group->g[i], group->dx[i]);
}

#endif
