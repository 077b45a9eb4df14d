// Loads a plugin as the host does, calls its forward once, and compares with a formula.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "reft_plugin.h"

#define EXPECT(condition)                                                                \
  do {                                                                                   \
    if (!(condition)) return printf("test.h:%d: not so: %s\n", __LINE__, #condition), 1; \
  } while (0)

static void set_error(void* context, reft_call_t* call, reft_status_t code, const char* text,
                      uint64_t length) {
  (void)context;
  (void)call;
  printf("the plugin says (%d): %.*s\n", (int)code, (int)length, text);
}

static int run(int count, char** arguments, int rows, int dim, const float* x,
               const void* const* parameters, int n_parameters, float (*expected)(int, int)) {
  EXPECT(count == 2);
  void* file = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (file == NULL) return printf("%s\n", dlerror()), 1;
  const reft_library_t* (*entry)(const reft_entry_args_t*);
  *(void**)&entry = dlsym(file, REFT_ENTRY_SYMBOL);
  EXPECT(entry != NULL);
  char error[256] = "";
  reft_entry_args_t entry_args = {.struct_size = sizeof entry_args,
                                  .host_abi_major = REFT_ABI_MAJOR,
                                  .error = error,
                                  .error_capacity = sizeof error};
  const reft_library_t* library = entry(&entry_args);
  EXPECT(library != NULL && library->n_plugins == 1);
  const reft_plugin_t* plugin = library->plugins[0];

  reft_host_t host = {
      .struct_size = sizeof host, .abi_major = REFT_ABI_MAJOR, .set_error = set_error};
  reft_shape_t shape = {
      .struct_size = sizeof shape, .dtype = REFT_F32, .max_rows = rows, .dim = dim};
  reft_instance_t* instance = NULL;
  EXPECT(plugin->create(&host, &shape, NULL, 0, NULL, &instance) == REFT_OK);
  reft_param_info_t info = {.struct_size = sizeof info};
  int n = 0;
  while (plugin->param_info(instance, (uint32_t)n, &info) == REFT_OK) n++;
  EXPECT(n == n_parameters);
  reft_workspace_t need = {.struct_size = sizeof need};
  EXPECT(plugin->plan(instance, &shape, &need) == REFT_OK);

  float *input = malloc(sizeof(float) * (size_t)(rows * dim)),
        *y = malloc(sizeof(float) * (size_t)(rows * dim));
  for (int i = 0; i < rows * dim; i++) input[i] = x[i];
  reft_mat_t view = {.struct_size = sizeof view,
                     .dtype = REFT_F32,
                     .data = input,
                     .rows = rows,
                     .cols = dim,
                     .row_stride = dim,
                     .col_stride = 1};
  reft_args_t args = {.struct_size = sizeof args,
                      .flags = REFT_CALL_TRAINING,
                      .x = view,
                      .y = view,
                      .params = parameters,
                      .n_params = (uint32_t)n_parameters};
  args.y.data = y;
  args.saved_bytes = need.saved_bytes_fixed + need.saved_bytes_per_row * (uint64_t)rows;
  args.scratch_bytes = need.scratch_bytes_fixed + need.scratch_bytes_per_row * (uint64_t)rows;
  args.saved = aligned_alloc(64, (args.saved_bytes + 64) / 64 * 64);
  args.scratch = aligned_alloc(64, (args.scratch_bytes + 64) / 64 * 64);
  EXPECT(plugin->forward(instance, &args) == REFT_OK);
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < dim; j++)
      if (!(fabsf(y[i * dim + j] - expected(i, j)) < 1e-5f))
        return printf("row %d, number %d: the plugin has %g, the formula %g\n", i, j,
                      (double)y[i * dim + j], (double)expected(i, j)),
               1;

  plugin->destroy(instance);
  free(args.saved);
  free(args.scratch);
  free(input);
  free(y);
  printf("%s: the formula holds on %d rows\n", arguments[1], rows);
  return 0;
}
