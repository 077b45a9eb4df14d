// SPDX-License-Identifier: Apache-2.0
// Chooses the kernels of reft_attention.h: reference, AVX2, or AVX-512.
#include "../ref/ref_kernels.h"
#include "../x86/x86_kernels.h"
#include "reft_attention.h"

// Numbers that need no conversion are only moved: the reference does it as well as any.
static int is_half(uint32_t format) {
  return format == REFT_CACHE_FLOAT16 && reft_kernels_use_avx2();
}

static int is_int8(uint32_t format) {
  return format == REFT_CACHE_INT8 && reft_kernels_use_avx2();
}

void reft_cache_store(uint32_t format, size_t head_size, size_t first, size_t count,
                      const float* key, const float* value, size_t stride, void* keys,
                      void* values) {
#if defined(__x86_64__)
  if (is_half(format)) {
    reft_cache_store_f16_avx2(head_size, first, count, key, value, stride, keys, values);
    return;
  }
  if (is_int8(format)) {
    reft_cache_store_int8(head_size, first, count, key, value, stride, keys, values);
    return;
  }
#endif
  reft_cache_store_ref(format, head_size, first, count, key, value, stride, keys, values);
}

void reft_cache_key_panels(uint32_t format, size_t head_size, size_t count, const void* keys,
                           float* panels) {
#if defined(__x86_64__)
  if (is_half(format)) {
    reft_cache_key_panels_f16_avx2(head_size, count, keys, panels);
    return;
  }
  if (is_int8(format)) {
    reft_cache_key_panels_int8(head_size, count, keys, panels);
    return;
  }
#endif
  reft_cache_key_panels_ref(format, head_size, count, keys, panels);
}

void reft_cache_value_rows(uint32_t format, size_t head_size, size_t count, const void* values,
                           float* rows) {
#if defined(__x86_64__)
  if (is_half(format)) {
    reft_cache_value_rows_f16_avx2(head_size, count, values, rows);
    return;
  }
  if (is_int8(format)) {
    reft_cache_value_rows_int8(head_size, count, values, rows);
    return;
  }
#endif
  reft_cache_value_rows_ref(format, head_size, count, values, rows);
}

void reft_attend(uint32_t format, size_t group, size_t head_size, size_t skip, size_t keys,
                 float scale, float cap, const float* q, const void* k, const void* v,
                 const void* next, float* scratch, float* out) {
#if defined(__x86_64__)
  if (is_int8(format)) {
    reft_attend_int8(group, head_size, skip, keys, scale, cap, q, k, v, scratch, out);
    return;
  }
  if (reft_kernels_use_avx2()) {
    int is_wide = reft_kernels_use_vnni();
    void (*attend)(size_t, size_t, size_t, size_t, float, float, const float*, const void*,
                   const void*, const void*, float*, float*) =
        is_half(format) ? (is_wide ? reft_attend_f16_avx512 : reft_attend_f16_avx2)
                        : (is_wide ? reft_attend_f32_avx512 : reft_attend_f32_avx2);
    attend(group, head_size, skip, keys, scale, cap, q, k, v, next, scratch, out);
    return;
  }
#endif
  reft_attend_ref(format, group, head_size, skip, keys, scale, cap, q, k, v, scratch, out);
}
