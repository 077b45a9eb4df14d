// SPDX-License-Identifier: Apache-2.0
// The smallest host: loads a plugin, runs one forward and one backward of its first intervention on
// fixed numbers, and prints y, dx and the gradients. It is compiled against each released header
// and against one from the future, and must print the same for plugins compiled against any of
// them.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reft_plugin.h"

enum { DIM = 6, ROWS = 3, MOST = 16 };

static uint32_t state = 12345;
static float next_number(void) {
  state = state * 1664525u + 1013904223u;
  return (float)(state >> 8) / 8388608.0f - 1;
}

static void fail(const char* what) {
  fprintf(stderr, "host: %s\n", what);
  exit(1);
}

static void say(void* c, int32_t level, const char* text, uint64_t n) {
  (void)c, (void)level, (void)text, (void)n;
}
static void set_error(void* c, reft_call_t* call, reft_status_t code, const char* text,
                      uint64_t n) {
  (void)c, (void)call;
  fprintf(stderr, "plugin: status %d: %.*s\n", code, (int)n, text);
}
static void* alloc(void* c, uint64_t bytes) {
  return (void)c, aligned_alloc(64, (bytes + 63) / 64 * 64);
}
static void release(void* c, void* memory) {
  (void)c, free(memory);
}
static void parallel_for(void* c, reft_call_t* call, int64_t n, int64_t grain, reft_body_t body,
                         void* arg) {
  (void)c, (void)call;
  for (int64_t i = 0; i < n; i += grain) body(arg, i, i + grain < n ? i + grain : n);
}
static void gemm(void* ctx, reft_call_t* call, uint32_t ta, uint32_t tb, int64_t m, int64_t n,
                 int64_t k, float alpha, const float* a, int64_t lda, const float* b, int64_t ldb,
                 float beta, float* c, int64_t ldc) {
  (void)ctx, (void)call;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      float sum = 0;
      for (int64_t l = 0; l < k; l++)
        sum += (ta ? a[l * lda + i] : a[i * lda + l]) * (tb ? b[j * ldb + l] : b[l * ldb + j]);
      c[i * ldc + j] = alpha * sum + (beta == 0 ? 0 : beta * c[i * ldc + j]);
    }
}
static void numbers(void* c, uint64_t key, uint64_t step, uint64_t offset, float* out, int64_t n) {
  (void)c, (void)key, (void)step, (void)offset;
  for (int64_t i = 0; i < n; i++) out[i] = 0.5f;
}
static uint32_t cancelled(void* c, reft_call_t* call) {
  return (void)c, (void)call, 0;
}
static const void* extension(void* c, const char* id) {
  return (void)c, (void)id, NULL;
}
#if REFT_ABI_MINOR >= 1
static reft_status_t input_info(void* c, int64_t index, reft_tensor_t* out) {
  return (void)c, (void)index, (void)out, REFT_E_INVALID;
}
#endif

static reft_mat_t view(float* data) {
  reft_mat_t m = {sizeof m, REFT_F32, data, ROWS, DIM, DIM, 1};
  return m;
}

static void print(const char* name, const float* values, int64_t n) {
  printf("%s", name);
  for (int64_t i = 0; i < n; i++) printf(" %.7g", (double)values[i]);
  printf("\n");
}

int main(int argc, char** argv) {
  if (argc != 2) fail("usage: host PLUGIN");
  void* handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!handle) fail(dlerror());
  const reft_library_t* (*entry)(const reft_entry_args_t*) = NULL;
  *(void**)&entry = dlsym(handle, REFT_ENTRY_SYMBOL);
  if (!entry) fail("no entry");
  char error[256] = "no reason";
  // Everything that this host knows and the plugin may not is not zero: a plugin must not look.
  reft_entry_args_t entry_args;
  memset(&entry_args, 0xFF, sizeof entry_args);
  entry_args.struct_size = sizeof entry_args;
  entry_args.host_abi_major = REFT_ABI_MAJOR;
  entry_args.host_abi_minor = REFT_ABI_MINOR;
  entry_args.library_path.ptr = argv[1];
  entry_args.library_path.len = strlen(argv[1]);
  entry_args.error = error;
  entry_args.error_capacity = sizeof error;
  const reft_library_t* library = entry(&entry_args);
  if (!library) fail(error);
  if (library->abi_major != 1 || library->n_plugins < 1) fail("another ABI");
  const reft_plugin_t* plugin = library->plugins[0];
  if (!REFT_HAS(plugin, reft_plugin_t, backward)) fail("a table shorter than 1.0's");

  reft_host_t host;
  memset(&host, 0xFF, sizeof host);
  host.struct_size = sizeof host;
  host.abi_major = REFT_ABI_MAJOR;
  host.abi_minor = REFT_ABI_MINOR;
  host.context = NULL;
  host.name.ptr = "museum";
  host.name.len = 6;
  host.version.ptr = "1.0.0";
  host.version.len = 5;
  host.log = say;
  host.set_error = set_error;
  host.alloc = alloc;
  host.free = release;
  host.parallel_for = parallel_for;
  host.gemm_f32 = gemm;
  host.rng_normal = numbers;
  host.rng_uniform = numbers;
  host.cancelled = cancelled;
  host.extension = extension;
#if REFT_ABI_MINOR >= 1
  host.input_info = input_info;
#endif

  reft_shape_t shape;
  memset(&shape, 0xFF, sizeof shape);
  shape.struct_size = sizeof shape;
  shape.dtype = REFT_F32;
  shape.max_rows = ROWS;
  shape.dim = DIM;
  shape.layer = 0;
  shape.component.ptr = "block_output";
  shape.component.len = 12;
#if REFT_ABI_MINOR >= 1
  shape.source_dim = 0;
  shape.n_locations = 0;
#endif
  reft_instance_t* self = NULL;
  if (plugin->create(&host, &shape, NULL, 0, NULL, &self) != REFT_OK) fail("create");

  float *params[MOST], *gradients[MOST];
  int64_t sizes[MOST];
  uint32_t count = 0;
  for (; count < MOST; count++) {
    reft_param_info_t info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    if (plugin->param_info(self, count, &info) != REFT_OK) break;
    sizes[count] = 1;
    for (uint32_t i = 0; i < info.rank; i++) sizes[count] *= info.dims[i];
    params[count] = malloc((size_t)sizes[count] * 4);
    gradients[count] = calloc((size_t)sizes[count], 4);
    for (int64_t i = 0; i < sizes[count]; i++) params[count][i] = next_number();
    printf("parameter %.*s %lld\n", (int)info.name.len, info.name.ptr, (long long)sizes[count]);
  }
  reft_workspace_t work;
  memset(&work, 0, sizeof work);
  work.struct_size = sizeof work;
  if (plugin->plan(self, &shape, &work) != REFT_OK) fail("plan");

  float x[ROWS * DIM], y[ROWS * DIM], dy[ROWS * DIM], dx[ROWS * DIM];
  for (int i = 0; i < ROWS * DIM; i++) x[i] = next_number(), dy[i] = next_number();
  reft_args_t args;
  memset(&args, 0xFF, sizeof args);
  args.struct_size = sizeof args;
  args.flags = REFT_CALL_TRAINING;
  args.call = NULL;
  args.x = view(x);
  args.source = view(NULL);
  args.y = view(y);
  args.dy = view(dy);
  args.dx = view(dx);
  args.params = (const void* const*)params;
  args.dparams = (void* const*)gradients;
  args.n_params = count;
  args.reserved0 = 0;
  args.rows = NULL;
  args.saved_bytes = work.saved_bytes_per_row * ROWS + work.saved_bytes_fixed;
  args.saved = alloc(NULL, args.saved_bytes + 64);
  args.scratch_bytes = work.scratch_bytes_per_row * ROWS + work.scratch_bytes_fixed;
  args.scratch = alloc(NULL, args.scratch_bytes + 64);
  args.rng_key = 1;
  args.rng_step = 2;
#if REFT_ABI_MINOR >= 1
  args.dsource = args.counterpart = args.collected = view(NULL);
  args.states = NULL;
  args.auxiliary = NULL;
  args.auxiliary_gradient = 0;
  args.step = args.total_steps = 0;
#endif
  if (plugin->forward(self, &args) != REFT_OK) fail("forward");
  print("y", y, ROWS * DIM);
  args.flags = REFT_CALL_TRAINING | REFT_CALL_NEED_DX | REFT_CALL_NEED_DPARAMS;
  if (plugin->backward(self, &args) != REFT_OK) fail("backward");
  print("dx", dx, ROWS * DIM);
  for (uint32_t i = 0; i < count; i++) print("gradient", gradients[i], sizes[i]);
  plugin->destroy(self);
  return 0;
}
