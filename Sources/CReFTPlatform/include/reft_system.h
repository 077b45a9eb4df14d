/* SPDX-License-Identifier: Apache-2.0
 * reft_system.h: what loading foreign code needs of the machine and Swift cannot say: sealed memory
 * files, the floating-point control word, signal handlers. */
#ifndef REFT_SYSTEM_H
#define REFT_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

/* Copies `size` bytes of a file into memory that is sealed against every change.
 * Returns a descriptor, or -errno. */
int reft_system_sealed_copy(int source, size_t size, const char *name);

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
reft_signal_table_t *reft_system_signals_save(void);

/* Puts back every signal that differs from the copy and frees it. Returns the set of those signals,
 * bit n - 1 for signal n. */
uint64_t reft_system_signals_restore(reft_signal_table_t *saved);

#endif
