// SPDX-License-Identifier: Apache-2.0
// A copy of a file in memory that nobody can change.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "reft_system.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

int reft_system_sealed_copy(int source, size_t size, const char* name) {
  // Kernels from 6.3 on want to be told that the file may be mapped as code; older ones refuse to
  // be told.
  int copy = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (copy < 0 && errno == EINVAL) copy = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (copy < 0) return -errno;
  off_t offset = 0;
  while ((size_t)offset < size) {
    ssize_t sent = sendfile(copy, source, &offset, size - (size_t)offset);
    if (sent > 0 || (sent < 0 && errno == EINTR)) continue;
    int code = sent == 0 ? EIO : errno;
    close(copy);
    return -code;
  }
  if (fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    int code = errno;
    close(copy);
    return -code;
  }
  return copy;
}
