/* SPDX-License-Identifier: Apache-2.0
 * What the isolated worker and its host need from Linux and Swift cannot say itself: shared memory,
 * waking one another, spawning a process with exactly the descriptors that it shall have, and
 * giving up rights. Every function returns 0 or a non-negative value on success and -errno on
 * failure.
 */
#ifndef REFT_PLATFORM_H
#define REFT_PLATFORM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>

/* The descriptors of a worker; nothing else is open in it. Sealed copies of the plugin and of what
 * belongs to it begin at REFT_WORKER_FILES_FD, in the order of the host's first message. */
#define REFT_WORKER_MEMORY_FD 3
#define REFT_WORKER_SOCKET_FD 4
#define REFT_WORKER_INPUTS_FD 5
#define REFT_WORKER_FILES_FD 6

/* Commands of the host to its worker. */
#define REFT_COMMAND_HELLO 1u
#define REFT_COMMAND_CREATE 2u
#define REFT_COMMAND_DESTROY 3u
#define REFT_COMMAND_PLAN 4u
#define REFT_COMMAND_INITIALIZE 5u
#define REFT_COMMAND_FORWARD 6u
#define REFT_COMMAND_BACKWARD 7u
#define REFT_COMMAND_CONFINE 8u /* the first one: give up all rights */

/* One request and its answer, at the start of the shared memory; the data of calls follow it.
 * Offsets count from the start of the shared memory, 0 means absent. */
typedef struct reft_channel {
  uint32_t request;   /* the host counts up: there is a command */
  uint32_t reply;     /* the worker sets it to `request`: the command is done */
  uint32_t cancelled; /* the host sets it: the running call should end early */
  uint32_t confinement;
  uint32_t command;
  int32_t failed; /* 1: the message is an error */
  uint32_t instance;
  uint32_t is_training;
  uint64_t memory_bytes; /* the size of the shared memory */
  uint64_t message_bytes;
  int64_t rows;
  uint64_t x, y, dy, dx;
  uint64_t parameters, gradients; /* of the first one; each at the next multiple of 64 */
  uint64_t saved, saved_bytes, scratch_bytes;
  uint64_t example, position, length, location, adapter;
  uint64_t random_key, random_step;
  uint64_t source;
  uint64_t depends_on_sequence; /* of a new instance */
  uint64_t decoded, key;
  uint64_t states, state_index,
      state_bytes; /* each at the next multiple of 64; one index per row */
  int64_t step, total_steps;
  uint64_t dsource, counterpart;
  double auxiliary,
      auxiliary_gradient; /* the sum to be added to; counted where wants_auxiliary is 1 */
  uint64_t wants_auxiliary;
  uint64_t collected, collected_width;
  uint64_t subspace;
  uint64_t reserved[24];
  char message[65536 - 512];
} reft_channel_t;
#define REFT_CHANNEL_REPLY 4
#define REFT_CHANNEL_CANCELLED 8
#define REFT_CHANNEL_MESSAGE 512
_Static_assert(sizeof(reft_channel_t) == 65536, "reft_channel_t");
_Static_assert(offsetof(reft_channel_t, reply) == REFT_CHANNEL_REPLY &&
                   offsetof(reft_channel_t, cancelled) == REFT_CHANNEL_CANCELLED &&
                   offsetof(reft_channel_t, message) == REFT_CHANNEL_MESSAGE,
               "reft_channel_t");

// Makes an anonymous file in memory, closed on exec, that nobody can shorten. Returns its
// descriptor.
int reft_memory_file(const char* name);

// One word that one side sets and the other waits for. Values only grow.
uint32_t reft_word_load(const void* word);
void reft_word_store_and_wake(void* word, uint32_t value);
// Waits until *word differs from `seen`: looks `spins` times, then sleeps in the kernel for at most
// `timeout_us` microseconds. Returns 1 when the word changed and 0 when the time is over.
int reft_word_wait(const void* word, uint32_t seen, uint32_t spins, int64_t timeout_us);

// Starts `path` with the given arguments (NULL-terminated, the first being the program's name) and
// an environment of its own. Standard input is /dev/null, standard output and error go to `output`;
// the worker is in a process group of its own, so that Ctrl-C in a terminal reaches the host alone.
// `descriptors` become 3, 4, 5, ... in the worker; nothing else stays open.
int reft_worker_spawn(const char* path, char* const* arguments, char* const* environment,
                      int output, const int* descriptors, int count, pid_t* out);
// What a worker does first: it dies with its host, leaves no core file and no environment, and a
// closed pipe is an error and no signal. Fails where `host` is not its parent any more.
int reft_worker_begin(pid_t host);
// Empties the environment, in the memory where it was handed over too.
void reft_worker_forget_environment(void);
// A descriptor that becomes readable when the process ends.
int reft_worker_end_descriptor(pid_t pid);
// 1 when the process has ended (status in *status as waitpid gives it), 0 while it runs.
int reft_worker_reap(pid_t pid, int wait, int* status);
// The sense of a waitpid status: kind 0 = exited with *value, 1 = killed by signal *value.
int reft_worker_status(int status, int* value);
int reft_worker_kill(pid_t pid);
// Bounds the address space of another process.
int reft_worker_limit_memory(pid_t pid, uint64_t bytes);
// Bytes of address space that a process has mapped now.
int64_t reft_worker_mapped_bytes(pid_t pid);
// Seconds of processor time that a process has used, or 0.
double reft_worker_processor_seconds(pid_t pid);
// What a process and its threads are bound by, as the kernel says.
typedef struct reft_worker_bounds {
  int threads;
  int unfiltered;     /* threads without a filter of system calls */
  int privileged;     /* threads that could gain rights by running a program */
  int fewest_filters; /* of any thread */
} reft_worker_bounds_t;
int reft_worker_bounds(pid_t pid, reft_worker_bounds_t* out);

/* Confinement; what is what is told in docs/security.md. */

// The version of Landlock that this kernel has; 0: none.
int reft_landlock_version(void);
// From now on this thread and those that it starts can open these files (descriptors) for reading,
// what lies below them where they are folders, and nothing else.
int reft_landlock_read_only(const int* files, int count);

// 1 when this kernel can filter system calls, and when it can ask another process about them.
int reft_confinement_filters(void);
int reft_confinement_listens(void);
// Leaves all threads of this process computing, for good. What is refused fails with EPERM and is
// told to who has the *listener, -1 where nobody can be told.
int reft_confine_worker(int* listener);
// The same for a process of the checker, which may do besides what its rules do around a plugin;
// the number of a refused call + 1 is written to *refused.
int reft_confine_checking(uint32_t* refused);
// The name of a system call, or NULL.
const char* reft_system_call_name(uint32_t number);

// The calls that a host decides about one by one.
static const uint32_t reft_call_clone = SYS_clone;
static const uint32_t reft_call_openat = SYS_openat;
static const uint32_t reft_call_newfstatat = SYS_newfstatat;
#ifdef SYS_open
static const uint32_t reft_call_open = SYS_open;
#else
static const uint32_t reft_call_open = UINT32_MAX;
#endif

// One call that a worker waits with until its host decides.
typedef struct reft_notice {
  uint64_t id;
  uint64_t arguments[6];
  int thread;
  uint32_t number;
} reft_notice_t;
int reft_notice_receive(int listener, reft_notice_t* out);
// Lets the call be made when `error` is 0, or fail with it.
int reft_notice_answer(int listener, const reft_notice_t* notice, int error);
// The text that an argument of the call points to, with its end.
int reft_notice_path(const reft_notice_t* notice, int argument, char* out, size_t size);

// Two connected sockets, and the way of one descriptor through them.
int reft_socket_pair(int ends[2]);
int reft_socket_send(int socket, int descriptor);
int reft_socket_receive(int socket);

#endif
