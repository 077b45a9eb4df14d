/* SPDX-License-Identifier: Apache-2.0
 * What a compiled text asks of the emulator. Compiled into both sides.
 */
#ifndef CUDA_EMULATION_TABLE_H
#define CUDA_EMULATION_TABLE_H

struct emulation_index {
  unsigned x, y, z;
};

/* Where a thread stands. */
struct emulation_place {
  struct emulation_index thread, block, block_size, grid_size;
};

struct emulation_table {
  /* The running thread's place. */
  struct emulation_place *(*place)(void);
  /* The block's dynamic shared memory. */
  void *(*shared)(void);
  void (*sync_block)(void);
  /* Waits for the lanes of `mask`; returns the values of all 32 lanes, 32 bytes apart, valid until
   * the lane's next exchange. At most 32 bytes each. */
  const unsigned char *(*exchange)(unsigned mask, const void *value, unsigned size);
};

#endif
