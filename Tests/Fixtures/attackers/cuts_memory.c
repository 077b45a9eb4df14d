// SPDX-License-Identifier: Apache-2.0
// Cuts the memory that it shares with its host, which would end the host at its next look.
#include <sys/mman.h>

#include "attacker.h"

static void at_load(void) {}
static void in_call(void) {
  TRY(ftruncate(3, 0));
  TRY(fallocate(3, 3 /* punch a hole */, 0, 65536));
  TRY(fcntl(3, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW));
  TRY(open("/proc/self/fd/3", O_RDWR | O_TRUNC));
  TRY(write(3, "x", 1));
}
