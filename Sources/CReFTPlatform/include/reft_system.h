/* SPDX-License-Identifier: Apache-2.0
 * reft_system.h: what loading foreign code needs of the machine and Swift cannot say: sealed memory
 * files, the floating-point control word, signal handlers, and two loops over numbers. */
#ifndef REFT_SYSTEM_H
#define REFT_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

#include "reft_mapped.h"
#include "reft_probe.h"

/* Copies `size` bytes of a file into memory that is sealed against every change.
 * Returns a descriptor, or -errno. */
int reft_system_sealed_copy(int source, size_t size, const char* name);

/* Calls a function with the path of each library that this process was loaded with. */
void reft_system_each_library(void (*body)(const char* path, void* context), void* context);

/* 1 when a path lies in a file system of processes, where it means another place for each. */
int reft_system_is_proc(const char* path);

/* Opens a path as a name alone, not to read it. Returns a descriptor, closed on exec, or -errno. */
int reft_system_open_name(const char* path);

/* Marks the begin and the end of a call into a plugin; the names live as long as the process. */
void reft_foreign_begin(const void* plugin, const void* function);
void reft_foreign_end(void);
/* 0 while no call is under way, else a number that changes with each new one. */
uint32_t reft_foreign_running(void);
/* Keeps the threads of calls that are under way from going on when they come back. */
void reft_foreign_close(void);
/* The plugin of the latest call, and its function. */
const char* reft_foreign_last(const char** function);
/* From now on exit() and quick_exit() call the handler and end the process with status 69, unless
 * they were announced. Returns 0 or -1. */
int reft_foreign_watch_exit(void (*handler)(const char* plugin, const char* function));
void reft_foreign_expect_exit(void);

/* The bits of the floating-point control words of this thread that choose rounding, exceptions and
 * the treatment of tiny numbers; sticky exception flags are left out. */
uint64_t reft_system_fp_control(void);

/* Sets those bits and leaves the sticky flags as they are. */
void reft_system_set_fp_control(uint64_t control);

/* 1 when a control word flushes tiny numbers to zero or reads them as zero. */
int reft_system_fp_flushes(uint64_t control);

/* A copy of what every signal does in this process. */
typedef struct reft_signal_table reft_signal_table_t;

/* Takes a copy; NULL when there is no memory. */
reft_signal_table_t* reft_system_signals_save(void);

/* Puts back every signal that differs from the copy, but for those that code of our own has changed
 * meanwhile, and frees it. Returns the set of those put back, bit n - 1 for signal n. */
uint64_t reft_system_signals_restore(reft_signal_table_t* saved);

/* Lets a signal be ignored, or do what it does by default, for code of our own that may run while a
 * plugin's does. */
void reft_system_own_signal(int number, int is_ignored);

/* Swaps two files or folders in one step. Returns 0 or -errno; -EINVAL or -ENOSYS where the file
 * system cannot. */
int reft_system_exchange(const char* one, const char* other);

/* C = alpha op(A) op(B) + beta C, row-major; op transposes when the flag is not 0. */
void reft_system_gemm(uint32_t transpose_a, uint32_t transpose_b, int64_t m, int64_t n, int64_t k,
                      float alpha, const float* a, int64_t lda, const float* b, int64_t ldb,
                      float beta, float* c, int64_t ldc);

/* 1 when all n numbers are finite. */
int reft_system_all_finite(const float* values, int64_t n);

#endif
