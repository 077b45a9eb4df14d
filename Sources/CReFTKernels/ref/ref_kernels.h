/* SPDX-License-Identifier: Apache-2.0
 * The reference kernels: plain loops, the specification of their optimised twins. */
#ifndef REFT_REF_KERNELS_H
#define REFT_REF_KERNELS_H
#include "reft_decode.h"
#include "reft_kernels.h"
#include "reft_split.h"

void reft_silu_f32_ref(size_t n, const float* gate, float* a);
void reft_swiglu_f32_ref(size_t n, const float* gate, const float* up, float* h);
void reft_swiglu_backward_f32_ref(size_t n, const float* gate, const float* up, const float* dh,
                                  float* dgate, float* dup);
void reft_silu_backward_f32_ref(size_t n, const float* gate, const float* da, float* dgate);
void reft_gelu_f32_ref(size_t n, const float* gate, float* a);
void reft_geglu_f32_ref(size_t n, const float* gate, const float* up, float* h);
void reft_geglu_backward_f32_ref(size_t n, const float* gate, const float* up, const float* dh,
                                 float* dgate, float* dup);
void reft_gelu_backward_f32_ref(size_t n, const float* gate, const float* da, float* dgate);
float reft_exp_sum_f32_ref(size_t n, float shift, float* x);
float reft_softmax_f32_ref(size_t n, size_t padded, float scale, float* s, float* log_sum_exp);
void reft_exp_scores_f32_ref(size_t n, size_t padded, float scale, float lse, float* s);
void reft_softmax_backward_f32_ref(size_t n, size_t padded, float scale, const float* p, float* dp);
void reft_gemm_packed_f32_ref(size_t m, size_t columns, size_t kc, const float* a, size_t lda,
                              const float* packed, size_t panel_stride, float* c, size_t ldc,
                              int accumulate);
void reft_pack_transposed_f32_ref(size_t kc, size_t count, const float* rows, size_t stride,
                                  float* panel);
void reft_transpose_f32_ref(size_t rows, size_t columns, const float* in, size_t stride, float* out,
                            size_t out_stride);
void reft_rmsnorm_f32_ref(size_t n, size_t d, const float* x, size_t x_stride, const float* weight,
                          float epsilon, float* y, size_t y_stride);
void reft_rmsnorm_backward_f32_ref(size_t n, size_t d, const float* x, size_t x_stride,
                                   const float* weight, float epsilon, const float* dy,
                                   size_t dy_stride, float* dx, size_t dx_stride);
void reft_layernorm_f32_ref(size_t n, size_t d, const float* x, size_t x_stride,
                            const float* weight, const float* bias, float epsilon, float* y,
                            size_t y_stride);
void reft_layernorm_backward_f32_ref(size_t n, size_t d, const float* x, size_t x_stride,
                                     const float* weight, float epsilon, const float* dy,
                                     size_t dy_stride, float* dx, size_t dx_stride);
void reft_gelu_erf_f32_ref(size_t n, const float* x, float* a);
void reft_gelu_erf_backward_f32_ref(size_t n, const float* x, const float* da, float* dx);
void reft_softcap_f32_ref(size_t n, float scale, float cap, float* x);
void reft_softcap_backward_f32_ref(size_t n, float scale, float cap, const float* y, float* dx);
void reft_rope_f32_ref(size_t heads, size_t head_size, const float* table, float sign, float* row);
void reft_rope_halves_f32_ref(size_t heads, size_t head_size, const float* table, float sign,
                              float* row);
void reft_axpy_f32_ref(size_t n, float factor, const float* x, float* y);
void reft_scale_f32_ref(size_t n, float factor, float* y);
float reft_dot_f32_ref(size_t n, const float* x, const float* y);
float reft_max_f32_ref(size_t n, const float* x);
size_t reft_select_f32_ref(size_t n, const float* x, float threshold, int32_t* places,
                           float* values);
void reft_add_rows_f32_ref(size_t d, size_t count, const int32_t* places, const float* values,
                           const float* rows, size_t stride, float* y);
void reft_quantize_rows_ref(const float* x, size_t stride, const reft_activations_t* out,
                            size_t first, size_t count);
void reft_rows16_repack_ref(uint32_t type, size_t columns, const void* const rows[16],
                            uint8_t* out);
void reft_rows16_dot_ref(uint32_t layout, const uint8_t* groups, const reft_activations_t* x,
                         size_t rows, float* y, size_t stride);
void reft_rows16_values_ref(uint32_t layout, const uint8_t* group, size_t block, size_t count,
                            float* out);
void reft_plain_rows_dot_ref(const reft_plain_rows_t* weights, size_t n, const float* x,
                             size_t x_stride, float* y, size_t y_stride, int accumulate);
void reft_round_plain_rows_ref(const reft_plain_rows_t* weights, void* out);
void reft_rounded_rows_dot_ref(const void* weights, size_t rows, const reft_activations_t* x,
                               float* y, size_t stride);
void reft_cache_store_ref(uint32_t format, size_t head_size, size_t first, size_t count,
                          const float* key, const float* value, size_t stride, void* keys,
                          void* values);
void reft_cache_store_int8_ref(size_t head_size, size_t first, size_t count, const float* key,
                               const float* value, size_t stride, uint8_t* keys, uint8_t* values);
float reft_cache_key_int8_ref(size_t head_size, const uint8_t* keys, size_t k, size_t j);
float reft_cache_value_int8_ref(size_t head_size, const uint8_t* values, size_t k, size_t j);
void reft_cache_key_panels_ref(uint32_t format, size_t head_size, size_t count, const void* keys,
                               float* panels);
void reft_cache_value_rows_ref(uint32_t format, size_t head_size, size_t count, const void* values,
                               float* rows);
void reft_attend_ref(uint32_t format, size_t group, size_t head_size, size_t skip, size_t keys,
                     float scale, float cap, const float* q, const void* k, const void* v,
                     float* scores, float* out);
void reft_split_left_ref(size_t kc, size_t count, const float* rows, size_t stride, uint8_t* tiles);
void reft_split_columns_ref(size_t kc, size_t count, const float* rows, size_t stride,
                            uint8_t* tiles);
void reft_split_pair_ref(size_t columns, const float* even, const float* odd, uint8_t* tiles,
                         size_t stride);
void reft_split_rows16_ref(uint32_t layout, const uint8_t* group, size_t block, size_t count,
                           uint8_t* tiles);
float reft_split_weights_ref(size_t width, size_t first, size_t end, float scale,
                             const float* scores, float* largest, float* sum, uint8_t* tiles);
void reft_gemm_split_ref(size_t m, size_t columns, size_t runs, const uint8_t* left,
                         size_t left_stride, const uint8_t* right, size_t right_stride, int halves,
                         float* c, size_t ldc, int accumulate);

#endif
