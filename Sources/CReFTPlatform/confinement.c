// SPDX-License-Identifier: Apache-2.0
// A seccomp filter that leaves a process of a plugin what computing needs: memory, threads, clocks,
// waiting, reading files while it loads, and what the checker's rules do besides. Everything else
// fails with EPERM, and the number of the refused call is noted where the host can read it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
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

#include "reft_platform.h"

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#endif

#ifdef MACHINE

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

// Calls that are allowed whatever their arguments.
static const int always[] = {
    SYS_futex,
    SYS_mmap,
    SYS_munmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    SYS_read,
    SYS_pread64,
    SYS_close,
    SYS_fstat,
    SYS_lseek,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_exit,
    SYS_exit_group,
    SYS_getpid,
    SYS_gettid,
    SYS_getppid,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_gettimeofday,
    SYS_getrandom,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_getrusage,
    SYS_sysinfo,
    SYS_uname,
    SYS_restart_syscall,
    SYS_membarrier,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getcpu,
    SYS_mincore,
    SYS_ppoll,
    SYS_pselect6,
    SYS_rt_sigsuspend,
    SYS_rt_sigtimedwait,
    SYS_rt_sigpending,
#ifdef SYS_pause
    SYS_pause,
    SYS_poll,
    SYS_select,
#endif
    SYS_mbind,
    SYS_get_mempolicy,
    SYS_seccomp,
#ifdef SYS_arch_prctl
    SYS_arch_prctl,
#endif
#ifdef SYS_time
    SYS_time,
#endif
};

// What the checker does around a plugin: sealed copies in memory, catching what is printed, looking
// for children.
static const int checking[] = {
    SYS_memfd_create, SYS_sendfile, SYS_dup, SYS_dup3, SYS_wait4,
#ifdef SYS_dup2
    SYS_dup2,
#endif
    SYS_write,        SYS_writev,
};

// Looking at the file system without changing it; only while libraries are being loaded.
static const int reading[] = {
    SYS_newfstatat, SYS_statx,      SYS_readlinkat, SYS_faccessat, SYS_faccessat2,
    SYS_getcwd,     SYS_getdents64, SYS_statfs,     SYS_fstatfs,
#ifdef SYS_stat
    SYS_stat,       SYS_lstat,      SYS_readlink,   SYS_access,
#endif
};

#define ARGUMENT_LOW(i) (offsetof(struct seccomp_data, args) + 8 * (i))
#define ARGUMENT_HIGH(i) (ARGUMENT_LOW(i) + 4)
#define MAXIMUM 384

typedef struct {
  struct sock_filter code[MAXIMUM];
  unsigned short count;
} program_t;

static void emit(program_t* p, unsigned short code, uint32_t k, uint8_t yes, uint8_t no) {
  if (p->count < MAXIMUM) p->code[p->count] = (struct sock_filter){code, yes, no, k};
  p->count++;
}
static void load(program_t* p, uint32_t offset) {
  emit(p, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}
static void answer(program_t* p, uint32_t action) {
  emit(p, BPF_RET | BPF_K, action, 0, 0);
}
static void allow_call(program_t* p, int number) {
  emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1);
  answer(p, SECCOMP_RET_ALLOW);
}
// Begins a block of `length` instructions for one call; the block must end with an answer.
static void begin_call(program_t* p, int number, uint8_t length) {
  emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, length);
}
// Allows a call whose argument is one of two values, refuses it otherwise.
static void allow_values(program_t* p, int number, int argument, uint32_t a, uint32_t b) {
  begin_call(p, number, 5);
  load(p, ARGUMENT_LOW(argument));
  emit(p, BPF_JMP | BPF_JEQ | BPF_K, a, 1, 0);
  emit(p, BPF_JMP | BPF_JEQ | BPF_K, b, 0, 1);
  answer(p, SECCOMP_RET_ALLOW);
  answer(p, SECCOMP_RET_TRAP);
}
// Allows a call whose argument is one of some values, refuses it otherwise.
static void allow_list(program_t* p, int number, int argument, const uint32_t* values, uint8_t n) {
  begin_call(p, number, (uint8_t)(n + 3));
  load(p, ARGUMENT_LOW(argument));
  for (uint8_t i = 0; i < n; i++) {
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, values[i], (uint8_t)(n - i), 0);
  }
  answer(p, SECCOMP_RET_TRAP);
  answer(p, SECCOMP_RET_ALLOW);
}
// Allows a call when none of the bits is set in the argument.
static void allow_without(program_t* p, int number, int argument, uint32_t bits) {
  begin_call(p, number, 4);
  load(p, ARGUMENT_LOW(argument));
  emit(p, BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0);
  answer(p, SECCOMP_RET_ALLOW);
  answer(p, SECCOMP_RET_TRAP);
}

static void write_program(program_t* p, int rights) {
  load(p, offsetof(struct seccomp_data, arch));
  emit(p, BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0);
  answer(p, SECCOMP_RET_KILL_PROCESS);
  load(p, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
  // The x32 table has other numbers for the same calls.
  emit(p, BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1);
  answer(p, SECCOMP_RET_KILL_PROCESS);
#endif
  for (size_t i = 0; i < sizeof always / sizeof *always; i++) allow_call(p, always[i]);
  uint32_t self = (uint32_t)getpid();
  if (rights & REFT_ALLOW_CHECKING) {
    for (size_t i = 0; i < sizeof checking / sizeof *checking; i++) allow_call(p, checking[i]);
  } else {
    // Printing, to what standard output and error already are.
    allow_values(p, SYS_write, 0, 1, 2);
    allow_values(p, SYS_writev, 0, 1, 2);
  }
  // abort() and raise() signal the process itself.
  allow_values(p, SYS_tgkill, 0, self, self);
  allow_values(p, SYS_kill, 0, self, self);
  // Asking for limits, not setting them.
  begin_call(p, SYS_prlimit64, 6);
  load(p, ARGUMENT_LOW(2));
  emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
  load(p, ARGUMENT_HIGH(2));
  emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
  answer(p, SECCOMP_RET_ALLOW);
  answer(p, SECCOMP_RET_TRAP);
  // prctl: names of threads, and the no-new-privileges bit of this function itself.
  allow_values(p, SYS_prctl, 0, PR_SET_NAME, PR_SET_NO_NEW_PRIVS);
  // ioctl TCGETS and fcntl F_GETFD/F_GETFL: what stdio asks of its descriptors. The checker also
  // copies descriptors and seals its copies.
  allow_values(p, SYS_ioctl, 1, 0x5401, 0x5401);
  static const uint32_t questions[] = {F_GETFD, F_GETFL, F_SETFD, F_DUPFD_CLOEXEC, F_ADD_SEALS};
  allow_list(p, SYS_fcntl, 1, questions, rights & REFT_ALLOW_CHECKING ? 5 : 2);
  // Threads, not processes. The arguments of clone3 are out of a filter's sight: "no such call"
  // makes the C library use clone.
  begin_call(p, SYS_clone, 4);
  load(p, ARGUMENT_LOW(0));
  emit(p, BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1);
  answer(p, SECCOMP_RET_ALLOW);
  answer(p, SECCOMP_RET_TRAP);
  begin_call(p, SYS_clone3, 1);
  answer(p, SECCOMP_RET_ERRNO | ENOSYS);
  if (rights & REFT_ALLOW_READING) {
    const uint32_t writing = 01 | 02 | 0100 | 01000 | 02000;  // WRONLY RDWR CREAT TRUNC APPEND
    allow_without(p, SYS_openat, 2, writing | 020000000);     // O_TMPFILE
#ifdef SYS_open
    allow_without(p, SYS_open, 1, writing | 020000000);
#endif
    for (size_t i = 0; i < sizeof reading / sizeof *reading; i++) allow_call(p, reading[i]);
  }
  answer(p, SECCOMP_RET_TRAP);
}

int reft_confinement_available(void) {
  const uint32_t action = SECCOMP_RET_TRAP;
  return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

int reft_confine(int rights, uint32_t* refused) {
  int reached = 0;
  program_t program = {.count = 0};
  write_program(&program, rights);
  if (program.count > MAXIMUM) return -E2BIG;
  refused_number = refused;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = note_refusal;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  if (sigaction(SIGSYS, &action, NULL) != 0) return -errno;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) reached |= REFT_CONFINED_NO_NEW_PRIVILEGES;
  struct sock_fprog filter = {.len = program.count, .filter = program.code};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0) {
    reached |= REFT_CONFINED_SYSCALLS;
  }
  return reached;
}

#else

int reft_confinement_available(void) {
  return 0;
}

int reft_confine(int rights, uint32_t* refused) {
  (void)rights;
  (void)refused;
  return 0;
}

#endif

const char* reft_system_call_name(uint32_t number) {
  static const struct {
    uint32_t number;
    const char* name;
  } names[] = {
      {SYS_socket, "socket"},
      {SYS_connect, "connect"},
      {SYS_execve, "execve"},
      {SYS_execveat, "execveat"},
      {SYS_clone, "clone"},
      {SYS_openat, "openat"},
      {SYS_openat2, "openat2"},
      {SYS_ptrace, "ptrace"},
      {SYS_kill, "kill"},
      {SYS_tgkill, "tgkill"},
      {SYS_unlinkat, "unlinkat"},
      {SYS_mkdirat, "mkdirat"},
      {SYS_write, "write"},
      {SYS_prctl, "prctl"},
      {SYS_prlimit64, "prlimit64"},
      {SYS_io_uring_setup, "io_uring_setup"},
      {SYS_memfd_create, "memfd_create"},
      {SYS_ioctl, "ioctl"},
      {SYS_bpf, "bpf"},
      {SYS_process_vm_readv, "process_vm_readv"},
      {SYS_process_vm_writev, "process_vm_writev"},
#ifdef SYS_fork
      {SYS_fork, "fork"},
      {SYS_vfork, "vfork"},
      {SYS_open, "open"},
      {SYS_unlink, "unlink"},
      {SYS_rename, "rename"},
      {SYS_mkdir, "mkdir"},
      {SYS_pipe, "pipe"},
#endif
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (names[i].number == number) return names[i].name;
  }
  return NULL;
}
