// SPDX-License-Identifier: Apache-2.0
// Anonymous memory files, and waking the other side of a shared word.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "reft_platform.h"

int reft_memory_file(const char* name) {
  const int file = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return -errno;
  // The other side could otherwise cut it, and end this process at the next look into it.
  if (fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) == 0) return file;
  const int error = errno;
  close(file);
  return -error;
}

uint32_t reft_word_load(const void* word) {
  return __atomic_load_n((const uint32_t*)word, __ATOMIC_ACQUIRE);
}

void reft_word_store_and_wake(void* word, uint32_t value) {
  __atomic_store_n((uint32_t*)word, value, __ATOMIC_RELEASE);
  // Not FUTEX_PRIVATE: the waiter is another process.
  syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

int reft_word_wait(const void* word, uint32_t seen, uint32_t spins, int64_t timeout_us) {
  for (uint32_t i = 0; i < spins; i++) {
    if (reft_word_load(word) != seen) return 1;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  struct timespec now, end;
  clock_gettime(CLOCK_MONOTONIC, &now);
  end.tv_sec = now.tv_sec + timeout_us / 1000000;
  end.tv_nsec = now.tv_nsec + (timeout_us % 1000000) * 1000;
  if (end.tv_nsec >= 1000000000) {
    end.tv_sec += 1;
    end.tv_nsec -= 1000000000;
  }
  while (reft_word_load(word) == seen) {
    // FUTEX_WAIT_BITSET takes an absolute time, so that interruptions do not lengthen the wait.
    long result =
        syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, &end, NULL, FUTEX_BITSET_MATCH_ANY);
    if (result < 0 && errno == ETIMEDOUT) return reft_word_load(word) != seen;
  }
  return 1;
}
