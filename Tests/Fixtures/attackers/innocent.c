// SPDX-License-Identifier: Apache-2.0
// No attacker: what honest plugins and the C library do, for which nobody may be blamed.
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "attacker.h"

static void* thread(void* argument) {
  char name[16];
  prctl(PR_GET_NAME, name);
  pthread_setname_np(pthread_self(), "innocent");
  pthread_getname_np(pthread_self(), name, sizeof name);
  pthread_attr_t attributes;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_destroy(&attributes);
  for (size_t size = 16; size < (64u << 20); size *= 2) free(malloc(size));
  return argument;
}

static void everything(void) {
  printf("printed %d and %f\n", 1, 2.5);
  fflush(stdout);
  fprintf(stderr, "said\n");
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, thread, NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  void* blocks[64];
  for (int i = 0; i < 64; i++) blocks[i] = malloc(1u << (i % 24));
  for (int i = 0; i < 64; i++) free(blocks[i]);
  void* pages = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(pages, 1 << 20, MADV_DONTNEED);
  mlock(pages, 4096);
  munmap(pages, 1 << 20);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  struct tm parts;
  localtime_r(&now.tv_sec, &parts);
  const struct timespec rest = {0, 1000};
  nanosleep(&rest, NULL);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  struct rlimit limit;
  getrlimit(RLIMIT_STACK, &limit);
  cpu_set_t processors;
  sched_getaffinity(0, sizeof processors, &processors);
  sched_setaffinity(0, sizeof processors, &processors);
  sysconf(_SC_NPROCESSORS_ONLN);
  sysconf(_SC_PHYS_PAGES);
  setlocale(LC_ALL, "");
  isatty(1);
  getenv("HOME");
  char folder[256];
  if (getcwd(folder, sizeof folder) != NULL) got_through("getcwd");
  access("/etc/localtime", R_OK);
  struct stat status;
  fstat(1, &status);
}

static void at_load(void) {
  everything();
}
static void in_call(void) {
  everything();
}
