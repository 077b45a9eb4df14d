/* SPDX-License-Identifier: Apache-2.0
 * Between the two halves of the emulator.
 */
#ifndef CUDA_EMULATOR_FIBRES_H
#define CUDA_EMULATOR_FIBRES_H

/* A kernel's thunk in a compiled text. */
typedef void emulated_kernel(void **params);

extern const struct emulation_table emulation_functions;

#endif
