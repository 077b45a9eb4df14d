/* SPDX-License-Identifier: Apache-2.0
 * What a test asks of the emulated card beside CUDA's own functions. The card has two numbers: 0 is
 * large (REFT_EMULATED_CUDA_MEMORY bytes, else 8 GiB), 1 has 64 MiB. Both compute on the processor,
 * on the calling thread, when they are asked to.
 */
#ifndef CUDA_EMULATED_CARD_CONTROL_H
#define CUDA_EMULATED_CARD_CONTROL_H

/* How often this thread has called a function of CUDA, by its name in the library. */
long reft_emulated_calls(const char *function);
/* Lets the nth call of a function from now fail on this thread, once. In other processes
 * REFT_EMULATED_CUDA_FAIL="cuLaunchKernel:3" does so on any thread. */
void reft_emulated_fail(const char *function, int nth);

#endif
