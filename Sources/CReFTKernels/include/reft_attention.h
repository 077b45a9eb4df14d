/* SPDX-License-Identifier: Apache-2.0
 * reft_attention.h: the cached keys and values of one head, and attention of one row over them.
 */
#ifndef REFT_ATTENTION_H
#define REFT_ATTENTION_H
#include <stddef.h>
#include <stdint.h>

/* How numbers are cached. FLOAT16 rounds to nearest; what is too large for it becomes infinite.
 * INT8 rounds to eight bits: 32 neighbouring numbers of a key share a float16 scale, the numbers of
 * a value a float32 one. */
#define REFT_CACHE_FLOAT32 0u
#define REFT_CACHE_FLOAT16 1u
#define REFT_CACHE_INT8 2u

/* Keys are cached in panels of 64, so that scores of neighbouring keys are neighbours in a
 * register: keys[((k / 64) * head_size + j) * 64 + k % 64] is number j of key k. Values are rows:
 * values[k * head_size + j]. Memory of both is a whole number of panels.
 * INT8 keeps both as weights that products of bytes read, in the layout BYTES of reft_decode.h:
 * keys are its rows, padded with zeros to whole blocks of columns; of values, each panel is the
 * matrix [head_size, 64] with scales of one, padded to whole groups of rows, and the scales of its
 * 64 values behind it. */
#define REFT_CACHE_PANEL 64

/* Bytes of one key, and of one value, of one head. */
size_t reft_cache_key_bytes(uint32_t format, size_t head_size);
size_t reft_cache_value_bytes(uint32_t format, size_t head_size);
/* Writes `count` keys and values at the places from `first` on; rows of both are `stride` floats
 * apart. A panel is begun with its first place. */
void reft_cache_store(uint32_t format, size_t head_size, size_t first, size_t count,
                      const float* key, const float* value, size_t stride, void* keys,
                      void* values);
/* The first `count` keys in panels of 16: panels[((k / 16) * head_size + j) * 16 + k % 16]. Places
 * of the last panel behind them hold what the cache holds there. */
void reft_cache_key_panels(uint32_t format, size_t head_size, size_t count, const void* keys,
                           float* panels);
/* The first `count` values, [count, head_size]. */
void reft_cache_value_rows(uint32_t format, size_t head_size, size_t count, const void* values,
                           float* rows);

/* For each of `group` queries, head_size floats apart, over `keys` cached keys and values, of which
 * the first `skip` (fewer than `keys`) are hidden:
 * out[g][0...head_size) = sum_k exp(s_k - m) v_k with s = scale q . k, or cap tanh(that / cap)
 * where cap > 0, and m = max s; then m, then the sum of exponentials; out rows are head_size + 2
 * floats. A query's bits do not depend on the others. Queries and weights meet INT8 as the two
 * digits of reft_decode.h where that is faster. `scratch` has reft_attend_scratch floats. `next`:
 * keys that will be asked for soon, which the processor may begin to read; any readable address. */
size_t reft_attend_scratch(size_t head_size, size_t keys);
void reft_attend(uint32_t format, size_t group, size_t head_size, size_t skip, size_t keys,
                 float scale, float cap, const float* q, const void* k, const void* v,
                 const void* next, float* scratch, float* out);

#endif
