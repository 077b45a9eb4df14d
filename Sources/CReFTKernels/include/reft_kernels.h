/* SPDX-License-Identifier: Apache-2.0
 * reft_kernels.h: the engine's C kernels. Each has a plain reference in ref/, which is its
 * specification, and an optimised form in x86/, chosen at run time. Kernels check nothing and
 * allocate nothing; all matrices are row-major float32 and strides count elements.
 */
#ifndef REFT_KERNELS_H
#define REFT_KERNELS_H
#include <stddef.h>
#include <stdint.h>

/* 1 when this processor has AVX2, FMA and F16C and REFT_KERNELS is not "ref". */
int reft_kernels_use_avx2(void);
/* 1 when, besides, it has AVX-512 VNNI on 256-bit registers and REFT_KERNELS is not "avx2". Matrix
 * products use AVX-512 under the same condition, with the same bits. */
int reft_kernels_use_vnni(void);
/* Switches to the reference kernels (0), to what the processor offers (1), to AVX2 at most (2), or
 * to AVX-512 without matrix tiles (3); for tests. */
void reft_kernels_select(int level);

/* Tells the processor that the caller spins. */
static inline void reft_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/* Tells the processor that numbers will soon be written. */
static inline void reft_expect_writes(const float* at, size_t count) {
  for (size_t i = 0; i < count; i += 16) __builtin_prefetch(at + i, 1);
}

/* At least `count` floats that belong to the calling thread, in a slot from 0 to 7, for reuse; NULL
 * when there is no memory. Contents are undefined. The kernels themselves use REFT_SCRATCH_WORDS.
 */
#define REFT_SCRATCH_WORDS 8
float* reft_thread_scratch(size_t slot, size_t count);
/* Ends the process with a sentence on stderr and status 74, for want of `bytes` of memory in the
 * middle of work that cannot be undone. */
__attribute__((noreturn)) void reft_no_memory(size_t bytes);

/* ---- Matrix products ----
 * B is packed in panels of 16 columns: panel[k * 16 + j] = B[k][j]. */
#define REFT_PANEL 16

/* C[m, 16 * panels] (+)= A[m, kc] B[kc, 16 * panels]; `columns` is how many columns of C exist.
 * Panel p starts at packed + p * panel_stride. Each element is one sum in the order of k from 0,
 * added to C when accumulate != 0, so a row's bits depend on no other row. */
void reft_gemm_packed_f32(size_t m, size_t columns, size_t kc, const float* a, size_t lda,
                          const float* packed, size_t panel_stride, float* c, size_t ldc,
                          int accumulate);
/* Packs 16 rows of `kc` floats as columns of a panel: panel[k * 16 + j] = rows[j * stride + k];
 * rows from `count` on are zero. */
void reft_pack_transposed_f32(size_t kc, size_t count, const float* rows, size_t stride,
                              float* panel);
/* out[j * rows + i] = in[i * stride + j], for i < rows, j < columns, with out_stride between the j.
 */
void reft_transpose_f32(size_t rows, size_t columns, const float* in, size_t stride, float* out,
                        size_t out_stride);

/* ---- Rows ---- */

/* y = x / sqrt(mean(x^2) + epsilon) * weight, for each of n rows of width d (RMSNorm). */
void reft_rmsnorm_f32(size_t n, size_t d, const float* x, size_t x_stride, const float* weight,
                      float epsilon, float* y, size_t y_stride);
/* dx += d loss / d x of the same, given dy. */
void reft_rmsnorm_backward_f32(size_t n, size_t d, const float* x, size_t x_stride,
                               const float* weight, float epsilon, const float* dy,
                               size_t dy_stride, float* dx, size_t dx_stride);
/* y = (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias, for each of n rows (LayerNorm).
 */
void reft_layernorm_f32(size_t n, size_t d, const float* x, size_t x_stride, const float* weight,
                        const float* bias, float epsilon, float* y, size_t y_stride);
/* dx += d loss / d x of the same, given dy. */
void reft_layernorm_backward_f32(size_t n, size_t d, const float* x, size_t x_stride,
                                 const float* weight, float epsilon, const float* dy,
                                 size_t dy_stride, float* dx, size_t dx_stride);
/* Rotates pairs (2i, 2i+1) of each head by position * frequency; table holds cos, sin per pair;
 * sign -1 rotates back. */
void reft_rope_f32(size_t heads, size_t head_size, const float* table, float sign, float* row);
/* The same for pairs (i, head_size / 2 + i). */
void reft_rope_halves_f32(size_t heads, size_t head_size, const float* table, float sign,
                          float* row);
/* a = silu(gate), h = a * up */
void reft_silu_f32(size_t n, const float* gate, float* a);
void reft_swiglu_f32(size_t n, const float* gate, const float* up, float* h);
/* Given dh of h = silu(gate) * up, writes dgate and dup; they may be gate and up themselves. */
void reft_swiglu_backward_f32(size_t n, const float* gate, const float* up, const float* dh,
                              float* dgate, float* dup);
/* dgate = dactivation * silu'(gate) */
void reft_silu_backward_f32(size_t n, const float* gate, const float* da, float* dgate);
/* The same with the tanh form of GELU in place of SiLU. */
void reft_gelu_f32(size_t n, const float* gate, float* a);
void reft_geglu_f32(size_t n, const float* gate, const float* up, float* h);
void reft_geglu_backward_f32(size_t n, const float* gate, const float* up, const float* dh,
                             float* dgate, float* dup);
void reft_gelu_backward_f32(size_t n, const float* gate, const float* da, float* dgate);
/* GELU in its own form, with the error function; a may be x. */
void reft_gelu_erf_f32(size_t n, const float* x, float* a);
/* dx = da * gelu'(x); dx may be x or da. */
void reft_gelu_erf_backward_f32(size_t n, const float* x, const float* da, float* dx);
/* x = cap tanh(scale x / cap) */
void reft_softcap_f32(size_t n, float scale, float cap, float* x);
/* dx *= scale (1 - (y / cap)^2), the derivative of the same where it gave y. */
void reft_softcap_backward_f32(size_t n, float scale, float cap, const float* y, float* dx);
/* s[j] = softmax(s * scale)[j] for j < n, 0 from n to padded; *log_sum_exp is that of s * scale.
 * Returns the sum of exponentials. */
float reft_softmax_f32(size_t n, size_t padded, float scale, float* s, float* log_sum_exp);
/* s[j] = exp(s[j] * scale - lse) for j < n, 0 from n to padded. */
void reft_exp_scores_f32(size_t n, size_t padded, float scale, float lse, float* s);
/* ds[j] = scale * p[j] * (dp[j] - sum_k p[k] dp[k]), in place of dp; entries from n to padded 0. */
void reft_softmax_backward_f32(size_t n, size_t padded, float scale, const float* p, float* dp);
/* The largest of n numbers, n > 0. */
float reft_max_f32(size_t n, const float* x);
/* x[j] = exp(x[j] - shift); returns the sum. */
float reft_exp_sum_f32(size_t n, float shift, float* x);
/* y *= factor */
void reft_scale_f32(size_t n, float factor, float* y);
/* y += factor * x */
void reft_axpy_f32(size_t n, float factor, const float* x, float* y);
float reft_dot_f32(size_t n, const float* x, const float* y);
/* Lists the entries of x that are at least `threshold`, or NaN, in order: their places and values.
 * Both lists have room for n; returns how many entries they got. */
size_t reft_select_f32(size_t n, const float* x, float threshold, int32_t* places, float* values);
/* y += sum_j values[j] * rows[places[j]], d numbers each, added in the order of j. */
void reft_add_rows_f32(size_t d, size_t count, const int32_t* places, const float* values,
                       const float* rows, size_t stride, float* y);

#endif
