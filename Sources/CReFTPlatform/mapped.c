// SPDX-License-Identifier: Apache-2.0
// Faults in mapped files, told in a sentence. The handler calls nothing but write and _exit.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reft_mapped.h"

#define PLACES 128

static struct {
  _Atomic uintptr_t start;  // 0: free, 1: being filled
  _Atomic uintptr_t end;
  char* _Atomic text;
} places[PLACES];

static struct sigaction before;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void on_fault(int number, siginfo_t* info, void* context) {
  (void)context;
  uintptr_t address = (uintptr_t)info->si_addr;
  for (int i = 0; info->si_code > 0 && i < PLACES; i++) {
    uintptr_t start = atomic_load(&places[i].start);
    if (start <= 1 || address < start || address >= atomic_load(&places[i].end)) continue;
    const char* text = atomic_load(&places[i].text);
    size_t left = text ? strlen(text) : 0;
    while (left > 0) {
      ssize_t written = write(STDERR_FILENO, text, left);
      if (written <= 0) break;
      text += written;
      left -= (size_t)written;
    }
    _exit(REFT_MAPPED_STATUS);
  }
  // Not ours: as it was before. A fault comes again at once, a sent signal has to be sent again.
  sigaction(number, &before, NULL);
  if (info->si_code <= 0) raise(number);
}

static void install(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &before);
}

int reft_mapped_watch(const void* start, size_t length, const char* text) {
  if (!start || length == 0) return -1;
  char* copy = strdup(text);
  if (!copy) return -1;
  pthread_once(&once, install);
  for (int i = 0; i < PLACES; i++) {
    uintptr_t empty = 0;
    if (!atomic_compare_exchange_strong(&places[i].start, &empty, 1)) continue;
    atomic_store(&places[i].text, copy);
    atomic_store(&places[i].end, (uintptr_t)start + length);
    atomic_store(&places[i].start, (uintptr_t)start);
    return i;
  }
  free(copy);
  return -1;
}

void reft_mapped_forget(int number) {
  if (number < 0 || number >= PLACES) return;
  char* text = atomic_load(&places[number].text);
  atomic_store(&places[number].start, 1);
  atomic_store(&places[number].text, NULL);
  atomic_store(&places[number].start, 0);
  free(text);
}
