// SPDX-License-Identifier: Apache-2.0
// Opens what is not its own: passwords, a canary of the test, folders, by every call that opens.
#include "attacker.h"

static void everywhere(void) {
  const char* const paths[] = {CANARY, "/etc/shadow", "/etc/passwd", "/", "/root", "/tmp", "/proc"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    try_reading(paths[i]);
    TRY(syscall(SYS_openat, AT_FDCWD, paths[i], O_PATH));
    TRY(syscall(SYS_openat, AT_FDCWD, paths[i], O_RDONLY | O_DIRECTORY));
    struct {
      uint64_t flags, mode, resolve;
    } how = {O_RDONLY, 0, 0};
    TRY(syscall(437 /* openat2 */, AT_FDCWD, paths[i], &how, sizeof how));
    TRY(chdir(paths[i]));
    TRY(syscall(428 /* open_tree */, AT_FDCWD, paths[i], 0));
  }
  char relative[4200];
  snprintf(relative, sizeof relative, "/usr/lib/../..%s", CANARY);
  try_reading(relative);
  snprintf(relative, sizeof relative, "/proc/self/root%s", CANARY);
  try_reading(relative);
}

static void at_load(void) {
  everywhere();
}
static void in_call(void) {
  everywhere();
}
