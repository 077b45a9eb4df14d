// SPDX-License-Identifier: Apache-2.0
// A warp's products on tensor cores, m16n8k16 of bfloat16 with float sums, the
// loading of their pieces from shared memory, and copies into it that do not
// wait. The emulated forms do the same lane by lane.
//
// Of A (16 × 16) lane l has rows l / 4 and l / 4 + 8, of B (16 × 8) column l /
// 4, of C (16 × 8) the rows of A; and in each of these the neighbours 2 (l %
// 4), 2 (l % 4) + 1, in A and B besides those 8 further.
#include "numbers.cuh"

#ifdef REFT_EMULATED
__device__ inline void emulated_matrices(unsigned (&r)[4], const void *row, bool transposed) {
  int lane = emulation_lane();
  const unsigned char *rows = emulation->exchange(0xffffffffu, &row, sizeof row);
  for (int m = 0; m < 4; m++) {
    unsigned short pair[2];
    for (int j = 0; j < 2; j++) {
      int at = transposed ? lane % 4 * 2 + j : lane / 4,
          column = transposed ? lane / 4 : lane % 4 * 2 + j;
      const unsigned short *from;
      memcpy(&from, rows + 32 * (8 * m + at), sizeof from);
      pair[j] = from[column];
    }
    r[m] = pair[0] | (unsigned)pair[1] << 16;
  }
}

__device__ inline void emulated_mma(float (&c)[4], const unsigned (&a)[4], unsigned b0,
                                    unsigned b1) {
  unsigned mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
  int lane = emulation_lane();
  const unsigned char *all = emulation->exchange(0xffffffffu, mine, sizeof mine);
  auto number = [&](int of_lane, int word, int half) {
    unsigned short bits;
    memcpy(&bits, all + 32 * of_lane + 4 * word + 2 * half, 2);
    return __uint_as_float((unsigned)bits << 16);
  };
  for (int i = 0; i < 4; i++) {
    int row = lane / 4, column = lane % 4 * 2 + i % 2;
    for (int k = 0; k < 16; k++) {
      float x = number(row * 4 + k % 8 / 2, i / 2 + k / 8 * 2, k % 2);
      c[i] += x * number(column * 4 + k % 8 / 2, 4 + k / 8, k % 2);
    }
  }
}

__device__ inline void emulated_mma(int (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  unsigned mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
  int lane = emulation_lane();
  const unsigned char *all = emulation->exchange(0xffffffffu, mine, sizeof mine);
  auto number = [&](int of_lane, int word, int k) {
    return (int)(signed char)all[32 * of_lane + 4 * word + k % 4];
  };
  for (int i = 0; i < 4; i++) {
    int row = lane / 4, column = lane % 4 * 2 + i % 2;
    for (int k = 0; k < 32; k++) {
      int x = number(row * 4 + k % 16 / 4, i / 2 + k / 16 * 2, k);
      c[i] += x * number(column * 4 + k % 16 / 4, 4 + k / 16, k);
    }
  }
}
#else
__device__ __forceinline__ unsigned shared_address(const void *p) {
  return (unsigned)__cvta_generic_to_shared(p);
}
#endif

// Four 8 × 8 matrices; lanes 8m … 8m + 7 name the rows of matrix m, 16 bytes
// each.
__device__ __forceinline__ void load_matrices(unsigned (&r)[4], const void *row) {
#ifdef REFT_EMULATED
  emulated_matrices(r, row, false);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
#endif
}

// The same, each transposed.
__device__ __forceinline__ void load_transposed(unsigned (&r)[4], const void *row) {
#ifdef REFT_EMULATED
  emulated_matrices(r, row, true);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
#endif
}

// c += a b.
__device__ __forceinline__ void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0,
                                             unsigned b1) {
#ifdef REFT_EMULATED
  emulated_mma(c, a, b0, b1);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, "
      "%2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

// The same of signed bytes, m16n8k32 with integer sums: where a lane has two
// neighbours k, there are four.
__device__ __forceinline__ void multiply_add(int (&c)[4], const unsigned (&a)[4], unsigned b0,
                                             unsigned b1) {
#ifdef REFT_EMULATED
  emulated_mma(c, a, b0, b1);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, "
      "%2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

// 16 bytes into shared memory, or zeros; there after `copies_done` and a
// barrier.
__device__ __forceinline__ void copy_later(void *to, const void *from, bool is_there) {
#ifdef REFT_EMULATED
  *(uint4 *)to = is_there ? *(const uint4 *)from : make_uint4(0, 0, 0, 0);
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(shared_address(to)), "l"(from), "r"(is_there ? 16 : 0)
               : "memory");
#endif
}

// Ends a group of copies.
__device__ __forceinline__ void copies_end() {
#ifndef REFT_EMULATED
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most `later` groups of this thread's copies are under way.
template <int later>
__device__ __forceinline__ void copies_done() {
#ifndef REFT_EMULATED
  asm volatile("cp.async.wait_group %0;" ::"n"(later) : "memory");
#endif
}
