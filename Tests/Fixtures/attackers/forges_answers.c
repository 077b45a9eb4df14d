// SPDX-License-Identifier: Apache-2.0
// Answers in the worker's place: with the text of the test, from the function that it names.
#include <linux/futex.h>
#include <sys/mman.h>

#define FORGE_IN_LOAD 1
#define FORGE_IN_CALL 2
#include "attacker.h"

static void forge(int failed) {
  static const char text[] = ANSWER;
  char* channel = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
  memcpy(channel + 512, text, sizeof text - 1);
  *(uint64_t*)(channel + 40) = BYTES > 0 ? (uint64_t)BYTES : sizeof text - 1;
  *(int32_t*)(channel + 20) = failed;
  __atomic_store_n((uint32_t*)(channel + 4), *(uint32_t*)channel, __ATOMIC_RELEASE);
  syscall(SYS_futex, channel + 4, FUTEX_WAKE, 1, 0, 0, 0);
  for (;;) pause();
}

static void at_load(void) {
  if (PLACE == FORGE_IN_LOAD) forge(FAILED);
}
static void in_call(void) {
  if (PLACE == FORGE_IN_CALL) forge(FAILED);
}
