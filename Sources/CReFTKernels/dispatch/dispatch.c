// SPDX-License-Identifier: Apache-2.0
// Chooses the kernels once: a table that starts from the reference and takes what the processor
// has.
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "../ref/ref_kernels.h"
#include "../x86/x86_kernels.h"

typedef struct kernels {
  void (*gemm_packed)(size_t, size_t, size_t, const float*, size_t, const float*, size_t, float*,
                      size_t, int);
  void (*pack_transposed)(size_t, size_t, const float*, size_t, float*);
  void (*transpose)(size_t, size_t, const float*, size_t, float*, size_t);
  void (*rmsnorm)(size_t, size_t, const float*, size_t, const float*, float, float*, size_t);
  void (*rmsnorm_backward)(size_t, size_t, const float*, size_t, const float*, float, const float*,
                           size_t, float*, size_t);
  void (*layernorm)(size_t, size_t, const float*, size_t, const float*, const float*, float, float*,
                    size_t);
  void (*layernorm_backward)(size_t, size_t, const float*, size_t, const float*, float,
                             const float*, size_t, float*, size_t);
  void (*rope)(size_t, size_t, const float*, float, float*);
  void (*rope_halves)(size_t, size_t, const float*, float, float*);
  void (*silu)(size_t, const float*, float*);
  void (*swiglu)(size_t, const float*, const float*, float*);
  void (*swiglu_backward)(size_t, const float*, const float*, const float*, float*, float*);
  void (*silu_backward)(size_t, const float*, const float*, float*);
  void (*gelu)(size_t, const float*, float*);
  void (*geglu)(size_t, const float*, const float*, float*);
  void (*geglu_backward)(size_t, const float*, const float*, const float*, float*, float*);
  void (*gelu_backward)(size_t, const float*, const float*, float*);
  void (*gelu_erf)(size_t, const float*, float*);
  void (*gelu_erf_backward)(size_t, const float*, const float*, float*);
  void (*softcap)(size_t, float, float, float*);
  void (*softcap_backward)(size_t, float, float, const float*, float*);
  float (*softmax)(size_t, size_t, float, float*, float*);
  void (*exp_scores)(size_t, size_t, float, float, float*);
  void (*softmax_backward)(size_t, size_t, float, const float*, float*);
  float (*max)(size_t, const float*);
  float (*exp_sum)(size_t, float, float*);
  void (*scale)(size_t, float, float*);
  void (*axpy)(size_t, float, const float*, float*);
  float (*dot)(size_t, const float*, const float*);
  size_t (*select)(size_t, const float*, float, int32_t*, float*);
  void (*add_rows)(size_t, size_t, const int32_t*, const float*, const float*, size_t, float*);
} kernels_t;

static const kernels_t reference = {
    .gemm_packed = reft_gemm_packed_f32_ref,
    .pack_transposed = reft_pack_transposed_f32_ref,
    .transpose = reft_transpose_f32_ref,
    .rmsnorm = reft_rmsnorm_f32_ref,
    .rmsnorm_backward = reft_rmsnorm_backward_f32_ref,
    .layernorm = reft_layernorm_f32_ref,
    .layernorm_backward = reft_layernorm_backward_f32_ref,
    .rope = reft_rope_f32_ref,
    .rope_halves = reft_rope_halves_f32_ref,
    .silu = reft_silu_f32_ref,
    .swiglu = reft_swiglu_f32_ref,
    .swiglu_backward = reft_swiglu_backward_f32_ref,
    .silu_backward = reft_silu_backward_f32_ref,
    .gelu = reft_gelu_f32_ref,
    .geglu = reft_geglu_f32_ref,
    .geglu_backward = reft_geglu_backward_f32_ref,
    .gelu_backward = reft_gelu_backward_f32_ref,
    .gelu_erf = reft_gelu_erf_f32_ref,
    .gelu_erf_backward = reft_gelu_erf_backward_f32_ref,
    .softcap = reft_softcap_f32_ref,
    .softcap_backward = reft_softcap_backward_f32_ref,
    .softmax = reft_softmax_f32_ref,
    .exp_scores = reft_exp_scores_f32_ref,
    .softmax_backward = reft_softmax_backward_f32_ref,
    .max = reft_max_f32_ref,
    .exp_sum = reft_exp_sum_f32_ref,
    .scale = reft_scale_f32_ref,
    .axpy = reft_axpy_f32_ref,
    .dot = reft_dot_f32_ref,
    .select = reft_select_f32_ref,
    .add_rows = reft_add_rows_f32_ref,
};

#if defined(__x86_64__)
static const kernels_t avx2 = {
    .gemm_packed = reft_gemm_packed_f32_avx2,
    .pack_transposed = reft_pack_transposed_f32_avx2,
    .transpose = reft_transpose_f32_avx2,
    .rmsnorm = reft_rmsnorm_f32_avx2,
    .rmsnorm_backward = reft_rmsnorm_backward_f32_avx2,
    .layernorm = reft_layernorm_f32_avx2,
    .layernorm_backward = reft_layernorm_backward_f32_avx2,
    .rope = reft_rope_f32_avx2,
    .rope_halves = reft_rope_halves_f32_avx2,
    .silu = reft_silu_f32_avx2,
    .swiglu = reft_swiglu_f32_avx2,
    .swiglu_backward = reft_swiglu_backward_f32_avx2,
    .silu_backward = reft_silu_backward_f32_avx2,
    .gelu = reft_gelu_f32_avx2,
    .geglu = reft_geglu_f32_avx2,
    .geglu_backward = reft_geglu_backward_f32_avx2,
    .gelu_backward = reft_gelu_backward_f32_avx2,
    .gelu_erf = reft_gelu_erf_f32_avx2,
    .gelu_erf_backward = reft_gelu_erf_backward_f32_avx2,
    .softcap = reft_softcap_f32_avx2,
    .softcap_backward = reft_softcap_backward_f32_avx2,
    .softmax = reft_softmax_f32_avx2,
    .exp_scores = reft_exp_scores_f32_avx2,
    .softmax_backward = reft_softmax_backward_f32_avx2,
    .max = reft_max_f32_avx2,
    .exp_sum = reft_exp_sum_f32_avx2,
    .scale = reft_scale_f32_avx2,
    .axpy = reft_axpy_f32_avx2,
    .dot = reft_dot_f32_avx2,
    .select = reft_select_f32_avx2,
    .add_rows = reft_add_rows_f32_avx2,
};
#endif

static const kernels_t* active = &reference;

static int use_vnni = 0;
static int use_avx512 = 0;

static int offered(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
#else
  return 0;
#endif
}

/* Whether tiles may be used where the processor has them, and what asking for them came to: 0 is
 * not yet, 1 yes, -1 no. */
static int wants_tiles = 0;
static atomic_int tiles;

/* Whether the processor has tiles for bfloat16 and bytes and what splits numbers for them, and the
 * system saves tiles when it changes threads; it wants to be asked, once for all threads of the
 * process.
 */
static int has_tiles(void) {
#if defined(__x86_64__) && defined(__linux__)
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24, amx_int8 = 1u << 25;
  unsigned wanted = amx_bf16 | amx_tile | amx_int8;
  if ((d & wanted) != wanted) return 0;
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d)) return 0;
  unsigned avx512_bf16 = 1u << 5;
  if ((a & avx512_bf16) == 0) return 0;
  const long request = 0x1023, tile_data = 18; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
  return syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
  return 0;
#endif
}

int reft_kernels_use_tiles(void) {
  if (!wants_tiles) return 0;
  int known = atomic_load_explicit(&tiles, memory_order_relaxed);
  if (known == 0) {
    known = has_tiles() ? 1 : -1;
    atomic_store_explicit(&tiles, known, memory_order_relaxed);
  }
  return known == 1;
}

void reft_kernels_select(int level) {
  active = &reference;
  use_vnni = use_avx512 = wants_tiles = 0;
#if defined(__x86_64__)
  if (level == 0 || !offered()) return;
  active = &avx2;
  if (level == 2) return;
  use_avx512 = __builtin_cpu_supports("avx512f") != 0;
  use_vnni = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512bw");
  wants_tiles = level == 1 && use_vnni;
#endif
}

__attribute__((constructor)) static void choose(void) {
  const char* wish = getenv("REFT_KERNELS");
  int level = 1;
  if (wish && strcmp(wish, "ref") == 0) level = 0;
  if (wish && strcmp(wish, "avx2") == 0) level = 2;
  if (wish && strcmp(wish, "avx512") == 0) level = 3;
  reft_kernels_select(level);
}

int reft_kernels_use_vnni(void) {
  return use_vnni;
}

int reft_kernels_use_avx2(void) {
  return active != &reference;
}

void reft_gemm_packed_f32(size_t m, size_t columns, size_t kc, const float* a, size_t lda,
                          const float* packed, size_t panel_stride, float* c, size_t ldc,
                          int accumulate) {
#if defined(__x86_64__)
  if (use_avx512) {
    reft_gemm_packed_f32_avx512(m, columns, kc, a, lda, packed, panel_stride, c, ldc, accumulate);
    return;
  }
#endif
  active->gemm_packed(m, columns, kc, a, lda, packed, panel_stride, c, ldc, accumulate);
}

void reft_pack_transposed_f32(size_t kc, size_t count, const float* rows, size_t stride,
                              float* panel) {
  active->pack_transposed(kc, count, rows, stride, panel);
}

void reft_transpose_f32(size_t rows, size_t columns, const float* in, size_t stride, float* out,
                        size_t out_stride) {
  active->transpose(rows, columns, in, stride, out, out_stride);
}

void reft_rmsnorm_f32(size_t n, size_t d, const float* x, size_t x_stride, const float* weight,
                      float epsilon, float* y, size_t y_stride) {
  active->rmsnorm(n, d, x, x_stride, weight, epsilon, y, y_stride);
}

void reft_rmsnorm_backward_f32(size_t n, size_t d, const float* x, size_t x_stride,
                               const float* weight, float epsilon, const float* dy,
                               size_t dy_stride, float* dx, size_t dx_stride) {
  active->rmsnorm_backward(n, d, x, x_stride, weight, epsilon, dy, dy_stride, dx, dx_stride);
}

void reft_layernorm_f32(size_t n, size_t d, const float* x, size_t x_stride, const float* weight,
                        const float* bias, float epsilon, float* y, size_t y_stride) {
  active->layernorm(n, d, x, x_stride, weight, bias, epsilon, y, y_stride);
}

void reft_layernorm_backward_f32(size_t n, size_t d, const float* x, size_t x_stride,
                                 const float* weight, float epsilon, const float* dy,
                                 size_t dy_stride, float* dx, size_t dx_stride) {
  active->layernorm_backward(n, d, x, x_stride, weight, epsilon, dy, dy_stride, dx, dx_stride);
}

void reft_rope_f32(size_t heads, size_t head_size, const float* table, float sign, float* row) {
  active->rope(heads, head_size, table, sign, row);
}

void reft_rope_halves_f32(size_t heads, size_t head_size, const float* table, float sign,
                          float* row) {
  active->rope_halves(heads, head_size, table, sign, row);
}

void reft_gelu_f32(size_t n, const float* gate, float* a) {
  active->gelu(n, gate, a);
}

void reft_geglu_f32(size_t n, const float* gate, const float* up, float* h) {
  active->geglu(n, gate, up, h);
}

void reft_geglu_backward_f32(size_t n, const float* gate, const float* up, const float* dh,
                             float* dgate, float* dup) {
  active->geglu_backward(n, gate, up, dh, dgate, dup);
}

void reft_gelu_backward_f32(size_t n, const float* gate, const float* da, float* dgate) {
  active->gelu_backward(n, gate, da, dgate);
}

void reft_gelu_erf_f32(size_t n, const float* x, float* a) {
  active->gelu_erf(n, x, a);
}

void reft_gelu_erf_backward_f32(size_t n, const float* x, const float* da, float* dx) {
  active->gelu_erf_backward(n, x, da, dx);
}

void reft_softcap_f32(size_t n, float scale, float cap, float* x) {
  active->softcap(n, scale, cap, x);
}

void reft_softcap_backward_f32(size_t n, float scale, float cap, const float* y, float* dx) {
  active->softcap_backward(n, scale, cap, y, dx);
}

void reft_silu_f32(size_t n, const float* gate, float* a) {
  active->silu(n, gate, a);
}

void reft_swiglu_f32(size_t n, const float* gate, const float* up, float* h) {
  active->swiglu(n, gate, up, h);
}

void reft_swiglu_backward_f32(size_t n, const float* gate, const float* up, const float* dh,
                              float* dgate, float* dup) {
  active->swiglu_backward(n, gate, up, dh, dgate, dup);
}

void reft_silu_backward_f32(size_t n, const float* gate, const float* da, float* dgate) {
  active->silu_backward(n, gate, da, dgate);
}

float reft_softmax_f32(size_t n, size_t padded, float scale, float* s, float* log_sum_exp) {
  return active->softmax(n, padded, scale, s, log_sum_exp);
}

void reft_exp_scores_f32(size_t n, size_t padded, float scale, float lse, float* s) {
  active->exp_scores(n, padded, scale, lse, s);
}

void reft_softmax_backward_f32(size_t n, size_t padded, float scale, const float* p, float* dp) {
  active->softmax_backward(n, padded, scale, p, dp);
}

float reft_max_f32(size_t n, const float* x) {
  return active->max(n, x);
}

float reft_exp_sum_f32(size_t n, float shift, float* x) {
  return active->exp_sum(n, shift, x);
}

void reft_axpy_f32(size_t n, float factor, const float* x, float* y) {
  active->axpy(n, factor, x, y);
}

float reft_dot_f32(size_t n, const float* x, const float* y) {
  return active->dot(n, x, y);
}

void reft_scale_f32(size_t n, float factor, float* y) {
  active->scale(n, factor, y);
}

size_t reft_select_f32(size_t n, const float* x, float threshold, int32_t* places, float* values) {
  return active->select(n, x, threshold, places, values);
}

void reft_add_rows_f32(size_t d, size_t count, const int32_t* places, const float* values,
                       const float* rows, size_t stride, float* y) {
  active->add_rows(d, count, places, values, rows, stride, y);
}
