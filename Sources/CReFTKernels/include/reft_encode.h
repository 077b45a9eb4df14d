/* SPDX-License-Identifier: Apache-2.0
 * reft_encode.h: float32 numbers in the formats of GGUF files. What a block means is in
 * ref/dequantize_*.c; a scale is rounded first, and the codes are the nearest to it.
 */
#ifndef REFT_ENCODE_H
#define REFT_ENCODE_H
#include <stddef.h>
#include <stdint.h>

/* Encodes `count` finite numbers, a multiple of the format's block, into `out`, at any address. */
typedef void (*reft_encode_fn)(const float* values, void* out, size_t count);

/* The encoder of a GGUF type (its number in the file format), NULL when there is none. */
reft_encode_fn reft_encode_kernel(uint32_t type);

#endif
