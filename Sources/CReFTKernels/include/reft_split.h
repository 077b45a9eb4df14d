/* SPDX-License-Identifier: Apache-2.0
 * reft_split.h: matrix products of numbers split in two bfloat16 halves, x ~ high + low, for
 * processors with matrix tiles (AMX). a b ~ ah bl + ah bh + al bh, summed in float32: what is lost
 * of a product is at most 2^-15 of it, and what is lost of a sum averages out.
 */
#ifndef REFT_SPLIT_H
#define REFT_SPLIT_H
#include <stddef.h>
#include <stdint.h>

/* Numbers of k that a tile holds. */
#define REFT_SPLIT_RUN 32
/* Rows, or columns, of a tile. */
#define REFT_SPLIT_SIDE 16
/* Bytes of both halves of a tile: 512 high parts, then 512 low parts. A tile of a left matrix holds
 * [row][k], one of a right matrix [k / 2][column][k % 2]. */
#define REFT_SPLIT_TILE 2048

/* 1 when this processor has tiles for bfloat16, the system lets this process use them, and
 * REFT_KERNELS does not name a lesser kind. */
int reft_kernels_use_tiles(void);

/* Splits `count` rows (16 at most; those from `count` on are zero) of `kc` floats, a multiple of
 * 32, into tiles of a left matrix, one for every 32. */
void reft_split_left(size_t kc, size_t count, const float* rows, size_t stride, uint8_t* tiles);
/* Splits the same into tiles of a right matrix whose columns these rows are. */
void reft_split_columns(size_t kc, size_t count, const float* rows, size_t stride, uint8_t* tiles);
/* Splits rows 2 k and 2 k + 1 of a right matrix, `columns` floats each, a multiple of 16. Numbers
 * of each 16 columns go to a panel of their own, `stride` bytes after the one before; `tiles` is
 * where the first panel has row 2 k: 64 bytes for the high parts and 64, 1024 bytes later, for the
 * low. */
void reft_split_pair(size_t columns, const float* even, const float* odd, uint8_t* tiles,
                     size_t stride);
/* Splits the numbers of reft_rows16_values, those of sixteen repacked rows (reft_decode.h), into
 * tiles of a right matrix whose columns these rows are: one tile for each of the blocks. */
void reft_split_rows16(uint32_t layout, const uint8_t* group, size_t block, size_t count,
                       uint8_t* tiles);
/* What one run of keys adds to a row of attention. Scores s of keys `first` to `end` - 1 become
 * weights 2^(scale s - m), those of the others up to `width`, a multiple of 32, zero; weights are
 * split into one row of tiles of a left matrix, whose first is at `tiles`. m is the largest of
 * *largest and of all scale s here; it becomes *largest, and *sum becomes factor * *sum + the
 * weights' sum. Returns the factor 2^(*largest - m), by which what was added up before is to be
 * multiplied; *largest is -INFINITY and *sum 0 before the first run. */
float reft_split_weights(size_t width, size_t first, size_t end, float scale, const float* scores,
                         float* largest, float* sum, uint8_t* tiles);
/* C[m, columns] (+)= A[m, 32 runs] B[32 runs, columns]. A lies in groups of 16 rows, `left_stride`
 * bytes apart, B in panels of 16 columns, `right_stride` apart. Tiles are added to C one after the
 * other, so that a row's bits depend on no other row. With `halves` 1 and not 2 only the high parts
 * are multiplied: a third of the work, for products that are rounded by 2^-8. */
void reft_gemm_split(size_t m, size_t columns, size_t runs, const uint8_t* left, size_t left_stride,
                     const uint8_t* right, size_t right_stride, int halves, float* c, size_t ldc,
                     int accumulate);

#endif
