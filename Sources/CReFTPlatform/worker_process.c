// SPDX-License-Identifier: Apache-2.0
// Starting, bounding and ending the worker process.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "reft_platform.h"

int reft_worker_spawn(const char* path, char* const* arguments, char* const* environment,
                      int output, const int* descriptors, int count, pid_t* out) {
  enum { MAXIMUM = 300, FIRST = 3 };
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
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_adddup2(&actions, output, 2);
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

int reft_worker_begin(pid_t host) {
  const struct rlimit none = {0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return -errno;
  if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) return -errno;
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return -errno;
  // A host that ended before this could not be followed any more.
  return getppid() == host ? 0 : -ESRCH;
}

void reft_worker_forget_environment(void) {
  for (char** entry = environ; entry != NULL && *entry != NULL; entry++) {
    explicit_bzero(*entry, strlen(*entry));
  }
  clearenv();
}

int reft_worker_end_descriptor(pid_t pid) {
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
  const long descriptor = syscall(SYS_pidfd_open, pid, 0);
  return descriptor < 0 ? -errno : (int)descriptor;
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

// The number behind a name in /proc/PID/task/TID/status; 0 where the kernel does not tell it.
static int status_number(const char* text, const char* name) {
  const char* found = strstr(text, name);
  return found == NULL ? 0 : atoi(found + strlen(name));
}

static int count_thread(pid_t pid, const char* thread, reft_worker_bounds_t* out) {
  char path[96], text[8192];
  snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", (int)pid, thread);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return errno == ENOENT ? 0 : -errno;
  const ssize_t count = read(file, text, sizeof text - 1);
  close(file);
  if (count <= 0) return 0;
  text[count] = 0;
  const int filters = status_number(text, "\nSeccomp_filters:");
  out->threads++;
  if (status_number(text, "\nSeccomp:") != 2) out->unfiltered++;
  if (status_number(text, "\nNoNewPrivs:") != 1) out->privileged++;
  if (out->threads == 1 || filters < out->fewest_filters) out->fewest_filters = filters;
  return 0;
}

int reft_worker_bounds(pid_t pid, reft_worker_bounds_t* out) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
  memset(out, 0, sizeof *out);
  DIR* folder = opendir(path);
  if (folder == NULL) return -errno;
  int result = 0;
  for (struct dirent* entry; result == 0 && (entry = readdir(folder)) != NULL;) {
    if (entry->d_name[0] != '.') result = count_thread(pid, entry->d_name, out);
  }
  closedir(folder);
  return result;
}
