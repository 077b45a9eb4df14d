// SPDX-License-Identifier: Apache-2.0
// Starts other processes and programs.
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "attacker.h"

extern char** environ;

static void processes(void) {
  const long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0) _exit(0);
  TRY(child);
#ifdef SYS_fork
  const long other = syscall(SYS_fork);
  if (other == 0) _exit(0);
  TRY(other);
#endif
  char* arguments[] = {"sh", "-c", "touch " CANARY ".touched", NULL};
  pid_t process;
  if (posix_spawn(&process, "/bin/sh", NULL, NULL, arguments, environ) == 0) got_through("spawn");
  if (system("touch " CANARY ".touched") == 0) got_through("system");
  TRY(execve("/bin/sh", arguments, environ));
  TRY(syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS));
  TRY(syscall(SYS_setns, 0, 0));
}

static void at_load(void) {
  processes();
}
static void in_call(void) {
  processes();
  TRY(memfd_create("program", 0));
  TRY(syscall(SYS_execveat, 5, "", environ, environ, 0x1000));
}
