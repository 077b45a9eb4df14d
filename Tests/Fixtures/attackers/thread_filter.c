// SPDX-License-Identifier: Apache-2.0
// Gives one thread a filter of its own, so that no filter for all threads can follow.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>

#include "attacker.h"

static void* filtered(void* argument) {
  (void)argument;
  struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {1, code};
  TRY(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
  TRY(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
  for (;;) pause();
  return NULL;
}

static void at_load(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, filtered, NULL);
  usleep(20000);
}
static void in_call(void) {
  try_reading(CANARY);
}
