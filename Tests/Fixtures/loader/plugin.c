// SPDX-License-Identifier: Apache-2.0
// A plugin that is right (y = x + v), and one fault for each macro: the loader's tests compile it
// once per case.
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "reft_plugin.h"

#define STR(text) \
  { text, sizeof(text) - 1 }

#ifndef ID
#define ID "org.test.plain"
#endif
#ifndef ABI_MAJOR
#define ABI_MAJOR 1
#endif
#ifndef PLUGIN_SIZE
#define PLUGIN_SIZE sizeof(reft_plugin_t)
#endif
#ifndef CAPS
#define CAPS (REFT_CAP_ROWWISE | REFT_CAP_REENTRANT | REFT_CAP_BITWISE)
#endif
#ifdef DETERMINISTIC
static const void* promise(reft_instance_t* self, const char* id) {
  return strcmp(id, "reft.deterministic/1") == 0 ? self : NULL;
}
#define EXTENSION promise
#elif defined(DEVICE)
// A device form, right but for what the macro changes in `out`, `kernel` or `table`.
#include "reft_cuda.h"
static const char source[] =
    "extern \"C\" __global__ void add(reft_cuda_call_t call) {"
    "  int j = blockIdx.x * 256 + threadIdx.x;"
    "  if (j < call.d) call.y[blockIdx.y * call.d + j] = call.x[blockIdx.y * call.d + j] + "
    "call.params[0][j]; }";
static reft_cuda_kernel_t kernel = {.struct_size = sizeof kernel,
                                    .share = REFT_CUDA_COLUMNS,
                                    .name = STR("add"),
                                    .tile = 256,
                                    .layers = 1,
                                    .threads = 256};
static const reft_cuda_kernel_t* kernels[20] = {&kernel};
static reft_cuda_t table;
static reft_status_t program(reft_instance_t* self, uint32_t flags, reft_cuda_program_t* out) {
  (void)self;
  if (flags & REFT_CALL_TRAINING) kernel.layers = 2;
  *out = (reft_cuda_program_t){.struct_size = sizeof *out,
                               .source = STR(source),
                               .forward = kernels,
                               .backward = kernels,
                               .n_forward = 1,
                               .n_backward = 1,
                               .saved_per_row = 3,
                               .scratch_fixed = 5};
  out->ints[31] = 7;
  out->floats[0] = 0.5f;
  DEVICE;
  return REFT_OK;
}
static const void* promise(reft_instance_t* self, const char* id) {
  (void)self;
  table = (reft_cuda_t){.struct_size = sizeof table, .program = program};
#ifdef DEVICE_TABLE
  DEVICE_TABLE;
#endif
  return strcmp(id, REFT_CUDA_EXTENSION) == 0 ? &table : NULL;
}
#define EXTENSION promise
#else
#define EXTENSION NULL
#endif
#ifndef N_PLUGINS
#define N_PLUGINS 1
#endif

struct reft_instance {
  const reft_host_t* host;
  int64_t d;
};

#ifdef OPTION
static reft_status_t describe_option(uint32_t index, reft_option_info_t* out) {
  if (index > 0) return REFT_E_INVALID;
  reft_option_info_t info = {
      .struct_size = sizeof info, .type = REFT_OPTION_INT, .name = STR("size"), OPTION};
  *out = info;
  return REFT_OK;
}
#define OPTION_INFO describe_option
#else
#define OPTION_INFO NULL
#endif

static reft_status_t create(const reft_host_t* host, const reft_shape_t* shape,
                            const reft_option_t* options, uint32_t count, reft_call_t* call,
                            reft_instance_t** out) {
  (void)options, (void)count;
  *out = NULL;
#ifdef CREATE_FAILS
  const char* text = "the moon is full";
  host->set_error(host->context, call, REFT_E_UNSUPPORTED, text, strlen(text));
  return REFT_E_UNSUPPORTED;
#endif
#ifdef CREATE_LIES
  return REFT_OK;
#endif
  (void)call;
#ifdef CREATE
  CREATE;
#endif
  reft_instance_t* self = host->alloc(host->context, sizeof *self);
  if (!self) return REFT_E_NOMEM;
  *self = (reft_instance_t){host, shape->dim};
  *out = self;
  return REFT_OK;
}

static void destroy(reft_instance_t* self) {
  if (self) self->host->free(self->host->context, self);
}

static reft_status_t param_info(reft_instance_t* self, uint32_t index, reft_param_info_t* out) {
#ifndef N_PARAMS
#define N_PARAMS 1
#endif
  if (index >= N_PARAMS) return REFT_E_INVALID;
  reft_param_info_t info = {.struct_size = sizeof info,
                            .rank = 1,
                            .name = STR("v"),
                            .dims = {self->d},
                            .dtype = REFT_F32,
                            .flags = REFT_PARAM_TRAINABLE,
                            .learning_rate_scale = 1,
                            .weight_decay_scale = 1};
#ifdef PARAM
  PARAM;
#endif
  *out = info;
  return REFT_OK;
}

#ifdef INIT_PARAMS
static reft_status_t fill_params(reft_instance_t* self, uint64_t seed, void* const* params,
                                 uint32_t count, reft_call_t* call) {
  (void)call, (void)count;
  for (int64_t j = 0; j < self->d; j++) ((float*)params[0])[j] = (float)(seed % 7) + (float)j;
  return REFT_OK;
}
#define FILL_PARAMS fill_params
#else
#define FILL_PARAMS NULL
#endif

static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  (void)self, (void)shape;
  out->saved_bytes_per_row = out->saved_bytes_fixed = 0;
  out->scratch_bytes_per_row = out->scratch_bytes_fixed = 0;
#ifdef PLAN
  PLAN;
#endif
  return REFT_OK;
}

static reft_status_t forward(reft_instance_t* self, const reft_args_t* args) {
  const float* v = args->params[0];
  for (int64_t i = 0; i < args->x.rows; i++)
    for (int64_t j = 0; j < self->d; j++)
      ((float*)args->y.data)[i * args->y.row_stride + j] =
          ((const float*)args->x.data)[i * args->x.row_stride + j] + v[j];
#ifdef MEAN  // mixes rows: adds how many there are
  for (int64_t i = 0; i < args->x.rows; i++)
    ((float*)args->y.data)[i * args->y.row_stride] += (float)args->x.rows;
#endif
#ifdef FORWARD
  FORWARD;
#endif
  return REFT_OK;
}

static reft_status_t backward(reft_instance_t* self, const reft_args_t* args) {
  float* dv = args->dparams ? args->dparams[0] : NULL;
  for (int64_t i = 0; i < args->x.rows; i++)
    for (int64_t j = 0; j < self->d; j++) {
      float g = ((const float*)args->dy.data)[i * args->dy.row_stride + j];
      if (dv) dv[j] += g;
      if (args->dx.data) ((float*)args->dx.data)[i * args->dx.row_stride + j] = g;
    }
#ifdef BACKWARD
  BACKWARD;
#endif
  return REFT_OK;
}

#ifndef SLOTS
#define SLOTS
#endif

static reft_plugin_t plugin = {.struct_size = PLUGIN_SIZE,
                               .id = STR(ID),
                               .version = STR("1.2.3"),
                               .summary = STR("y = x + v"),
                               .license = STR("Apache-2.0"),
                               .capabilities = CAPS,
                               .dtypes = 1u << REFT_F32,
                               .option_info = OPTION_INFO,
                               .create = create,
                               .destroy = destroy,
                               .param_info = param_info,
                               .init_params = FILL_PARAMS,
                               .plan = plan,
                               .forward = forward,
                               .backward = backward,
                               .extension = EXTENSION};

#ifdef AT_LOAD
__attribute__((constructor)) static void at_load(void) {
  AT_LOAD;
}
#endif

#ifndef NO_ENTRY
#ifdef ENTRY
REFT_EXPORT const reft_library_t* ENTRY(const reft_entry_args_t* args);
#else
#define ENTRY reft_plugin_entry_v1
#endif
const reft_library_t* ENTRY(const reft_entry_args_t* args) {
  static const reft_plugin_t* const plugins[] = {&plugin, &plugin};
  static reft_library_t library = {.struct_size = sizeof library,
                                   .abi_major = ABI_MAJOR,
                                   .abi_minor = 0,
                                   .n_plugins = N_PLUGINS,
                                   .plugins = plugins};
  (void)args;
  SLOTS;
#ifdef DECLINES
  strncpy(args->error, "this build wants a newer processor", args->error_capacity);
  return NULL;
#endif
  return &library;
}
#endif
