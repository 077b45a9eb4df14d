// SPDX-License-Identifier: Apache-2.0
// The emulated driver: devices, contexts, names of errors, events.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "card.h"

enum { CARDS = 2 };

static struct card_context contexts[CARDS] = {{.ordinal = 0}, {.ordinal = 1}};
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int is_initialized;
static _Thread_local struct card_context *current;

static size_t limit_of(int ordinal) {
  if (ordinal == 1) return (size_t)64 << 20;
  const char *wish = getenv("REFT_EMULATED_CUDA_MEMORY");
  unsigned long long bytes = wish ? strtoull(wish, NULL, 10) : 0;
  return bytes > 0 ? (size_t)bytes : (size_t)8 << 30;
}

struct card_context *card_current(void) {
  return current;
}

int cuInit(unsigned flags) {
  int failure = card_enter("cuInit", CARD_NO_DEVICE);
  if (failure) return failure;
  is_initialized = 1;
  return flags == 0 ? CARD_SUCCESS : CARD_INVALID_VALUE;
}

int cuDriverGetVersion(int *version) {
  *version = 12080;
  return card_enter("cuDriverGetVersion", CARD_INVALID_VALUE);
}

static const struct {
  int status;
  const char *name, *text;
} errors[] = {
    {CARD_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CARD_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CARD_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CARD_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {CARD_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {CARD_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CARD_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {CARD_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CARD_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {CARD_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {CARD_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS",
     "an illegal memory access was encountered"},
    {CARD_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {CARD_NOT_PERMITTED, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted"},
    {CARD_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
};

static int error_index(int status) {
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    if (errors[i].status == status) return (int)i;
  }
  return -1;
}

int cuGetErrorName(int status, const char **name) {
  int i = error_index(status);
  *name = i < 0 ? NULL : errors[i].name;
  return i < 0 ? CARD_INVALID_VALUE : CARD_SUCCESS;
}

int cuGetErrorString(int status, const char **text) {
  int i = error_index(status);
  *text = i < 0 ? NULL : errors[i].text;
  return i < 0 ? CARD_INVALID_VALUE : CARD_SUCCESS;
}

int cuDeviceGetCount(int *count) {
  *count = CARDS;
  return is_initialized ? CARD_SUCCESS : CARD_NOT_INITIALIZED;
}

int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return ordinal >= 0 && ordinal < CARDS ? CARD_SUCCESS : CARD_INVALID_DEVICE;
}

int cuDeviceGetName(char *name, int size, int device) {
  snprintf(name, (size_t)size, "emulated card %d", device);
  return CARD_SUCCESS;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
  (void)device;
  switch (attribute) {
    case 16:
      *value = 2;
      return CARD_SUCCESS;  // multiprocessors
    case 75:
      *value = 9;
      return CARD_SUCCESS;  // capability, major
    case 76:
      *value = 0;
      return CARD_SUCCESS;  // capability, minor
    case 97:
      *value = 227 << 10;
      return CARD_SUCCESS;  // shared memory of a block
    default:
      return CARD_INVALID_VALUE;
  }
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
  *bytes = limit_of(device);
  return CARD_SUCCESS;
}

int cuDevicePrimaryCtxRetain(struct card_context **context, int device) {
  int failure = card_enter("cuDevicePrimaryCtxRetain", CARD_INVALID_DEVICE);
  if (failure || device < 0 || device >= CARDS) return failure ? failure : CARD_INVALID_DEVICE;
  pthread_mutex_lock(&mutex);
  *context = &contexts[device];
  (*context)->limit = limit_of(device);
  (*context)->retained++;
  pthread_mutex_unlock(&mutex);
  return CARD_SUCCESS;
}

int cuDevicePrimaryCtxRelease_v2(int device) {
  pthread_mutex_lock(&mutex);
  int status = contexts[device].retained > 0 ? CARD_SUCCESS : CARD_INVALID_CONTEXT;
  if (status == CARD_SUCCESS) contexts[device].retained--;
  pthread_mutex_unlock(&mutex);
  return status;
}

int cuCtxSetCurrent(struct card_context *context) {
  int failure = card_enter("cuCtxSetCurrent", CARD_INVALID_CONTEXT);
  if (failure) return failure;
  current = context;
  return CARD_SUCCESS;
}

int cuEventCreate(struct timespec **event, unsigned flags) {
  int failure = card_enter("cuEventCreate", CARD_OUT_OF_MEMORY);
  if (failure || flags > 7) return failure ? failure : CARD_INVALID_VALUE;
  *event = calloc(1, sizeof **event);
  return *event ? CARD_SUCCESS : CARD_OUT_OF_MEMORY;
}

int cuEventDestroy_v2(struct timespec *event) {
  free(event);
  return CARD_SUCCESS;
}

int cuEventRecord(struct timespec *event, void *stream) {
  (void)stream;
  int failure = card_enter("cuEventRecord", CARD_INVALID_HANDLE);
  return failure ? failure : clock_gettime(CLOCK_MONOTONIC, event) == 0 ? 0 : CARD_INVALID_VALUE;
}

int cuEventSynchronize(struct timespec *event) {
  (void)event;
  return card_enter("cuEventSynchronize", CARD_LAUNCH_FAILED);
}

int cuEventElapsedTime(float *milliseconds, struct timespec *start, struct timespec *end) {
  *milliseconds = (float)((double)(end->tv_sec - start->tv_sec) * 1e3 +
                          (double)(end->tv_nsec - start->tv_nsec) * 1e-6);
  return CARD_SUCCESS;
}
