// SPDX-License-Identifier: Apache-2.0
// Starts threads without an end.
#include <pthread.h>

#include "attacker.h"

static void* sleeper(void* argument) {
  (void)argument;
  for (;;) pause();
  return NULL;
}

static void at_load(void) {}
static void in_call(void) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 16384);
  int count = 0;
  pthread_t thread;
  while (count < 5000 && pthread_create(&thread, &attributes, sleeper, NULL) == 0) count++;
  fprintf(stderr, "%d threads\n", count);
  if (count > 64) got_through("more threads than 64");
}
