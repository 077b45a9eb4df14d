// SPDX-License-Identifier: Apache-2.0
// The emulated card's memory: a table of allocations, so that copies beside them are refused, fresh
// memory full of NaN, and marked bytes behind each allocation.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"

enum { MARGIN = 64, MARK = 0xa5, FRESH = 0xff, ALIGNMENT = 256 };

struct allocation {
  uint64_t address;
  size_t bytes;
  struct card_context *owner;
};

// Sorted by address.
static struct allocation *table;
static size_t count, capacity;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

// The first allocation behind an address.
static size_t behind(uint64_t address) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (table[middle].address <= address)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static int insert(struct allocation new) {
  if (count == capacity) {
    size_t larger = capacity ? 2 * capacity : 64;
    struct allocation *grown = realloc(table, larger * sizeof *table);
    if (!grown) return 0;
    table = grown, capacity = larger;
  }
  size_t at = behind(new.address);
  memmove(table + at + 1, table + at, (count - at) * sizeof *table);
  table[at] = new;
  count++;
  return 1;
}

int card_holds(uint64_t address, size_t bytes) {
  pthread_mutex_lock(&mutex);
  size_t at = behind(address);
  int holds = at > 0 && address - table[at - 1].address <= table[at - 1].bytes &&
              bytes <= table[at - 1].bytes - (address - table[at - 1].address);
  pthread_mutex_unlock(&mutex);
  return holds;
}

int card_is_overrun(void) {
  int overrun = 0;
  pthread_mutex_lock(&mutex);
  for (size_t i = 0; i < count; i++) {
    const unsigned char *margin = (const unsigned char *)table[i].address + table[i].bytes;
    for (int j = 0; j < MARGIN; j++) overrun |= margin[j] != MARK;
  }
  pthread_mutex_unlock(&mutex);
  return overrun;
}

int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
  struct card_context *context = card_current();
  int failure = card_enter("cuMemGetInfo_v2", CARD_INVALID_CONTEXT);
  if (failure || !context) return failure ? failure : CARD_INVALID_CONTEXT;
  pthread_mutex_lock(&mutex);
  *total = context->limit;
  *free_bytes = context->limit - context->used;
  pthread_mutex_unlock(&mutex);
  return CARD_SUCCESS;
}

int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
  struct card_context *context = card_current();
  int failure = card_enter("cuMemAlloc_v2", CARD_OUT_OF_MEMORY);
  if (failure || !context) return failure ? failure : CARD_INVALID_CONTEXT;
  if (bytes == 0) return CARD_INVALID_VALUE;
  pthread_mutex_lock(&mutex);
  void *place = NULL;
  if (bytes > context->limit - context->used ||
      posix_memalign(&place, ALIGNMENT, bytes + MARGIN) != 0 ||
      !insert((struct allocation){(uint64_t)place, bytes, context})) {
    pthread_mutex_unlock(&mutex);
    free(place);
    return CARD_OUT_OF_MEMORY;
  }
  context->used += bytes;
  if (bytes <= (size_t)64 << 20) memset(place, FRESH, bytes);
  memset((char *)place + bytes, MARK, MARGIN);
  pthread_mutex_unlock(&mutex);
  *address = (uint64_t)place;
  return CARD_SUCCESS;
}

int cuMemFree_v2(uint64_t address) {
  int failure = card_enter("cuMemFree_v2", CARD_INVALID_VALUE);
  if (failure) return failure;
  pthread_mutex_lock(&mutex);
  size_t at = behind(address);
  if (at == 0 || table[at - 1].address != address) {
    pthread_mutex_unlock(&mutex);
    return CARD_INVALID_VALUE;
  }
  at--;
  table[at].owner->used -= table[at].bytes;
  memmove(table + at, table + at + 1, (count - at - 1) * sizeof *table);
  count--;
  pthread_mutex_unlock(&mutex);
  free((void *)address);
  return CARD_SUCCESS;
}

int cuMemAllocHost_v2(void **place, size_t bytes) {
  int failure = card_enter("cuMemAllocHost_v2", CARD_OUT_OF_MEMORY);
  if (failure || !card_current()) return failure ? failure : CARD_INVALID_CONTEXT;
  return posix_memalign(place, ALIGNMENT, bytes) == 0 ? CARD_SUCCESS : CARD_OUT_OF_MEMORY;
}

int cuMemFreeHost(void *place) {
  free(place);
  return CARD_SUCCESS;
}

static int run_copy(const struct card_work *work) {
  memcpy((void *)work->u.copy.to, (const void *)work->u.copy.from, work->u.copy.bytes);
  return CARD_SUCCESS;
}

static int run_set(const struct card_work *work) {
  memset((void *)work->u.copy.to, work->u.copy.value, work->u.copy.bytes);
  return CARD_SUCCESS;
}

static int copy(uint64_t to, uint64_t from, size_t bytes, void *stream) {
  if (!card_current()) return CARD_INVALID_CONTEXT;
  struct card_work work = {.run = run_copy, .u.copy = {.to = to, .from = from, .bytes = bytes}};
  return card_do(stream, &work);
}

int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *stream) {
  int failure = card_enter("cuMemcpyHtoDAsync_v2", CARD_INVALID_VALUE);
  if (failure || !card_holds(to, bytes)) return failure ? failure : CARD_INVALID_VALUE;
  return copy(to, (uint64_t)from, bytes, stream);
}

int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream) {
  int failure = card_enter("cuMemcpyDtoHAsync_v2", CARD_INVALID_VALUE);
  if (failure || !card_holds(from, bytes)) return failure ? failure : CARD_INVALID_VALUE;
  return copy((uint64_t)to, from, bytes, stream);
}

int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *stream) {
  int failure = card_enter("cuMemcpyDtoDAsync_v2", CARD_INVALID_VALUE);
  if (failure || !card_holds(to, bytes) || !card_holds(from, bytes)) {
    return failure ? failure : CARD_INVALID_VALUE;
  }
  return copy(to, from, bytes, stream);
}

int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void *stream) {
  int failure = card_enter("cuMemsetD8Async", CARD_INVALID_VALUE);
  if (failure || !card_holds(to, bytes)) return failure ? failure : CARD_INVALID_VALUE;
  struct card_work work = {.run = run_set, .u.copy = {.to = to, .bytes = bytes, .value = value}};
  return card_do(stream, &work);
}
