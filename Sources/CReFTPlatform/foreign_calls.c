// SPDX-License-Identifier: Apache-2.0
// Which plugin's code runs in this process: so that a call that does not come back can be told from
// work of our own, and the end of the process by a plugin from one by us.
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "reft_system.h"

typedef struct {
  const char* plugin;
  const char* function;
} call_t;

static _Thread_local call_t here;
static _Thread_local int depth;
static _Atomic(const char*) last_plugin;
static _Atomic(const char*) last_function;
static atomic_int running;
static atomic_uint serial;
static atomic_int closed;
static atomic_int expected;
static void (*exit_handler)(const char* plugin, const char* function);

void reft_foreign_begin(const void* plugin, const void* function) {
  if (depth++ > 0) return;
  here = (call_t){plugin, function};
  atomic_store_explicit(&last_plugin, here.plugin, memory_order_relaxed);
  atomic_store_explicit(&last_function, here.function, memory_order_relaxed);
  atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&running, 1, memory_order_relaxed);
}

void reft_foreign_end(void) {
  if (--depth > 0) return;
  // Once the process is being ended for this call, its thread has nothing more to do.
  while (atomic_load_explicit(&closed, memory_order_acquire)) pause();
  atomic_fetch_sub_explicit(&running, 1, memory_order_relaxed);
}

uint32_t reft_foreign_running(void) {
  if (atomic_load(&running) == 0) return 0;
  const uint32_t number = atomic_load(&serial);
  return number == 0 ? 1 : number;
}

void reft_foreign_close(void) {
  atomic_store_explicit(&closed, 1, memory_order_release);
}

const char* reft_foreign_last(const char** function) {
  *function = atomic_load(&last_function);
  return atomic_load(&last_plugin);
}

void reft_foreign_expect_exit(void) {
  atomic_store(&expected, 1);
}

static void at_exit(void) {
  if (atomic_exchange(&expected, 1)) return;
  const char* function = NULL;
  const char* plugin = depth > 0 ? here.plugin : reft_foreign_last(&function);
  exit_handler(plugin, depth > 0 ? here.function : function);
  _exit(69);
}

int reft_foreign_watch_exit(void (*handler)(const char* plugin, const char* function)) {
  exit_handler = handler;
  return atexit(at_exit) == 0 && at_quick_exit(at_exit) == 0 ? 0 : -1;
}
