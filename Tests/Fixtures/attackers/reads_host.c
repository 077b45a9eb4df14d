// SPDX-License-Identifier: Apache-2.0
// Looks for what its host knows: variables, memory, descriptors, folders.
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "attacker.h"

extern char** environ;

static void at_load(void) {
  char path[64];
  const int host = getppid();
  const char* const names[] = {"environ", "mem", "maps", "cmdline", "status", "auxv", "task"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "/proc/%d/%s", host, names[i]);
    try_reading(path);
    snprintf(path, sizeof path, "/proc/self/%s", names[i]);
    try_reading(path);
  }
  char target[4096];
  snprintf(path, sizeof path, "/proc/%d/cwd", host);
  TRY(readlink(path, target, sizeof target));
  TRY(readlink("/proc/self/cwd", target, sizeof target));
  if (getenv("REFT_TEST_SECRET") != NULL) got_through("a variable of the host");
  // What is left of the block in which the kernel handed variables over.
  for (char** entry = environ; entry != NULL && *entry != NULL; entry++) {
    if (strstr(*entry, "SECRET") != NULL) got_through("the environment");
  }
}
static void in_call(void) {
  char byte[16];
  struct iovec local = {byte, sizeof byte}, remote = {(void*)at_load, sizeof byte};
  const int host = getppid();
  TRY(ptrace(PTRACE_ATTACH, host, 0, 0));
  TRY(ptrace(PTRACE_TRACEME, 0, 0, 0));
  TRY(syscall(SYS_process_vm_readv, host, &local, 1L, &remote, 1L, 0L));
  TRY(syscall(SYS_process_vm_writev, host, &local, 1L, &remote, 1L, 0L));
  TRY(syscall(434 /* pidfd_open */, host, 0));
  TRY(syscall(SYS_kcmp, host, getpid(), 0, 0, 0));
  TRY(syscall(SYS_perf_event_open, byte, host, -1, -1, 0));
}
