// SPDX-License-Identifier: Apache-2.0
// Scratch memory per thread: grows, is reused, and lives as long as its thread does.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reft_kernels.h"

#define SLOTS (REFT_SCRATCH_WORDS + 1)

typedef struct scratch {
  float* memory[SLOTS];
  size_t count[SLOTS];
} scratch_t;

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void end_thread(void* value) {
  scratch_t* scratch = value;
  for (int i = 0; i < SLOTS; i++) free(scratch->memory[i]);
  free(scratch);
}

static void make_key(void) {
  pthread_key_create(&key, end_thread);
}

float* reft_thread_scratch(size_t slot, size_t count) {
  static _Thread_local scratch_t* mine;
  if (!mine) {
    pthread_once(&once, make_key);
    mine = calloc(1, sizeof *mine);
    if (!mine) return NULL;
    pthread_setspecific(key, mine);
  }
  if (mine->count[slot] < count) {
    size_t bytes = (count * sizeof(float) + 4095) & ~(size_t)4095;
    free(mine->memory[slot]);
    mine->memory[slot] = aligned_alloc(4096, bytes);
    mine->count[slot] = mine->memory[slot] ? bytes / sizeof(float) : 0;
  }
  return mine->memory[slot];
}

void reft_no_memory(size_t bytes) {
  char text[192];
  snprintf(text, sizeof text,
           "error: no memory: %zu bytes were asked for and the system has not so many; use shorter "
           "or fewer sequences, or free memory\n",
           bytes);
  if (write(STDERR_FILENO, text, strlen(text)) < 0) _exit(74);
  _exit(74);
}
