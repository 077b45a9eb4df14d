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
#include <sys/types.h>

/* The descriptors of a worker; nothing else is open in it. */
#define REFT_WORKER_MEMORY_FD 3
#define REFT_WORKER_LIFE_FD 4
#define REFT_WORKER_PLUGIN_FD 5
#define REFT_WORKER_LIBRARY_FD 6

/* Commands of the host to its worker. */
#define REFT_COMMAND_HELLO 1u
#define REFT_COMMAND_CREATE 2u
#define REFT_COMMAND_DESTROY 3u
#define REFT_COMMAND_PLAN 4u
#define REFT_COMMAND_INITIALIZE 5u
#define REFT_COMMAND_FORWARD 6u
#define REFT_COMMAND_BACKWARD 7u

/* One request and its answer, at the start of the shared memory; the data of calls follow it.
 * Offsets count from the start of the shared memory, 0 means absent. */
typedef struct reft_channel {
  uint32_t request; /* the host counts up: there is a command */
  uint32_t reply;   /* the worker sets it to `request`: the command is done */
  uint32_t refused; /* 1 + number of the last system call that was refused */
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
  uint64_t reserved[9];
  char message[65536 - 256];
} reft_channel_t;
#define REFT_CHANNEL_REPLY 4
#define REFT_CHANNEL_REFUSED 8
#define REFT_CHANNEL_MESSAGE 256
_Static_assert(sizeof(reft_channel_t) == 65536, "reft_channel_t");
_Static_assert(offsetof(reft_channel_t, reply) == REFT_CHANNEL_REPLY &&
                   offsetof(reft_channel_t, refused) == REFT_CHANNEL_REFUSED &&
                   offsetof(reft_channel_t, message) == REFT_CHANNEL_MESSAGE,
               "reft_channel_t");

// Makes an anonymous file in memory, closed on exec. Returns its descriptor.
int reft_memory_file(const char* name);

// A pipe whose ends are closed on exec.
int reft_pipe(int* read_end, int* write_end);

// One word that one side sets and the other waits for. Values only grow.
uint32_t reft_word_load(const void* word);
void reft_word_store_and_wake(void* word, uint32_t value);
// Waits until *word differs from `seen`: looks `spins` times, then sleeps in the kernel for at most
// `timeout_us` microseconds. Returns 1 when the word changed and 0 when the time is over.
int reft_word_wait(const void* word, uint32_t seen, uint32_t spins, int64_t timeout_us);

// Starts `path` with the given arguments (NULL-terminated, the first being the program's name) and
// an environment of its own. Standard input is /dev/null, standard output goes to standard error;
// the worker is in a process group of its own, so that Ctrl-C in a terminal reaches the host alone.
// `descriptors` become 3, 4, 5, ... in the worker; nothing else stays open.
int reft_worker_spawn(const char* path, char* const* arguments, char* const* environment,
                      const int* descriptors, int count, pid_t* out);
// Leaves no core file when this process dies.
void reft_worker_no_core(void);
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
// Ends this process when the other side of the life pipe is closed. Starts one thread.
int reft_worker_follow_host(int life_fd);

/* What confinement was reached. */
#define REFT_CONFINED_NO_NEW_PRIVILEGES 1
#define REFT_CONFINED_SYSCALLS 2
/* What a confined process may do besides computing. */
#define REFT_ALLOW_READING 1  /* open files for reading, which the dynamic linker needs */
#define REFT_ALLOW_CHECKING 2 /* what the rules of the plugin checker do around a plugin */
// Gives up the right to make network connections, files and processes, for all threads of this
// process and for good. `rights` are bits of REFT_ALLOW_; call again without some of them to give
// up those too. A refused call fails with EPERM in the caller and its number + 1 is written to
// *refused. Returns the bits reached.
int reft_confine(int rights, uint32_t* refused);
// 1 when this kernel can filter system calls, else 0.
int reft_confinement_available(void);
// The name of a system call number that confinement refuses, or NULL.
const char* reft_system_call_name(uint32_t number);

#endif
