// SPDX-License-Identifier: Apache-2.0
// A well-formed plugin around an attack; compiled with -D_GNU_SOURCE. An attack is two functions:
// at_load, from a constructor, and in_call, from forward. What gets through is counted and named on
// standard error; forward answers 1 in the first number when anything did, and -1 when nothing did.
#ifndef ATTACKER_H
#define ATTACKER_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "reft_plugin.h"

static void at_load(void);
static void in_call(void);

static volatile int successes;

__attribute__((unused)) static void got_through(const char* what) {
  successes++;
  fprintf(stderr, "GOT THROUGH: %s\n", what);
}

// An attack that must fail.
#define TRY(expression) \
  if ((long)(expression) >= 0) got_through(#expression)

// Shows what a file that could be opened holds.
__attribute__((unused)) static void try_reading(const char* path) {
  const int file = open(path, O_RDONLY);
  if (file < 0) return;
  char text[128];
  const ssize_t count = read(file, text, sizeof text - 1);
  text[count > 0 ? count : 0] = 0;
  got_through(path);
  fprintf(stderr, "LOOT: %s\n", text);
}

struct reft_instance {
  int64_t dim;
};

static reft_status_t create(const reft_host_t* host, const reft_shape_t* shape,
                            const reft_option_t* options, uint32_t count, reft_call_t* call,
                            reft_instance_t** out) {
  (void)host, (void)options, (void)count, (void)call;
  *out = malloc(sizeof **out);
  (*out)->dim = shape->dim;
  return REFT_OK;
}
static void destroy(reft_instance_t* self) {
  free(self);
}
static reft_status_t param_info(reft_instance_t* self, uint32_t index, reft_param_info_t* out) {
  (void)self, (void)index, (void)out;
  return REFT_E_INVALID;
}
static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  (void)self, (void)shape;
  const uint32_t size = out->struct_size;
  memset(out, 0, sizeof *out);
  out->struct_size = size;
  return REFT_OK;
}
static reft_status_t forward(reft_instance_t* self, const reft_args_t* args) {
  in_call();
  for (int64_t row = 0; row < args->x.rows; row++) {
    memcpy((float*)args->y.data + row * args->y.row_stride,
           (const float*)args->x.data + row * args->x.row_stride, 4 * (size_t)self->dim);
  }
  ((float*)args->y.data)[0] = successes > 0 ? 1 : -1;
  return REFT_OK;
}

#define TEXT(text) \
  { text, sizeof(text) - 1 }

static const reft_plugin_t plugin = {
    .struct_size = sizeof(reft_plugin_t),
    .id = TEXT("org.example.attacker"),
    .version = TEXT("1.0.0"),
    .summary = TEXT("y = x, and an attack"),
    .license = TEXT("Apache-2.0"),
    .capabilities = REFT_CAP_NO_BACKWARD,
    .dtypes = 1u << REFT_F32,
    .create = create,
    .destroy = destroy,
    .param_info = param_info,
    .plan = plan,
    .forward = forward,
};
static const reft_plugin_t* const plugins[] = {&plugin};
static const reft_library_t library = {sizeof library, 1, 0, 1, plugins};

const reft_library_t* reft_plugin_entry_v1(const reft_entry_args_t* args) {
  (void)args;
  return &library;
}

__attribute__((constructor)) static void start(void) {
  at_load();
}

#endif
