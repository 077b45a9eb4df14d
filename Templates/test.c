// Loads the plugin as the host does and compares two rows with the formula. `make test` runs it;
// the derivative and the rest of the contract are judged by `make check`.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>

#include "reft_plugin.h"

#define EXPECT(condition)                                                              \
  do {                                                                                 \
    if (!(condition)) return printf("test.c:%d: not so: %s\n", __LINE__, #condition), 1; \
  } while (0)

static void set_error(void *context, reft_call_t *call, reft_status_t code, const char *text,
                      uint64_t length) {
  (void)context;
  (void)call;
  printf("the plugin says (%d): %.*s\n", (int)code, (int)length, text);
}

int main(int count, char **arguments) {
  EXPECT(count == 2);
  void *file = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (file == NULL) return printf("%s\n", dlerror()), 1;
  const reft_library_t *(*entry)(const reft_entry_args_t *);
  *(void **)&entry = dlsym(file, REFT_ENTRY_SYMBOL);
  EXPECT(entry != NULL);
  char error[256] = "";
  reft_entry_args_t entry_args = {.struct_size = sizeof entry_args, .host_abi_major = REFT_ABI_MAJOR,
                                  .error = error, .error_capacity = sizeof error};
  const reft_library_t *library = entry(&entry_args);
  EXPECT(library != NULL && library->n_plugins == 1);
  const reft_plugin_t *plugin = library->plugins[0];

  enum { rows = 2, dim = 3 };
  reft_host_t host = {.struct_size = sizeof host, .abi_major = REFT_ABI_MAJOR,
                      .set_error = set_error};
  reft_shape_t shape = {.struct_size = sizeof shape, .dtype = REFT_F32, .max_rows = rows, .dim = dim};
  reft_instance_t *instance = NULL;
  EXPECT(plugin->create(&host, &shape, NULL, 0, NULL, &instance) == REFT_OK);
  reft_workspace_t workspace = {.struct_size = sizeof workspace};
  EXPECT(plugin->plan(instance, &shape, &workspace) == REFT_OK);

  float x[rows][dim] = {{1, -2, 3}, {0.5f, 0, -1}}, y[rows][dim];
  float scale[dim] = {0, 0.5f, -1}, shift[dim] = {0, 1, 2};
  const void *parameters[] = {scale, shift};
  reft_mat_t view = {.struct_size = sizeof view, .dtype = REFT_F32, .data = x, .rows = rows,
                     .cols = dim, .row_stride = dim, .col_stride = 1};
  reft_args_t args = {.struct_size = sizeof args, .x = view, .y = view, .params = parameters,
                      .n_params = 2};
  args.y.data = y;
  EXPECT(plugin->forward(instance, &args) == REFT_OK);
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < dim; j++) EXPECT(fabsf(y[i][j] - (x[i][j] * (1 + scale[j]) + shift[j])) < 1e-6f);

  plugin->destroy(instance);
  printf("%s: the formula holds on %d rows\n", arguments[1], rows);
  return 0;
}
