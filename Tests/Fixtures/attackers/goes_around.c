// SPDX-License-Identifier: Apache-2.0
// Other ways into the kernel, by which the same things can be asked for.
#include <sys/mman.h>

#include "attacker.h"

static void at_load(void) {
  char room[256] = {0};
  TRY(syscall(425 /* io_uring_setup */, 8, room));
  TRY(syscall(426 /* io_uring_enter */, 3, 1, 0, 0, NULL, 0));
  TRY(syscall(SYS_bpf, 5, room, sizeof room));
  TRY(syscall(SYS_userfaultfd, 0));
  TRY(syscall(SYS_keyctl, 0, -3, 0));
  TRY(syscall(SYS_add_key, "user", "x", "y", 1L, -3));
  TRY(syscall(SYS_io_setup, 4, room));
  TRY(syscall(SYS_fanotify_init, 0, 0));
  TRY(syscall(SYS_inotify_init1, 0));
  TRY(syscall(SYS_name_to_handle_at, -100, CANARY, room, room, 0));
  TRY(syscall(SYS_open_by_handle_at, -100, room, 0));
  TRY(syscall(SYS_mount, "x", CANARY, "tmpfs", 0, 0));
  TRY(syscall(SYS_chroot, "/"));
  TRY(syscall(SYS_personality, 0x0400000));
  TRY(syscall(SYS_shmget, 1, 4096L, 01600));
  TRY(syscall(SYS_mq_open, "/x", O_CREAT, 0600, NULL));
  TRY(syscall(SYS_signalfd4, -1, room, 8L, 0));
  TRY(syscall(SYS_splice, 0, NULL, 1, NULL, 1L, 0));
  TRY(syscall(SYS_pwrite64, 3, room, 1L, 0L));
}
static void in_call(void) {
  at_load();
}
