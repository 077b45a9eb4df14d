// SPDX-License-Identifier: Apache-2.0
// What the plugin checker needs of the C library and Swift does not import.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "reft_probe.h"

int reft_probe_pipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return -errno;
  return 0;
}

int reft_probe_memory_file(const char* name) {
  const int descriptor = memfd_create(name, MFD_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}

uint64_t reft_probe_load_address(const void* symbol) {
  Dl_info info;
  return dladdr(symbol, &info) != 0 ? (uint64_t)(uintptr_t)info.dli_fbase : 0;
}

uint64_t reft_probe_heap_bytes(void) {
  const struct mallinfo2 info = mallinfo2();
  return (uint64_t)info.uordblks + (uint64_t)info.hblkhd;
}

void reft_probe_close_from(int first) {
  closefrom(first);
}

int reft_probe_die_with_parent(void) {
  return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 ? 0 : -errno;
}
