// SPDX-License-Identifier: Apache-2.0
// Streams of the emulated card, which do at once what they are asked, and graphs, which keep it.
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"
#include "cuda_emulator.h"

// As cuda.h declares CUlaunchConfig and CUlaunchAttribute.
struct launch_attribute {
  unsigned id, padding;
  uint64_t value[8];
};
struct launch_configuration {
  unsigned grid[3], block[3], shared_bytes;
  struct stream *stream;
  const struct launch_attribute *attributes;
  unsigned attribute_count;
};

// Recorded work; the graph and what is instantiated of it share one.
struct graph {
  struct card_work *first, **last;
  atomic_int owners;
};

struct stream {
  struct graph *recording;
};

static void release(struct graph *graph) {
  if (atomic_fetch_sub(&graph->owners, 1) > 1) return;
  for (struct card_work *work = graph->first; work;) {
    struct card_work *next = work->next;
    free(work);
    work = next;
  }
  free(graph);
}

int card_do(void *handle, const struct card_work *work) {
  struct stream *stream = handle;
  if (!stream || !stream->recording) return work->run(work);
  struct card_work *kept = malloc(sizeof *kept);
  if (!kept) return CARD_OUT_OF_MEMORY;
  *kept = *work;
  kept->next = NULL;
  *stream->recording->last = kept;
  stream->recording->last = &kept->next;
  return CARD_SUCCESS;
}

int cuStreamCreate(struct stream **stream, unsigned flags) {
  int failure = card_enter("cuStreamCreate", CARD_OUT_OF_MEMORY);
  if (failure || flags > 1 || !card_current()) return failure ? failure : CARD_INVALID_VALUE;
  *stream = calloc(1, sizeof **stream);
  return *stream ? CARD_SUCCESS : CARD_OUT_OF_MEMORY;
}

int cuStreamDestroy_v2(struct stream *stream) {
  free(stream);
  return CARD_SUCCESS;
}

int cuStreamSynchronize(struct stream *stream) {
  int failure = card_enter("cuStreamSynchronize", CARD_LAUNCH_FAILED);
  if (failure) return failure;
  if (stream->recording) return CARD_NOT_PERMITTED;
  return card_is_overrun() ? CARD_ILLEGAL_ADDRESS : CARD_SUCCESS;
}

// What a stream would wait for is done already.
int cuStreamWaitEvent(struct stream *stream, void *event, unsigned flags) {
  int failure = card_enter("cuStreamWaitEvent", CARD_INVALID_HANDLE);
  return failure ? failure : stream && event && flags == 0 ? CARD_SUCCESS : CARD_INVALID_VALUE;
}

int cuStreamBeginCapture_v2(struct stream *stream, int mode) {
  int failure = card_enter("cuStreamBeginCapture_v2", CARD_INVALID_VALUE);
  if (failure || mode < 0 || mode > 2 || stream->recording) {
    return failure ? failure : CARD_INVALID_VALUE;
  }
  struct graph *graph = calloc(1, sizeof *graph);
  if (!graph) return CARD_OUT_OF_MEMORY;
  graph->last = &graph->first;
  graph->owners = 1;
  stream->recording = graph;
  return CARD_SUCCESS;
}

int cuStreamEndCapture(struct stream *stream, struct graph **graph) {
  struct graph *recorded = stream->recording;
  *graph = NULL;
  if (!recorded) return CARD_INVALID_VALUE;
  stream->recording = NULL;
  int failure = card_enter("cuStreamEndCapture", CARD_CAPTURE_INVALIDATED);
  if (failure) {
    release(recorded);
    return failure;
  }
  *graph = recorded;
  return CARD_SUCCESS;
}

int cuGraphInstantiateWithFlags(struct graph **executable, struct graph *graph,
                                unsigned long long flags) {
  int failure = card_enter("cuGraphInstantiateWithFlags", CARD_OUT_OF_MEMORY);
  if (failure || flags != 0) return failure ? failure : CARD_INVALID_VALUE;
  atomic_fetch_add(&graph->owners, 1);
  *executable = graph;
  return CARD_SUCCESS;
}

int cuGraphLaunch(struct graph *executable, struct stream *stream) {
  int failure = card_enter("cuGraphLaunch", CARD_LAUNCH_FAILED);
  if (failure || stream->recording) return failure ? failure : CARD_NOT_PERMITTED;
  for (struct card_work *work = executable->first; work; work = work->next) {
    int status = work->run(work);
    if (status) return status;
  }
  return CARD_SUCCESS;
}

int cuGraphExecDestroy(struct graph *executable) {
  release(executable);
  return CARD_SUCCESS;
}

int cuGraphDestroy(struct graph *graph) {
  release(graph);
  return CARD_SUCCESS;
}

static int run_kernel(const struct card_work *work) {
  uint64_t values[128], *value = values;
  void *params[33] = {0};
  unsigned sizes[33];
  memcpy(values, work->u.launch.values, sizeof values);
  reft_emulator_sizes(work->u.launch.function, sizes);
  for (int i = 0; sizes[i]; value += (sizes[i++] + 7) / 8) params[i] = value;
  switch (reft_emulator_launch(work->u.launch.function, work->u.launch.grid, work->u.launch.block,
                               work->u.launch.shared_bytes, params)) {
    case REFT_EMULATOR_OK:
      return CARD_SUCCESS;
    case REFT_EMULATOR_BAD_LAUNCH:
      return CARD_INVALID_VALUE;
    default:
      return CARD_LAUNCH_FAILED;
  }
}

// The driver knows how many arguments a kernel has; here a NULL stands behind the last, and each
// takes eight bytes.
int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                   struct stream *stream, void **params, void **extra) {
  int failure = card_enter("cuLaunchKernel", CARD_LAUNCH_FAILED);
  if (failure || !function || !params || extra) return failure ? failure : CARD_INVALID_VALUE;
  if (!card_current()) return CARD_INVALID_CONTEXT;
  struct card_work work = {
      .run = run_kernel,
      .u.launch = {.function = function,
                   .grid = {grid_x, grid_y, grid_z},
                   .block = {block_x, block_y, block_z},
                   .shared_bytes = shared_bytes},
  };
  unsigned sizes[33];
  reft_emulator_sizes(function, sizes);
  for (int i = 0, at = 0; sizes[i]; at += ((int)sizes[i++] + 7) / 8) {
    if (!params[i] || at + ((int)sizes[i] + 7) / 8 > 128) return CARD_INVALID_VALUE;
    memcpy(&work.u.launch.values[at], params[i], sizes[i]);
  }
  return card_do(stream, &work);
}

// What overlaps on a card is in order here.
int cuLaunchKernelEx(const struct launch_configuration *with, void *function, void **params,
                     void **extra) {
  if (with->attribute_count != 1 || with->attributes[0].id != 6) return CARD_INVALID_VALUE;
  return cuLaunchKernel(function, with->grid[0], with->grid[1], with->grid[2], with->block[0],
                        with->block[1], with->block[2], with->shared_bytes, with->stream, params,
                        extra);
}
