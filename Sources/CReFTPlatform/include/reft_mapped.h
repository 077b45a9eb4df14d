/* SPDX-License-Identifier: Apache-2.0
 * reft_mapped.h: files that are mapped into memory and may become shorter meanwhile. The system
 * answers a read past the new end with SIGBUS; here that becomes a sentence and an exit status. */
#ifndef REFT_MAPPED_H
#define REFT_MAPPED_H

#include <stddef.h>

/* Status of a process whose mapped file became shorter: EX_IOERR. */
#define REFT_MAPPED_STATUS 74

/* From now on a fault inside `length` bytes from `start` writes `text` to standard error and ends
 * the process with REFT_MAPPED_STATUS. The text is copied. Returns a number for reft_mapped_forget,
 * or -1 when too many ranges are watched or there is no memory; faults then do as before. */
int reft_mapped_watch(const void* start, size_t length, const char* text);

/* Ends the watch; to be called before the range is unmapped. -1 is allowed. */
void reft_mapped_forget(int number);

#endif
