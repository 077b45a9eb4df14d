// SPDX-License-Identifier: Apache-2.0
// A little plugin with a device form, y = x + s v, and with -DFAULT_<NAME>=1 one whose device form
// is broken; DeviceCheckTests has the list.
#include <string.h>

#include "fault.h"
#include "reft_cuda.h"

#define STR(text) \
  { text, sizeof(text) - 1 }

struct reft_instance {
  const reft_host_t* host;
  int64_t d;
  float scale;
};

static const reft_option_info_t scale_option = {.struct_size = sizeof(reft_option_info_t),
                                                .type = REFT_OPTION_FLOAT,
                                                .name = STR("scale"),
                                                .help = STR("factor of v"),
                                                .default_f = 1,
                                                .minimum = -4,
                                                .maximum = 4};

static reft_status_t option_info(uint32_t index, reft_option_info_t* out) {
  if (index > 0) return REFT_E_INVALID;
  *out = scale_option;
  return REFT_OK;
}

static reft_status_t create(const reft_host_t* host, const reft_shape_t* shape,
                            const reft_option_t* options, uint32_t n_options, reft_call_t* call,
                            reft_instance_t** out) {
  (void)call;
  *out = host->alloc(host->context, sizeof **out);
  if (!*out) return REFT_E_NOMEM;
  **out = (reft_instance_t){host, shape->dim, n_options ? (float)options[0].f : 1};
  return REFT_OK;
}

static void destroy(reft_instance_t* self) {
  if (self) self->host->free(self->host->context, self);
}

static reft_status_t param_info(reft_instance_t* self, uint32_t index, reft_param_info_t* out) {
  if (index > 0) return REFT_E_INVALID;
  *out = (reft_param_info_t){.struct_size = sizeof *out,
                             .rank = 1,
                             .name = STR("v"),
                             .dims = {self->d},
                             .dtype = REFT_F32,
                             .flags = REFT_PARAM_TRAINABLE,
                             .learning_rate_scale = 1,
                             .weight_decay_scale = 1};
  return REFT_OK;
}

static reft_status_t plan(reft_instance_t* self, const reft_shape_t* shape, reft_workspace_t* out) {
  (void)self, (void)shape;
  *out = (reft_workspace_t){.struct_size = sizeof *out};
  return REFT_OK;
}

static float* row(const reft_mat_t* m, int64_t i) {
  return (float*)m->data + i * m->row_stride;
}

static reft_status_t forward(reft_instance_t* self, const reft_args_t* a) {
  const float* v = a->params[0];
  for (int64_t i = 0; i < a->x.rows; i++)
    for (int64_t j = 0; j < self->d; j++) row(&a->y, i)[j] = row(&a->x, i)[j] + self->scale * v[j];
  return REFT_OK;
}

static reft_status_t backward(reft_instance_t* self, const reft_args_t* a) {
  for (int64_t i = 0; i < a->x.rows; i++)
    for (int64_t j = 0; j < self->d; j++) {
      float g = row(&a->dy, i)[j];
      if (a->dparams) ((float*)a->dparams[0])[j] += self->scale * g;
      if (a->dx.data) row(&a->dx, i)[j] = g;
    }
  return REFT_OK;
}

// ---- The device form. Its faults are numbers that the kernels look at. ----

enum { F_NO_SCALE, F_NO_DX, F_NO_GRADIENT, F_DIRTY, F_BEHIND, F_INPUT };

static const char source[] =
    "extern \"C\" __global__ void forward(reft_cuda_call_t call) {\n"
    "  int j = blockIdx.x * 64 + threadIdx.x;\n"
    "  float s = call.ints[0] ? 1 : call.floats[0];\n"
    "  if (call.ints[3] && call.scratch[0] > 0) s += 1e-5f;\n"
    "  for (int i = 0; i < call.n && j < call.d; i++)\n"
    "    call.y[(long long)i * call.d + j] =\n"
    "      call.x[(long long)i * call.d + j] + s * call.params[0][j];\n"
    "  if (call.ints[4] && j == 0) call.y[(long long)call.n * call.d] = 0;\n"
    "}\n"
    "extern \"C\" __global__ void backward(reft_cuda_call_t call) {\n"
    "  int j = blockIdx.x * 64 + threadIdx.x;\n"
    "  float sum = 0;\n"
    "  for (int i = 0; i < call.n && j < call.d; i++) {\n"
    "    long long at = (long long)i * call.d + j;\n"
    "    sum += call.dy[at];\n"
    "    call.dx[at] = call.ints[1] ? 0 : call.dy[at];\n"
    "    if (call.ints[5]) ((float *)call.x)[at] = 0;\n"
    "  }\n"
    "  if (!call.ints[2] && j < call.d) call.dparams[0][j] += call.floats[0] * sum;\n"
    "}\n"
#if FAULT_NO_CUDA
    "this is not CUDA\n"
#endif
    ;

#if FAULT_NO_KERNEL
#define FORWARD "backwards"
#else
#define FORWARD "forward"
#endif
#define KERNEL(function)                                                                          \
  {                                                                                               \
    .struct_size = sizeof(reft_cuda_kernel_t), .share = REFT_CUDA_COLUMNS, .name = STR(function), \
    .tile = 64, .layers = 1, .threads = 64                                                        \
  }
static const reft_cuda_kernel_t kernels[] = {KERNEL(FORWARD), KERNEL("backward")};
static const reft_cuda_kernel_t* const ways[] = {&kernels[0], &kernels[1]};

static reft_status_t program(reft_instance_t* self, uint32_t flags, reft_cuda_program_t* out) {
  (void)flags;
  *out = (reft_cuda_program_t){.struct_size = sizeof *out,
                               .source = STR(source),
                               .forward = &ways[0],
                               .backward = &ways[1],
                               .n_forward = 1,
                               .n_backward = 1,
                               .scratch_fixed = 1,
                               .ints = {[F_NO_SCALE] = FAULTY(FORGETS_SCALE),
                                        [F_NO_DX] = FAULTY(FORGETS_DX),
                                        [F_NO_GRADIENT] = FAULTY(FORGETS_GRADIENT),
                                        [F_DIRTY] = FAULTY(READS_DIRTY_SCRATCH),
                                        [F_BEHIND] = FAULTY(WRITES_BEHIND_Y),
                                        [F_INPUT] = FAULTY(WRITES_X)},
                               .floats = {self->scale}};
  return REFT_OK;
}

static const void* extension(reft_instance_t* self, const char* id) {
  static const reft_cuda_t table = {.struct_size = sizeof table, .program = program};
  (void)self;
  return strcmp(id, REFT_CUDA_EXTENSION) == 0 ? &table : NULL;
}

// ---- Tables ----

static const reft_plugin_t plugin = {
    .struct_size = sizeof(reft_plugin_t),
    .id = STR("org.reft.device"),
    .version = STR("1.0.0"),
    .summary = STR("y = x + s v"),
    .license = STR("Apache-2.0"),
    .capabilities = REFT_CAP_ROWWISE | REFT_CAP_REENTRANT | REFT_CAP_BITWISE,
    .dtypes = 1u << REFT_F32,
    .option_info = option_info,
    .create = create,
    .destroy = destroy,
    .param_info = param_info,
    .plan = plan,
    .forward = forward,
    .backward = backward,
    .extension = extension,
};
static const reft_plugin_t* const plugins[] = {&plugin};
static const reft_library_t library = {.struct_size = sizeof(reft_library_t),
                                       .abi_major = REFT_ABI_MAJOR,
                                       .abi_minor = REFT_ABI_MINOR,
                                       .n_plugins = 1,
                                       .plugins = plugins};

const reft_library_t* reft_plugin_entry_v1(const reft_entry_args_t* args) {
  (void)args;
  return &library;
}
