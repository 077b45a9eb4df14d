// SPDX-License-Identifier: Apache-2.0
// The emulated compiler and its machine code, which is the text itself behind its options.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"
#include "cuda_emulator.h"

enum { COMPILATION_FAILED = 6, INVALID_INPUT = 3, OPTIONS = 64 };

static const char magic[] = "emulated machine code 1";

struct program {
  char *source, *log, *image;
  size_t image_bytes;
};

int nvrtcVersion(int *major, int *minor) {
  *major = 12, *minor = 8;
  return 0;
}

const char *nvrtcGetErrorString(int status) {
  return status == 0                    ? "NVRTC_SUCCESS"
         : status == INVALID_INPUT      ? "NVRTC_ERROR_INVALID_INPUT"
         : status == COMPILATION_FAILED ? "NVRTC_ERROR_COMPILATION"
                                        : "NVRTC_ERROR unknown";
}

// Writes a plugin's text, whose name ends in .cu, to the folder of a variable, for who wants to
// compile it for cards.
static void keep_text(const char *name, const char *source) {
  const char *folder = getenv("REFT_EMULATED_CUDA_TEXTS");
  size_t length = strlen(name);
  if (!folder || length < 3 || strcmp(name + length - 3, ".cu") != 0) return;
  unsigned hash = 2166136261u;
  for (const char *at = source; *at; at++) hash = (hash ^ (unsigned char)*at) * 16777619u;
  char path[4096];
  snprintf(path, sizeof path, "%s/%.*s-%08x.cu", folder, (int)length - 3, name, hash);
  FILE *file = fopen(path, "w");
  if (!file) return;
  fputs(source, file);
  fclose(file);
}

int nvrtcCreateProgram(struct program **program, const char *source, const char *name, int headers,
                       const char *const *texts, const char *const *names) {
  (void)texts, (void)names;
  int failure = card_enter("nvrtcCreateProgram", INVALID_INPUT);
  if (failure || headers != 0) return failure ? failure : INVALID_INPUT;
  keep_text(name, source);
  *program = calloc(1, sizeof **program);
  if (*program) (*program)->source = strdup(source);
  return *program && (*program)->source ? 0 : 1;
}

int nvrtcDestroyProgram(struct program **program) {
  free((*program)->source), free((*program)->log), free((*program)->image), free(*program);
  *program = NULL;
  return 0;
}

int nvrtcCompileProgram(struct program *program, int count, const char *const *options) {
  int failure = card_enter("nvrtcCompileProgram", COMPILATION_FAILED);
  if (failure) return failure;
  if (count > OPTIONS || !reft_emulator_compile(program->source, options, count, &program->log)) {
    return COMPILATION_FAILED;
  }
  // The magic, each option, an empty text, the source; a zero byte behind each.
  size_t size = 1 << 12;
  for (int i = 0; i < count; i++) size += strlen(options[i]) + 1;
  program->image = calloc(1, size + strlen(program->source));
  if (!program->image) return 1;
  char *to = stpcpy(program->image, magic) + 1;
  for (int i = 0; i < count; i++) to = stpcpy(to, options[i]) + 1;
  *to++ = 0;
  to = stpcpy(to, program->source) + 1;
  program->image_bytes = (size_t)(to - program->image);
  return 0;
}

int nvrtcGetCUBINSize(struct program *program, size_t *bytes) {
  *bytes = program->image_bytes;
  return 0;
}

int nvrtcGetCUBIN(struct program *program, char *image) {
  memcpy(image, program->image, program->image_bytes);
  return 0;
}

int nvrtcGetProgramLogSize(struct program *program, size_t *bytes) {
  *bytes = program->log ? strlen(program->log) + 1 : 1;
  return 0;
}

int nvrtcGetProgramLog(struct program *program, char *log) {
  strcpy(log, program->log ? program->log : "");
  return 0;
}

int cuModuleLoadData(reft_emulated_module **module, const void *image) {
  int failure = card_enter("cuModuleLoadData", CARD_INVALID_IMAGE);
  if (failure || !card_current()) return failure ? failure : CARD_INVALID_CONTEXT;
  if (strcmp(image, magic) != 0) return CARD_INVALID_IMAGE;
  const char *options[OPTIONS], *at = (const char *)image + sizeof magic;
  int count = 0;
  for (; *at && count < OPTIONS; at += strlen(at) + 1) options[count++] = at;
  char *log = NULL;
  *module = reft_emulator_compile(at + 1, options, count, &log);
  free(log);
  return *module ? CARD_SUCCESS : CARD_INVALID_IMAGE;
}

// What was compiled stays for the next card of this process.
int cuModuleUnload(reft_emulated_module *module) {
  return module ? CARD_SUCCESS : CARD_INVALID_HANDLE;
}

int cuModuleGetFunction(void **function, reft_emulated_module *module, const char *name) {
  int failure = card_enter("cuModuleGetFunction", CARD_NOT_FOUND);
  if (failure) return failure;
  *function = reft_emulator_function(module, name);
  return *function ? CARD_SUCCESS : CARD_NOT_FOUND;
}

int cuFuncSetAttribute(void *function, int attribute, int value) {
  int failure = card_enter("cuFuncSetAttribute", CARD_INVALID_VALUE);
  if (failure) return failure;
  // 8: dynamic shared memory beyond 48 KiB.
  return function && attribute == 8 && value >= 0 && value <= 163 << 10 ? CARD_SUCCESS
                                                                        : CARD_INVALID_VALUE;
}
