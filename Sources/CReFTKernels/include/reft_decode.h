/* SPDX-License-Identifier: Apache-2.0
 * reft_decode.h: products of weights with rounded rows, few of them or many. Quantised weights are
 * repacked once, sixteen rows interleaved, and activations become one or two int8 digits with a
 * scale for every 32; floating-point weights are read as they lie in the file, by float32
 * activations, or rounded on the way for the many rows of a prompt.
 */
#ifndef REFT_DECODE_H
#define REFT_DECODE_H
#include <stddef.h>
#include <stdint.h>

/* Columns that share a scale. */
#define REFT_DECODE_BLOCK 32

/* Rows of a weight that are interleaved. */
#define REFT_DECODE_ROWS 16

/* How sixteen interleaved rows of 32 columns are stored. d, m: float16 per row.
 *   NIBBLES: d[16] m[16] q[256]    value = d q + m, q in 0...15: 320 bytes
 *   BYTES:   d[16] q[512]          value = d q,     q in -127...127: 544 bytes
 *   FIVES:   as BYTES,             q in -16...15
 *   OFFSET:  d[16] m[16] q[512]    value = d q + m, q in 0...31: 576 bytes
 *   HALVES:  d[16] e[16] q[512]    value = d q for the first 16 columns, e q for the others,
 *                                  q in -32...31: 576 bytes
 *   PAIRS:   d[16] e[16] m[16] n[16] q[256]    value = d q + m, e q + n, q in 0...15: 384 bytes
 * NIBBLES, PAIRS: q[c * 64 + r * 4 + t] holds row r, column 4 c + t in its low and 16 + 4 c + t in
 * its high half. Others: q[c * 64 + r * 4 + t] holds row r, column 4 c + t. */
#define REFT_ROWS16_NIBBLES 1u
#define REFT_ROWS16_BYTES 2u
#define REFT_ROWS16_OFFSET 3u
#define REFT_ROWS16_HALVES 4u
#define REFT_ROWS16_PAIRS 5u
#define REFT_ROWS16_FIVES 6u

/* The layout that a GGUF type (its number in the file format) is repacked to; 0 when there is none.
 */
uint32_t reft_rows16_layout(uint32_t type);
/* Bytes of sixteen rows of 32 columns in a layout. */
size_t reft_rows16_block_bytes(uint32_t layout);
/* Repacks sixteen rows of `columns` (a multiple of the type's block) from the file's format; a NULL
 * row is zeros. Scales are rounded to float16; those of types with blocks of 32 are exact. */
void reft_rows16_repack(uint32_t type, size_t columns, const void* const rows[16], uint8_t* out);

/* The numbers of sixteen repacked rows as floats, columns 32 * block to 32 * (block + count) - 1:
 * out[j * 16 + r] = row r, column 32 * block + j. Of types with blocks of 32 they are the file's.
 */
void reft_rows16_values(uint32_t layout, const uint8_t* group, size_t block, size_t count,
                        float* out);

/* Blocks whose largest magnitude is not above this are rounded to zero. */
#define REFT_DECODE_SMALLEST 1e-30f
/* The largest codes of activations of one digit, and of two. */
#define REFT_DECODE_LEVELS1 127
#define REFT_DECODE_LEVELS2 32512

/* n rows of `columns` as codes with a scale for every 32: x ~ scale[block] * code. A code has
 * `code_bytes`. With one digit q holds the codes, of one byte. With two, code = 255 * high + low:
 * bytes hold for each row its high digits, then its low ones; words the codes, of every four
 * columns 0 and 2 before 1 and 3. reft_activation_code reads any. sum[block] = scale * sum of
 * codes; counts[2 * block + half] = the sum of codes in each half. The scale of a block that holds
 * an infinity or NaN is NaN. */
typedef struct reft_activations {
  size_t n;
  size_t digits;
  size_t code_bytes;
  size_t columns;
  int8_t* q;
  float* scale;
  float* sum;
  int32_t* counts;
} reft_activations_t;

/* Rounds rows first to first + count - 1 of x into the same rows of `out`. */
void reft_quantize_rows(const float* x, size_t stride, const reft_activations_t* out, size_t first,
                        size_t count);

/* The code of a rounded row at a column. */
int32_t reft_activation_code(const reft_activations_t* x, size_t row, size_t column);

/* The bytes of a code of so many digits that reft_rows16_dot takes with the kernels in use. */
size_t reft_rows16_code_bytes(size_t digits);
/* Whether the products of a layout are faster for the many rows of a prompt than float32 products
 * are: where bytes or words are multiplied, and there are no matrix tiles. */
int reft_rows16_serve_prompts(uint32_t layout);

/* y[i * stride + r] = x_i . row r, for all n rows of x and `rows` rows of weights, which lie in
 * groups of sixteen one behind the other. */
void reft_rows16_dot(uint32_t layout, const uint8_t* groups, const reft_activations_t* x,
                     size_t rows, float* y, size_t stride);

/* Rows of floating-point weights, `bytes` apart, as they lie in the file, at any address. */
typedef struct reft_plain_rows {
  uint32_t type;
  const void* data;
  size_t bytes;
  size_t rows;
  size_t columns;
} reft_plain_rows_t;

/* Whether a GGUF type (its number in the file format) is a floating-point one: F32, F16, BF16. */
int reft_is_plain(uint32_t type);
/* y[i * y_stride + r] = x_i . row r for n rows of x, added to y when accumulate != 0. A product has
 * the bits of reft_dot_f32 over the expanded row, whatever n is. */
void reft_plain_rows_dot(const reft_plain_rows_t* weights, size_t n, const float* x,
                         size_t x_stride, float* y, size_t y_stride, int accumulate);

/* The largest code that a floating-point weight is rounded to, with a scale for every 16 columns of
 * a row: sums of 16 products with codes of two digits stay within 32 bits. */
#define REFT_PLAIN_LEVELS 4095
/* Whether products of a type's weights, rounded so, with the many rounded rows of a prompt are
 * faster than float32 products are: halves of 16 bits, where words are multiplied and there are no
 * matrix tiles. */
int reft_plain_rows_serve_prompts(uint32_t type);
/* Bytes of sixteen rows of 32 columns that are rounded so. */
#define REFT_ROUNDED_BLOCK 1280
/* Rounds rows in F16 or BF16, a multiple of 16 of them, of which the columns are a multiple of 32;
 * `out` is aligned to 32 bytes. */
void reft_round_plain_rows(const reft_plain_rows_t* weights, void* out);
/* y[i * stride + r] = x_i . row r for all rows of x, of words, and `rows` rounded ones. */
void reft_rounded_rows_dot(const void* weights, size_t rows, const reft_activations_t* x, float* y,
                           size_t stride);

#endif
