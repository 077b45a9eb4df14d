// SPDX-License-Identifier: Apache-2.0
// Changes the file system: the test's canary must be as it was.
#include <sys/stat.h>

#include "attacker.h"

static void at_load(void) {
  TRY(unlink(CANARY));
  TRY(rename(CANARY, CANARY ".moved"));
  TRY(link(CANARY, CANARY ".link"));
  TRY(symlink(CANARY, CANARY ".symlink"));
  TRY(mkdir(CANARY ".folder", 0700));
  TRY(mknod(CANARY ".node", S_IFIFO | 0600, 0));
  TRY(chmod(CANARY, 0777));
  TRY(chown(CANARY, 1, 1));
  TRY(truncate(CANARY, 0));
  TRY(open(CANARY, O_WRONLY));
  TRY(open(CANARY, O_RDWR));
  TRY(open(CANARY, O_RDONLY | O_TRUNC));
  TRY(open(CANARY ".new", O_CREAT | O_WRONLY, 0600));
  TRY(open("/tmp", O_TMPFILE | O_RDWR, 0600));
  TRY(syscall(SYS_utimensat, -100, CANARY, NULL, 0));
  TRY(syscall(SYS_setxattr, CANARY, "user.x", "y", 1L, 0));
}
static void in_call(void) {
  struct stat status;
  TRY(stat(CANARY, &status));
  TRY(access(CANARY, F_OK));
  TRY(syscall(SYS_newfstatat, AT_FDCWD, CANARY, &status, 0x1000));
  char room[512];
  TRY(syscall(332 /* statx */, AT_FDCWD, CANARY, 0, 0xfff, room));
}
