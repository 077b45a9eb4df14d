// SPDX-License-Identifier: Apache-2.0
// From CUDA text to a loaded library: the header of emulation before it, a thunk per kernel behind
// it, clang++ and dlopen. What was compiled once in this process is not compiled again.
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cuda_emulator.h"
#include "fibres.h"
#include "table.h"

#pragma clang diagnostic ignored "-Wc23-extensions"
static const char table_text[] = {
#embed "table.h"
    , 0};
static const char emulation_text[] = {
#embed "emulation.h"
    , 0};

struct reft_emulated_module {
  void *library;
  char *key;
  struct reft_emulated_module *next;
};

static struct reft_emulated_module *modules;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

extern char **environ;

__attribute__((format(printf, 1, 2))) static char *sentence(const char *format, ...) {
  char *text = NULL;
  va_list list;
  va_start(list, format);
  if (vasprintf(&text, format, list) < 0) text = NULL;
  va_end(list);
  return text;
}

static int is_name(int c) {
  return isalnum(c) || c == '_';
}

// The text without comments and with `extern __shared__ T name[];` as a pointer to the block's
// memory.
static char *prepared(const char *source) {
  size_t size = strlen(source);
  char *out = malloc(2 * size + 64), *to = out;
  if (!out) return NULL;
  for (const char *at = source; *at;) {
    if (at[0] == '/' && at[1] == '/') {
      while (*at && *at != '\n') at++;
    } else if (at[0] == '/' && at[1] == '*') {
      const char *end = strstr(at + 2, "*/");
      for (const char *p = at; end && p < end; p++) {
        if (*p == '\n') *to++ = '\n';
      }
      at = end ? end + 2 : at + strlen(at);
    } else if (strncmp(at, "extern __shared__ ", 18) == 0) {
      const char *bracket = strstr(at, "[]"), *name = bracket;
      while (name && name > at && is_name((unsigned char)name[-1])) name--;
      const char *type = at + 18;
      if (strncmp(type, "__align__(", 10) == 0) type = strchr(type, ')') + 1;
      if (!bracket) return NULL;
      to += sprintf(to, "%.*s *%.*s = (%.*s *)emulation->shared()", (int)(name - type), type,
                    (int)(bracket - name), name, (int)(name - type), type);
      at = bracket + 2;
    } else {
      *to++ = *at++;
    }
  }
  *to = 0;
  return out;
}

// Writes a thunk for each kernel whose name follows `__global__ void`.
static void write_thunks(FILE *file, const char *text) {
  char seen[4096] = " ";
  for (const char *at = text; (at = strstr(at, "__global__"));) {
    at += 10;
    const char *open = strchr(at, '(');
    if (open && strstr(at, "__launch_bounds__") && strstr(at, "__launch_bounds__") < open) {
      open = strchr(strchr(open, ')'), '(');
    }
    if (!open) return;
    const char *end = open;
    while (end > at && isspace((unsigned char)end[-1])) end--;
    const char *name = end;
    while (name > at && is_name((unsigned char)name[-1])) name--;
    char word[256];
    snprintf(word, sizeof word, " %.*s ", (int)(end - name), name);
    if (name == end || strstr(seen, word)) continue;
    if (strlen(seen) + strlen(word) < sizeof seen) strcat(seen, word + 1);
    fprintf(file, "extern \"C\" void emulated_%.*s(void **p) { emulation_call(%.*s, p); }\n",
            (int)(end - name), name, (int)(end - name), name);
  }
}

static int write_source(const char *path, const char *source) {
  char *text = prepared(source);
  FILE *file = text ? fopen(path, "w") : NULL;
  if (file) {
    fprintf(file, "%s%s#line 1 \"kernels\"\n%s\n", table_text, emulation_text, text);
    write_thunks(file, text);
  }
  free(text);
  return file && fclose(file) == 0;
}

static char *contents(const char *path) {
  FILE *file = fopen(path, "r");
  char *text = calloc(1, 1 << 16);
  if (file && text) text[fread(text, 1, (1 << 16) - 1, file)] = 0;
  if (file) fclose(file);
  return text;
}

// Runs clang++ with its messages in a file; whether it was content.
static int run_compiler(const char *source, const char *library, const char *messages,
                        const char *const *options, int count) {
  const char *fixed[] = {
      "clang++", "-x",    "c++",       "-std=c++17",      "-O1",       "-w",
      "-shared", "-fPIC", "-nostdinc", "-fno-exceptions", "-fno-rtti", "-ffp-contract=off",
      "-o",      library, source};
  enum { FIXED = sizeof fixed / sizeof *fixed };
  const char **arguments = calloc((size_t)(FIXED + count + 2), sizeof *arguments);
  if (!arguments) return 0;
  memcpy(arguments, fixed, sizeof fixed);
  int n = FIXED;
  for (int i = 0; i < count; i++) {
    if (strncmp(options[i], "-D", 2) == 0) arguments[n++] = options[i];
  }
  arguments[n] = "-lm";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 2, messages, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t child;
  int status = -1;
  int spawned = posix_spawnp(&child, "clang++", &actions, NULL, (char **)arguments, environ);
  if (spawned == 0) {
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
  }
  posix_spawn_file_actions_destroy(&actions);
  free(arguments);
  return spawned == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Compiles in a folder of its own, and loads.
static void *build(const char *source, const char *const *options, int count, char **log) {
  const char *base = getenv("TMPDIR");
  char *folder = sentence("%s/cuda-emulator-XXXXXX", base && *base ? base : "/tmp");
  if (!folder || !mkdtemp(folder)) {
    *log = sentence("no folder for the compiler can be made at '%s'", folder ? folder : "");
    free(folder);
    return NULL;
  }
  char *text = sentence("%s/kernels.cpp", folder), *library = sentence("%s/kernels.so", folder);
  char *messages = sentence("%s/messages", folder);
  void *result = NULL;
  if (!write_source(text, source)) {
    *log = sentence("'%s' cannot be written", text);
  } else if (!run_compiler(text, library, messages, options, count)) {
    char *said = contents(messages);
    *log =
        said && *said ? strdup(said) : sentence("clang++ is not in PATH or failed without a word");
    free(said);
  } else if (!(result = dlopen(library, RTLD_NOW | RTLD_LOCAL))) {
    *log = sentence("%s", dlerror());
  }
  unlink(text), unlink(library), unlink(messages), rmdir(folder);
  free(text), free(library), free(messages), free(folder);
  return result;
}

// The text and the options that count, as one string.
static char *key_of(const char *source, const char *const *options, int count) {
  char *key = strdup("");
  for (int i = 0; i < count && key; i++) {
    if (strncmp(options[i], "-D", 2) != 0) continue;
    char *longer = sentence("%s%s\n", key, options[i]);
    free(key);
    key = longer;
  }
  char *whole = key ? sentence("%s%s", key, source) : NULL;
  free(key);
  return whole;
}

static struct reft_emulated_module *find(const char *key) {
  struct reft_emulated_module *module = modules;
  while (module && strcmp(module->key, key) != 0) module = module->next;
  return module;
}

reft_emulated_module *reft_emulator_compile(const char *source, const char *const *options,
                                            int count, char **log) {
  char *key = key_of(source, options, count);
  *log = NULL;
  pthread_mutex_lock(&mutex);
  struct reft_emulated_module *module = key ? find(key) : NULL;
  pthread_mutex_unlock(&mutex);
  if (module) {
    free(key);
    return module;
  }
  void *library = build(source, options, count, log);
  module = library && key ? calloc(1, sizeof *module) : NULL;
  if (!module) {
    free(key);
    return NULL;
  }
  void (*bind)(const struct emulation_table *) =
      (void (*)(const struct emulation_table *))dlsym(library, "emulation_bind");
  bind(&emulation_functions);
  *module = (struct reft_emulated_module){.library = library, .key = key};
  pthread_mutex_lock(&mutex);
  module->next = modules;
  modules = module;
  pthread_mutex_unlock(&mutex);
  return module;
}

void *reft_emulator_function(reft_emulated_module *module, const char *name) {
  char *symbol = sentence("emulated_%s", name);
  void *function = symbol ? dlsym(module->library, symbol) : NULL;
  free(symbol);
  return function;
}

void reft_emulator_sizes(void *function, unsigned sizes[33]) {
  void *question[2] = {NULL, sizes};
  memset(sizes, 0, 33 * sizeof *sizes);
  ((void (*)(void **))function)(question);
}
