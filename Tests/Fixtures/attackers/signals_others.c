// SPDX-License-Identifier: Apache-2.0
// Signals processes that are not its own, and tries to raise its own limits.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "attacker.h"

static void at_load(void) {
  const int host = getppid();
  TRY(kill(host, SIGCONT));
  TRY(kill(1, 0));
  TRY(kill(-1, SIGCONT));
  TRY(kill(-getpgrp(), 0));
  TRY(syscall(SYS_tgkill, host, host, 0));
  TRY(syscall(SYS_tkill, host, 0));
  TRY(syscall(424 /* pidfd_send_signal */, 0, 0, NULL, 0));
  TRY(fcntl(0, F_SETOWN, host));
  TRY(fcntl(0, F_SETFL, O_ASYNC));
}
static void in_call(void) {
  const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
  TRY(setrlimit(RLIMIT_AS, &none));
  TRY(syscall(SYS_prlimit64, 0, RLIMIT_CORE, &none, NULL));
  TRY(prctl(PR_SET_PDEATHSIG, 0));
  TRY(prctl(PR_SET_NO_NEW_PRIVS, 0));
  TRY(setuid(65534));
  TRY(setsid());
  TRY(setpgid(0, getppid()));
}
