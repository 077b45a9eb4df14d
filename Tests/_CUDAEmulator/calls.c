// SPDX-License-Identifier: Apache-2.0
// Calls, counted by name on each thread, and those that a test wants to fail.
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"
#include "cuda_emulated_card.h"

enum { NAMES = 64 };

// Of this thread.
static _Thread_local struct {
  const char *name;
  long calls;
  int fails_in;
} counts[NAMES];

// Of REFT_EMULATED_CUDA_FAIL: calls until the one that fails.
static atomic_int environment_calls;

static int slot_of(const char *name) {
  int i = 0;
  while (i < NAMES - 1 && counts[i].name && strcmp(counts[i].name, name) != 0) i++;
  return i;
}

// Whether this is the call of the variable's number; the variable is read each time.
static int environment_fails(const char *function) {
  const char *wish = getenv("REFT_EMULATED_CUDA_FAIL");
  const char *colon = wish ? strchr(wish, ':') : NULL;
  if (!colon || strlen(function) != (size_t)(colon - wish) ||
      strncmp(function, wish, (size_t)(colon - wish)) != 0) {
    return 0;
  }
  return atomic_fetch_add(&environment_calls, 1) + 1 == atoi(colon + 1);
}

int card_enter(const char *function, int status) {
  int slot = slot_of(function);
  counts[slot].name = function;
  counts[slot].calls++;
  if (counts[slot].fails_in > 0 && --counts[slot].fails_in == 0) return status;
  return environment_fails(function) ? status : 0;
}

long reft_emulated_calls(const char *function) {
  return counts[slot_of(function)].calls;
}

void reft_emulated_fail(const char *function, int nth) {
  int slot = slot_of(function);
  // Stays for the thread's life, as the literals do.
  if (!counts[slot].name) counts[slot].name = strdup(function);
  counts[slot].fails_in = nth;
}
