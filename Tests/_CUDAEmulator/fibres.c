// SPDX-License-Identifier: Apache-2.0
// Runs blocks: each thread of a block is a fibre with a stack of its own, and gives way to the next
// one where it has to wait. One launch at a time per thread of the host.
#define _GNU_SOURCE
#include "fibres.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cuda_emulator.h"
#include "table.h"

enum { LANES = 32, MAX_THREADS = 1024, MAX_SHARED = 232448, STACK = 128 << 10, PAGE = 4096 };

struct fibre {
  void *stack_pointer;
  struct emulation_place place;
  int is_waiting, is_finished;
  unsigned exchanges;
};

struct warp {
  unsigned live, arrived, mask_of[LANES];
  // Two sets: a lane is never more than one exchange ahead of the others.
  unsigned char values[2][LANES][32];
};

struct block {
  struct fibre fibres[MAX_THREADS];
  struct warp warps[MAX_THREADS / LANES];
  unsigned count, live, arrived, current;
  int is_stuck;
  void *main_stack_pointer;
  emulated_kernel *kernel;
  void **params;
  unsigned char *stacks, *shared;
};

static _Thread_local struct block *block;

// Saves the registers that a call keeps and the stack pointer, and goes on with another stack.
__attribute__((naked, noinline)) static void switch_stack(void **save, void *load) {
  __asm__(
      "pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
      "movq %rsp, (%rdi)\n movq %rsi, %rsp\n"
      "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret\n");
}

// Goes on with the next fibre that can run; with the launch when none can.
static void give_way(void) {
  struct block *b = block;
  struct fibre *from = &b->fibres[b->current];
  for (unsigned step = 1; step <= b->count; step++) {
    unsigned at = b->current + step;
    if (at >= b->count) at -= b->count;
    struct fibre *to = &b->fibres[at];
    if (to->is_waiting || to->is_finished) continue;
    b->current = at;
    if (to != from) switch_stack(&from->stack_pointer, to->stack_pointer);
    return;
  }
  b->is_stuck = b->live > 0;
  switch_stack(&from->stack_pointer, b->main_stack_pointer);
}

static void release_block(struct block *b) {
  if (b->arrived < b->live || b->arrived == 0) return;
  b->arrived = 0;
  for (unsigned i = 0; i < b->count; i++) b->fibres[i].is_waiting = 0;
}

// Lets those lanes go on whose whole mask has arrived or ended.
static void release_warp(struct block *b, unsigned index) {
  struct warp *w = &b->warps[index];
  for (unsigned lane = 0; lane < LANES; lane++) {
    unsigned mask = w->mask_of[lane] & w->live;
    if (!(w->arrived >> lane & 1) || (w->arrived & mask) != mask) continue;
    for (unsigned other = 0; other < LANES; other++) {
      if (mask >> other & 1) b->fibres[index * LANES + other].is_waiting = 0;
    }
    w->arrived &= ~mask;
  }
}

static void sync_block(void) {
  struct block *b = block;
  b->fibres[b->current].is_waiting = 1;
  b->arrived++;
  release_block(b);
  if (b->fibres[b->current].is_waiting) give_way();
}

static const unsigned char *exchange(unsigned mask, const void *value, unsigned size) {
  struct block *b = block;
  unsigned index = b->current / LANES, lane = b->current % LANES;
  struct fibre *fibre = &b->fibres[b->current];
  struct warp *w = &b->warps[index];
  unsigned set = fibre->exchanges++ & 1;
  if (size > 0) memcpy(w->values[set][lane], value, size);
  w->mask_of[lane] = mask;
  w->arrived |= 1u << lane;
  fibre->is_waiting = 1;
  if ((w->arrived & mask & w->live) == (mask & w->live)) release_warp(b, index);
  if (fibre->is_waiting) give_way();
  return &w->values[set][0][0];
}

static struct emulation_place *place(void) {
  return &block->fibres[block->current].place;
}

static void *shared(void) {
  return block->shared;
}

const struct emulation_table emulation_functions = {place, shared, sync_block, exchange};

static void run_fibre(void) {
  struct block *b = block;
  b->kernel(b->params);
  unsigned index = b->current / LANES;
  b->fibres[b->current].is_finished = 1;
  b->live--;
  b->warps[index].live &= ~(1u << b->current % LANES);
  release_warp(b, index);
  release_block(b);
  give_way();
  __builtin_trap();
}

// Room for a block of this thread of the host, made once.
static int prepare(void) {
  if (block) return 1;
  struct block *b = calloc(1, sizeof *b);
  if (!b) return 0;
  size_t size = (size_t)MAX_THREADS * STACK;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  b->stacks = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
  b->shared = aligned_alloc(128, MAX_SHARED);
  if (b->stacks == MAP_FAILED || !b->shared) return 0;
  for (size_t i = 0; i < MAX_THREADS; i++) mprotect(b->stacks + i * STACK, PAGE, PROT_NONE);
  block = b;
  return 1;
}

static void start_fibre(struct block *b, unsigned i, const struct emulation_place *place) {
  struct fibre *f = &b->fibres[i];
  void **top = (void **)(void *)(b->stacks + (size_t)(i + 1) * STACK) - 8;
  // Six registers, where to go on, and where that would return to.
  void **frame = top - 8;
  frame[7] = NULL;
  for (int r = 0; r < 6; r++) frame[r] = NULL;
  frame[6] = (void *)run_fibre;
  *f = (struct fibre){.stack_pointer = frame, .place = *place};
  const struct emulation_index size = place->block_size;
  f->place.thread = (struct emulation_index){i % size.x, i / size.x % size.y, i / size.x / size.y};
  b->warps[i / LANES].live |= 1u << i % LANES;
}

static int run_block(struct block *b, const struct emulation_place *place, unsigned shared_bytes) {
  // Whoever reads what nobody wrote shall meet NaN.
  memset(b->shared, 0xff, shared_bytes);
  for (unsigned w = 0; w * LANES < b->count; w++) b->warps[w].live = b->warps[w].arrived = 0;
  for (unsigned i = 0; i < b->count; i++) start_fibre(b, i, place);
  b->live = b->count;
  b->arrived = b->current = 0;
  b->is_stuck = 0;
  switch_stack(&b->main_stack_pointer, b->fibres[0].stack_pointer);
  return b->is_stuck ? REFT_EMULATOR_DEADLOCK : REFT_EMULATOR_OK;
}

int reft_emulator_launch(void *function, const unsigned grid[3], const unsigned size[3],
                         unsigned shared_bytes, void **params) {
  unsigned long long threads = (unsigned long long)size[0] * size[1] * size[2];
  unsigned long long blocks = (unsigned long long)grid[0] * grid[1] * grid[2];
  if (threads == 0 || threads > MAX_THREADS || blocks == 0 || grid[1] > 65535 || grid[2] > 65535 ||
      shared_bytes > MAX_SHARED || !prepare()) {
    return REFT_EMULATOR_BAD_LAUNCH;
  }
  struct block *b = block;
  b->kernel = (emulated_kernel *)function;
  b->params = params;
  b->count = (unsigned)threads;
  struct emulation_place place = {.block_size = {size[0], size[1], size[2]},
                                  .grid_size = {grid[0], grid[1], grid[2]}};
  for (unsigned z = 0; z < grid[2]; z++) {
    for (unsigned y = 0; y < grid[1]; y++) {
      for (unsigned x = 0; x < grid[0]; x++) {
        place.block = (struct emulation_index){x, y, z};
        int status = run_block(b, &place, shared_bytes);
        if (status != REFT_EMULATOR_OK) return status;
      }
    }
  }
  return REFT_EMULATOR_OK;
}
