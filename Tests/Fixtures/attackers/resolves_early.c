// SPDX-License-Identifier: Apache-2.0
// Runs before every constructor: the resolver of an indirect function, called while the dynamic
// linker still relocates. It can use no library yet.
#include "attacker.h"

static volatile int found = -1;

static long bare_open(const char* path) {
  long result;
#if defined(__x86_64__)
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(SYS_openat), "D"(-100), "S"(path), "d"(0)
                   : "rcx", "r11", "memory");
#else
  register long number __asm__("x8") = SYS_openat;
  register long first __asm__("x0") = -100;
  register const char* second __asm__("x1") = path;
  register long third __asm__("x2") = 0;
  __asm__ volatile("svc 0" : "+r"(first) : "r"(number), "r"(second), "r"(third) : "memory");
  result = first;
#endif
  return result;
}

static int nothing(void) {
  return found;
}
static int (*resolve(void))(void) {
  static const char canary[] = CANARY;
  static const char shadow[] = "/etc/shadow";
  if (bare_open(canary) >= 0 || bare_open(shadow) >= 0) found = 1;
  return nothing;
}
int early(void) __attribute__((ifunc("resolve")));

static void at_load(void) {
  if (early() > 0) got_through("a resolver");
}
static void in_call(void) {}
