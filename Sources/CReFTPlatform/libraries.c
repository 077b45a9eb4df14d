// SPDX-License-Identifier: Apache-2.0
// Which libraries this process was loaded with, and two questions about files that Swift cannot
// ask.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stddef.h>
#include <sys/vfs.h>

#include "reft_system.h"

#define PROC_FILE_SYSTEM 0x9fa0

typedef struct {
  void (*body)(const char* path, void* context);
  void* context;
} visit_t;

static int visit(struct dl_phdr_info* information, size_t size, void* argument) {
  (void)size;
  const visit_t* what = argument;
  if (information->dlpi_name != NULL) what->body(information->dlpi_name, what->context);
  return 0;
}

void reft_system_each_library(void (*body)(const char* path, void* context), void* context) {
  visit_t what = {body, context};
  dl_iterate_phdr(visit, &what);
}

int reft_system_is_proc(const char* path) {
  struct statfs system;
  return statfs(path, &system) == 0 && system.f_type == PROC_FILE_SYSTEM;
}

int reft_system_open_name(const char* path) {
  const int descriptor = open(path, O_PATH | O_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}
