// SPDX-License-Identifier: Apache-2.0
// Calls the kernel by the numbers of another machine, which the filter does not know.
#include "attacker.h"

static void at_load(void) {}
static void in_call(void) {
#if defined(__x86_64__)
  long result;
  // open(CANARY) of 32 bits; the path would have to lie low, the call itself is what counts.
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20 /* getpid */) : "memory");
  if (result > 0) got_through("a call of 32 bits");
  TRY(syscall(0x40000000 + SYS_getpid));
#else
  _exit(9);
#endif
}
