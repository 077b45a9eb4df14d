// SPDX-License-Identifier: Apache-2.0
// Takes over the signals by which refusals could be told, and answers success in their place.
#include <signal.h>
#include <ucontext.h>

#include "attacker.h"

static void answer(int number, siginfo_t* info, void* context) {
  (void)number, (void)info;
#if defined(__x86_64__)
  ((ucontext_t*)context)->uc_mcontext.gregs[REG_RAX] = 0;
#else
  ((ucontext_t*)context)->uc_mcontext.regs[0] = 0;
#endif
}

static void at_load(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = answer;
  action.sa_flags = SA_SIGINFO;
  for (int number = 1; number < 32; number++) sigaction(number, &action, NULL);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
}
static void in_call(void) {
  try_reading(CANARY);
  TRY(syscall(SYS_socket, 2, 1, 0));
}
