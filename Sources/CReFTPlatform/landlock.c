// SPDX-License-Identifier: Apache-2.0
// Landlock: which files a process and its threads may open from now on. The rights are written here
// by their numbers, because the headers of a system may be older than its kernel.
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "reft_platform.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define READ_FILE (1ull << 2)
#define READ_FOLDER (1ull << 3)

int reft_landlock_version(void) {
  const long version = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u /* the version */);
  return version < 0 ? 0 : (int)version;
}

// The rights that a kernel knows: 13 of files in the first version, moving to another folder in the
// second, truncating in the third, controlling devices in the fifth.
static uint64_t file_rights(int version) {
  const int count = version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13;
  return (1ull << count) - 1;
}

static int add_rule(int rules, int file) {
  struct stat status;
  if (fstat(file, &status) != 0) return -errno;
  struct {
    uint64_t allowed;
    int32_t parent;
  } __attribute__((packed)) rule = {READ_FILE, file};
  if (S_ISDIR(status.st_mode)) rule.allowed |= READ_FOLDER;
  return syscall(SYS_landlock_add_rule, rules, 1 /* beneath a path */, &rule, 0) == 0 ? 0 : -errno;
}

int reft_landlock_read_only(const int* files, int count) {
  const int version = reft_landlock_version();
  if (version == 0) return -ENOSYS;
  // No connections over TCP; no signals and no abstract sockets across the border.
  const struct {
    uint64_t files, network, scopes;
  } handled = {file_rights(version), version >= 4 ? 3 : 0, version >= 6 ? 3 : 0};
  const size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  const int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, size, 0);
  if (rules < 0) return -errno;
  int result = 0;
  for (int i = 0; i < count && result == 0; i++) result = add_rule(rules, files[i]);
  if (result == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) result = -errno;
  if (result == 0 && syscall(SYS_landlock_restrict_self, rules, 0) != 0) result = -errno;
  close(rules);
  return result;
}
