// SPDX-License-Identifier: Apache-2.0
// What signals do in this process, before and after foreign code was loaded or called.
#define _GNU_SOURCE
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "reft_system.h"

#define SIGNAL_COUNT 64

struct reft_signal_table {
  struct sigaction actions[SIGNAL_COUNT];
  int known[SIGNAL_COUNT];
  unsigned changes[SIGNAL_COUNT];
};

/* How often code of our own has changed each signal: what it does is not a plugin's doing, even
 * where a plugin's code runs meanwhile. */
static atomic_uint changes[SIGNAL_COUNT];

void reft_system_own_signal(int number, int is_ignored) {
  if (number < 1 || number > SIGNAL_COUNT) return;
  atomic_fetch_add(&changes[number - 1], 1);
  signal(number, is_ignored ? SIG_IGN : SIG_DFL);
  atomic_fetch_add(&changes[number - 1], 1);
}

reft_signal_table_t* reft_system_signals_save(void) {
  reft_signal_table_t* table = calloc(1, sizeof *table);
  if (!table) return NULL;
  for (int number = 1; number <= SIGNAL_COUNT; number++) {
    table->changes[number - 1] = atomic_load(&changes[number - 1]);
    table->known[number - 1] = sigaction(number, NULL, &table->actions[number - 1]) == 0;
  }
  return table;
}

uint64_t reft_system_signals_restore(reft_signal_table_t* saved) {
  if (!saved) return 0;
  uint64_t changed = 0;
  for (int number = 1; number <= SIGNAL_COUNT; number++) {
    struct sigaction now, *before = &saved->actions[number - 1];
    if (!saved->known[number - 1] || sigaction(number, NULL, &now) != 0) continue;
    if (now.sa_handler == before->sa_handler && now.sa_flags == before->sa_flags) continue;
    if (atomic_load(&changes[number - 1]) != saved->changes[number - 1]) continue;
    changed |= 1ull << (number - 1);
    sigaction(number, before, NULL);
  }
  free(saved);
  return changed;
}
