/* SPDX-License-Identifier: Apache-2.0
 * cuda_emulator.h: runs the text of CUDA kernels on this processor, for tests. The text is compiled
 * as C++ behind a header of emulation; blocks run one after the other, and the threads of a block
 * are fibres that take turns at barriers and shuffles. Slow, exact about who waits for whom.
 */
#ifndef CUDA_EMULATOR_H
#define CUDA_EMULATOR_H

typedef struct reft_emulated_module reft_emulated_module;

/* Compiles CUDA text with clang++ from PATH. Options are NVRTC's; only -D... counts. Equal text and
 * options are compiled once per process, and modules live as long as it. NULL on failure; *log is
 * then a sentence or the compiler's output, which the caller frees. Any thread. */
reft_emulated_module *reft_emulator_compile(const char *source, const char *const *options,
                                            int count, char **log);
/* The kernel `extern "C" __global__ void name(...)`; NULL if there is none. */
void *reft_emulator_function(reft_emulated_module *module, const char *name);

/* The bytes of each argument of a kernel, up to 32, and a 0 behind the last. */
void reft_emulator_sizes(void *function, unsigned sizes[33]);

/* What a launch may end with. */
enum {
  REFT_EMULATOR_OK = 0,
  /* No threads, more than 1024 a block, or more shared memory than a card has. */
  REFT_EMULATOR_BAD_LAUNCH = 1,
  /* Threads wait for others that never come: a barrier or a shuffle that not all of them reach. */
  REFT_EMULATOR_DEADLOCK = 2,
};

/* Runs all blocks; params are addresses of the arguments, as cuLaunchKernel takes them. */
int reft_emulator_launch(void *function, const unsigned grid[3], const unsigned block[3],
                         unsigned shared_bytes, void **params);

#endif
