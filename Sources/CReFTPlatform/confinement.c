// SPDX-License-Identifier: Apache-2.0
// A filter that leaves a process of a plugin what computing needs: memory, threads, clocks,
// waiting. What libraries ask without need is refused in silence; everything else fails with EPERM
// and is told: in a worker by its host, which is asked about each such call and cannot be deceived,
// in a process of the checker by a signal handler.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "filter.h"
#include "reft_platform.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define QUIETLY(code) (SECCOMP_RET_ERRNO | (uint32_t)(code))

static uint32_t* refused_number;

// Runs in the thread that made the refused call: notes it and lets the call return -EPERM.
static void note_refusal(int signal_number, siginfo_t* info, void* context) {
  (void)signal_number;
  if (refused_number != NULL) {
    __atomic_store_n(refused_number, (uint32_t)info->si_syscall + 1, __ATOMIC_RELAXED);
  }
  ucontext_t* registers = context;
#if defined(__x86_64__)
  registers->uc_mcontext.gregs[REG_RAX] = -EPERM;
#else
  registers->uc_mcontext.regs[0] = (unsigned long long)-EPERM;
#endif
}

// Calls that are allowed whatever their arguments: they reach nothing but this process.
static const int always[] = {
    // memory
    SYS_mmap,
    SYS_munmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    SYS_mincore,
    SYS_msync,
    SYS_mbind,
    SYS_get_mempolicy,
    SYS_membarrier,
    SYS_pkey_mprotect,
    // what is open already
    SYS_read,
    SYS_readv,
    SYS_pread64,
    SYS_preadv,
    SYS_close,
    SYS_fstat,
    SYS_lseek,
    SYS_fadvise64,
    // threads and their waiting
    SYS_futex,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_rseq,
    SYS_set_tid_address,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_sched_getparam,
    SYS_sched_getscheduler,
    SYS_sched_get_priority_max,
    SYS_sched_get_priority_min,
    SYS_sched_rr_get_interval,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_ppoll,
    SYS_pselect6,
    SYS_restart_syscall,
    SYS_exit,
    SYS_exit_group,
    // signals of its own
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigsuspend,
    SYS_rt_sigtimedwait,
    SYS_rt_sigpending,
    SYS_sigaltstack,
    // clocks and chance
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_gettimeofday,
    SYS_times,
    SYS_getrandom,
    SYS_getcpu,
    // who and where it is
    SYS_getpid,
    SYS_gettid,
    SYS_getppid,
    SYS_getpgid,
    SYS_getsid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getresuid,
    SYS_getresgid,
    SYS_getgroups,
    SYS_getrusage,
    SYS_getpriority,
    SYS_getitimer,
    SYS_sysinfo,
    SYS_uname,
#ifdef SYS_getrlimit
    SYS_getrlimit,
#endif
#ifdef SYS_pause
    SYS_pause,
    SYS_poll,
    SYS_select,
    SYS_getpgrp,
    SYS_time,
#endif
#ifdef SYS_arch_prctl
    SYS_arch_prctl,
#endif
};

// Calls that libraries make without need: refused, and nobody is blamed for them.
static const struct {
  int number, code;
} quiet[] = {
    {SYS_sched_setaffinity, EPERM},
    {SYS_sched_setscheduler, EPERM},
    {SYS_sched_setparam, EPERM},
    {SYS_setpriority, EPERM},
    {SYS_setitimer, EPERM},
#ifdef SYS_alarm
    {SYS_alarm, 0},
#endif
    {SYS_set_mempolicy, EPERM},
    {SYS_umask, EPERM},
    {SYS_mlock, EPERM},
    {SYS_mlock2, EPERM},
    {SYS_munlock, EPERM},
    {SYS_capget, EPERM},
    // The arguments of clone3 are out of a filter's sight: now the C library uses clone.
    {SYS_clone3, ENOSYS},
    // The C library goes on without them.
    {SYS_statx, ENOSYS},
    {SYS_faccessat2, ENOSYS},
};

// Looking at the file system: part of what libraries do when they start.
static const int looking[] = {
    SYS_newfstatat, SYS_readlinkat, SYS_faccessat,  SYS_getcwd,
    SYS_statfs,     SYS_fstatfs,    SYS_getdents64,
#ifdef SYS_stat
    SYS_stat,       SYS_lstat,      SYS_readlink,   SYS_access,
#endif
};

// What the checker does around a plugin: sealed copies in memory, catching what is printed, looking
// for children.
static const int checking[] = {
    SYS_memfd_create, SYS_sendfile, SYS_dup,   SYS_dup3,       SYS_wait4,
#ifdef SYS_dup2
    SYS_dup2,
#endif
    SYS_write,        SYS_writev,   SYS_statx, SYS_faccessat2,
};

static void allow(reft_filter_t* f, const int* numbers, size_t count) {
  for (size_t i = 0; i < count; i++) reft_filter_answer(f, numbers[i], SECCOMP_RET_ALLOW);
}

// What is allowed of prctl: names of threads and of memory, and questions. PR_SET_VMA, from
// Linux 5.17, is how the C library names what malloc maps.
static void write_prctl(reft_filter_t* f) {
  enum { SET_VMA = 0x53564d41, GET_TAGGED_ADDRESSES = 56, SVE_GET_LENGTH = 51 };
  static const uint32_t questions[] = {
      PR_SET_NAME,
      PR_GET_NAME,
      SET_VMA,
      PR_GET_DUMPABLE,
      PR_GET_PDEATHSIG,
      PR_GET_NO_NEW_PRIVS,
      PR_GET_SECCOMP,
      PR_GET_TIMERSLACK,
      PR_SET_TIMERSLACK,
      PR_GET_THP_DISABLE,
      PR_GET_KEEPCAPS,
      PR_CAPBSET_READ,
      PR_GET_SPECULATION_CTRL,
      GET_TAGGED_ADDRESSES,
      SVE_GET_LENGTH,
      PR_GET_TSC,
  };
  reft_filter_values(f, SYS_prctl, 0, questions, COUNT(questions), f->refusal);
}

// Descriptors: what stdio asks of them, and printing to standard output and error. The checker
// copies and seals too.
static void write_descriptors(reft_filter_t* f, int checks) {
  static const uint32_t terminals[] = {0x5401 /* TCGETS */, 0x5413 /* TIOCGWINSZ */};
  reft_filter_values(f, SYS_ioctl, 1, terminals, COUNT(terminals), QUIETLY(ENOTTY));
  static const uint32_t questions[] = {F_GETFD, F_GETFL, F_SETFD, F_DUPFD_CLOEXEC, F_ADD_SEALS};
  reft_filter_values(f, SYS_fcntl, 1, questions, checks ? 5 : 3, QUIETLY(EPERM));
  if (checks) return allow(f, checking, COUNT(checking));
  static const uint32_t outputs[] = {1, 2};
  reft_filter_values(f, SYS_write, 0, outputs, 2, f->refusal);
  reft_filter_values(f, SYS_writev, 0, outputs, 2, f->refusal);
  // How the host gets the other end of this filter; closed before anything else is loaded.
  static const uint32_t socket[] = {REFT_WORKER_SOCKET_FD};
  reft_filter_values(f, SYS_sendmsg, 0, socket, 1, f->refusal);
}

// Threads, not processes; signals to this process alone; asking for limits, not setting them.
static void write_processes(reft_filter_t* f, uint32_t ask) {
  reft_filter_any(f, SYS_clone, 0, CLONE_THREAD, ask, f->refusal);
  const uint32_t self[] = {(uint32_t)getpid()};
  const int signals[] = {SYS_kill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo};
  for (size_t i = 0; i < COUNT(signals); i++) {
    reft_filter_values(f, signals[i], 0, self, 1, f->refusal);
  }
  reft_filter_null(f, SYS_prlimit64, 2, SECCOMP_RET_ALLOW, f->refusal);
}

// Opening for reading, which is bounded to certain files by other means.
static void write_files(reft_filter_t* f, int checks, uint32_t ask) {
  const uint32_t writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | 020000000;
  reft_filter_any(f, SYS_openat, 2, writing, f->refusal, ask);
#ifdef SYS_open
  reft_filter_any(f, SYS_open, 1, writing, f->refusal, ask);
#endif
  if (checks) return allow(f, looking, COUNT(looking));
  // AT_EMPTY_PATH: how the C library asks about what is open.
  reft_filter_any(f, SYS_newfstatat, 3, 0x1000, ask, QUIETLY(EACCES));
  for (size_t i = 0; i < COUNT(looking); i++) {
    reft_filter_answer(f, looking[i], QUIETLY(EACCES));
  }
}

// `checks`: a process of the checker. `ask`: the action for what the host decides.
static void write_filter(reft_filter_t* f, int checks, uint32_t refusal, uint32_t ask) {
  reft_filter_begin(f, refusal);
  // Who takes the handler away from refusals would be killed by the next one.
  if (refusal == SECCOMP_RET_TRAP) {
    reft_filter_protect(f, SYS_rt_sigaction, 0, SIGSYS, 1, QUIETLY(EPERM));
  }
  allow(f, always, COUNT(always));
  write_prctl(f);
  write_descriptors(f, checks);
  write_processes(f, ask);
  write_files(f, checks, ask);
  for (size_t i = 0; i < COUNT(quiet); i++) {
    reft_filter_answer(f, quiet[i].number, QUIETLY(quiet[i].code));
  }
  reft_filter_end(f);
}

static long install(const reft_filter_t* filter, unsigned int flags) {
  if (filter->count > REFT_FILTER_MAXIMUM) {
    errno = E2BIG;
    return -1;
  }
  const struct sock_fprog program = {filter->count, (struct sock_filter*)filter->code};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

int reft_confine_checking(uint32_t* refused) {
  refused_number = refused;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = note_refusal;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  if (sigaction(SIGSYS, &action, NULL) != 0) return -errno;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  reft_filter_t filter;
  write_filter(&filter, 1, SECCOMP_RET_TRAP, SECCOMP_RET_ALLOW);
  return install(&filter, SECCOMP_FILTER_FLAG_TSYNC) == 0 ? 0 : -errno;
}

int reft_confine_worker(int* listener) {
  *listener = -1;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  reft_filter_t filter;
  write_filter(&filter, 0, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_USER_NOTIF);
  const long descriptor =
      install(&filter, SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC |
                           SECCOMP_FILTER_FLAG_TSYNC_ESRCH);
  if (descriptor >= 0) {
    *listener = (int)descriptor;
    return 0;
  }
  // Where somebody else listens already, or the kernel is older than 5.7, nobody is told of
  // refusals.
  if (errno != EBUSY && errno != EINVAL) return -errno;
  write_filter(&filter, 0, QUIETLY(EPERM), SECCOMP_RET_ALLOW);
  return install(&filter, SECCOMP_FILTER_FLAG_TSYNC) == 0 ? 0 : -errno;
}

int reft_confinement_listens(void) {
  const uint32_t action = SECCOMP_RET_USER_NOTIF;
  return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

int reft_confinement_filters(void) {
  const uint32_t action = SECCOMP_RET_TRAP;
  return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}
