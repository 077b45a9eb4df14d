// SPDX-License-Identifier: Apache-2.0
// Makes filters of its own that would answer for the kernel, so that it seems to be confined.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "attacker.h"

static struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static void at_load(void) {
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  TRY(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
  TRY(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program));
  TRY(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL));
  TRY(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
  TRY(prctl(PR_SET_DUMPABLE, 1));
  TRY(prctl(PR_SET_PTRACER, -1));
  TRY(syscall(444 /* landlock_create_ruleset */, NULL, 0, 1));
}
static void in_call(void) {
  try_reading(CANARY);
}
