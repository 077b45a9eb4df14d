/* SPDX-License-Identifier: Apache-2.0
 * reft_probe.h: what the plugin checker needs of the C library and Swift does not import. */
#ifndef REFT_PROBE_H
#define REFT_PROBE_H

#include <stdint.h>

/* Makes a pipe that is closed on exec; ends[0] reads without blocking. Returns 0 or -errno. */
int reft_probe_pipe(int ends[2]);

/* Makes an anonymous file in memory, closed on exec. Returns its descriptor or -errno. */
int reft_probe_memory_file(const char* name);

/* Where the library that holds `symbol` was loaded, or 0. */
uint64_t reft_probe_load_address(const void* symbol);

/* Bytes in use in the heap of the C library. */
uint64_t reft_probe_heap_bytes(void);

/* The kernel ends this process when its parent ends. Returns 0 or -errno. */
int reft_probe_die_with_parent(void);
// Closes every descriptor from `first` on.
void reft_probe_close_from(int first);

#endif
