// SPDX-License-Identifier: Apache-2.0
// Starting, bounding and ending the worker process.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "reft_platform.h"

int reft_worker_spawn(const char* path, char* const* arguments, char* const* environment,
                      const int* descriptors, int count, pid_t* out) {
  enum { MAXIMUM = 8, FIRST = 3 };
  int copies[MAXIMUM];
  int made = 0, error = count > MAXIMUM ? EINVAL : 0;
  // The sources must not be among the targets, or one dup2 would overwrite the next one's source.
  for (; error == 0 && made < count; made++) {
    copies[made] = fcntl(descriptors[made], F_DUPFD_CLOEXEC, FIRST + MAXIMUM);
    if (copies[made] < 0) {
      error = errno;
      break;
    }
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  if (error == 0) {
    sigset_t none, defaults;
    sigemptyset(&none);
    sigfillset(&defaults);
    sigdelset(&defaults, SIGKILL);
    sigdelset(&defaults, SIGSTOP);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, 2, 1);
    for (int i = 0; i < count; i++) {
      posix_spawn_file_actions_adddup2(&actions, copies[i], FIRST + i);
    }
    posix_spawn_file_actions_addclosefrom_np(&actions, FIRST + count);
    error = posix_spawn(out, path, &actions, &attributes, arguments, environment);
  }
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  for (int i = 0; i < made; i++) close(copies[i]);
  return -error;
}

void reft_worker_no_core(void) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

int reft_worker_reap(pid_t pid, int wait, int* status) {
  for (;;) {
    pid_t ended = waitpid(pid, status, wait ? 0 : WNOHANG);
    if (ended == pid) return 1;
    if (ended == 0) return 0;
    if (errno != EINTR) return -errno;
  }
}

int reft_worker_status(int status, int* value) {
  if (WIFSIGNALED(status)) {
    *value = WTERMSIG(status);
    return 1;
  }
  *value = WEXITSTATUS(status);
  return 0;
}

int reft_worker_kill(pid_t pid) {
  return kill(pid, SIGKILL) == 0 ? 0 : -errno;
}

int reft_worker_limit_memory(pid_t pid, uint64_t bytes) {
  // The hard limit stays, so that the host can raise the soft one when it maps more; the worker
  // itself cannot, its filter refuses the call.
  struct rlimit old, new;
  if (prlimit(pid, RLIMIT_AS, NULL, &old) != 0) return -errno;
  new.rlim_max = old.rlim_max;
  new.rlim_cur = bytes < old.rlim_max ? bytes : old.rlim_max;
  return prlimit(pid, RLIMIT_AS, &new, NULL) == 0 ? 0 : -errno;
}

int64_t reft_worker_mapped_bytes(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
  FILE* file = fopen(path, "re");
  if (file == NULL) return -errno;
  long long pages = 0;
  int read = fscanf(file, "%lld", &pages);
  fclose(file);
  return read == 1 ? pages * sysconf(_SC_PAGESIZE) : -EIO;
}

double reft_worker_processor_seconds(pid_t pid) {
  clockid_t clock;
  struct timespec time;
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void* follow_host(void* argument) {
  int fd = (int)(intptr_t)argument;
  char byte;
  ssize_t count;
  do {
    count = read(fd, &byte, 1);
  } while (count > 0 || (count < 0 && errno == EINTR));
  _exit(0);
}

int reft_worker_follow_host(int life_fd) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  int error = pthread_create(&thread, &attributes, follow_host, (void*)(intptr_t)life_fd);
  pthread_attr_destroy(&attributes);
  return -error;
}
