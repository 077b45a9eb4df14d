// SPDX-License-Identifier: Apache-2.0
// Sees to it that nothing in this process notices the end of its host, and stays.
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "attacker.h"

static void park(int number) {
  (void)number;
  for (;;) pause();
}

static void at_load(void) {
  // Whatever thread watches is made to wait for ever.
  signal(SIGUSR1, park);
  for (int thread = getpid() + 1; thread < getpid() + 64; thread++) {
    syscall(SYS_tgkill, getpid(), thread, SIGUSR1);
  }
  prctl(PR_SET_PDEATHSIG, 0);
  for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
  setsid();
}
static void in_call(void) {
  fprintf(stderr, "worker %d\n", getpid());
  for (;;) pause();
}
