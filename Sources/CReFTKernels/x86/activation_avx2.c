// SPDX-License-Identifier: Apache-2.0
// SiLU, SwiGLU and softmax with AVX2 and FMA.
#if defined(__x86_64__)
#include "activation_avx2.h"

#include <immintrin.h>
#include <math.h>

#include "x86_kernels.h"

AVX2 void reft_silu_f32_avx2(size_t n, const float* gate, float* a){EIGHT_AT_A_TIME({
  __m256 g = LOAD(gate);
  STORE(a, _mm256_mul_ps(g, sigmoid(g)));
})}

AVX2 void reft_swiglu_f32_avx2(size_t n, const float* gate, const float* up,
                               float* h){EIGHT_AT_A_TIME({
  __m256 g = LOAD(gate);
  STORE(h, _mm256_mul_ps(_mm256_mul_ps(g, sigmoid(g)), LOAD(up)));
})}

AVX2 static inline __m256 silu_slope(__m256 g, __m256 s) {
  __m256 rest = _mm256_mul_ps(s, _mm256_sub_ps(_mm256_set1_ps(1), s));
  return _mm256_fmadd_ps(g, rest, s);
}

AVX2 void reft_swiglu_backward_f32_avx2(size_t n, const float* gate, const float* up,
                                        const float* dh, float* dgate, float* dup){EIGHT_AT_A_TIME({
  __m256 g = LOAD(gate);
  __m256 d = LOAD(dh);
  __m256 s = sigmoid(g);
  __m256 du = _mm256_mul_ps(d, _mm256_mul_ps(g, s));
  __m256 dg = _mm256_mul_ps(_mm256_mul_ps(d, LOAD(up)), silu_slope(g, s));
  STORE(dgate, dg);
  STORE(dup, du);
})}

AVX2 void reft_silu_backward_f32_avx2(size_t n, const float* gate, const float* da,
                                      float* dgate){EIGHT_AT_A_TIME({
  __m256 g = LOAD(gate);
  STORE(dgate, _mm256_mul_ps(LOAD(da), silu_slope(g, sigmoid(g))));
})}

AVX2 static inline float sum_of(__m256 v) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

AVX2 float reft_exp_sum_f32_avx2(size_t n, float shift, float* x) {
  __m256 sum = _mm256_setzero_ps(), c = _mm256_set1_ps(shift);
  EIGHT_AT_A_TIME({
    __m256 e = exp_of(_mm256_sub_ps(LOAD(x), c));
    e = _mm256_and_ps(e, _mm256_castsi256_ps(mask));
    STORE(x, e);
    sum = _mm256_add_ps(sum, e);
  })
  return sum_of(sum);
}

AVX2 float reft_softmax_f32_avx2(size_t n, size_t padded, float scale, float* s,
                                 float* log_sum_exp) {
  float largest = reft_max_f32_avx2(n, s) * scale;
  __m256 sum8 = _mm256_setzero_ps(), f = _mm256_set1_ps(scale), c = _mm256_set1_ps(largest);
  EIGHT_AT_A_TIME({
    __m256 e = exp_of(_mm256_fmsub_ps(LOAD(s), f, c));
    e = _mm256_and_ps(e, _mm256_castsi256_ps(mask));
    STORE(s, e);
    sum8 = _mm256_add_ps(sum8, e);
  })
  float sum = sum_of(sum8);
  __m256 inverse = _mm256_set1_ps(1 / sum);
  EIGHT_AT_A_TIME({ STORE(s, _mm256_mul_ps(LOAD(s), inverse)); })
  for (size_t i = n; i < padded; i++) s[i] = 0;
  *log_sum_exp = largest + logf(sum);
  return sum;
}

AVX2 void reft_exp_scores_f32_avx2(size_t n, size_t padded, float scale, float lse, float* s) {
  __m256 f = _mm256_set1_ps(scale), c = _mm256_set1_ps(lse);
  EIGHT_AT_A_TIME({ STORE(s, exp_of(_mm256_fmsub_ps(LOAD(s), f, c))); })
  for (size_t i = n; i < padded; i++) s[i] = 0;
}

AVX2 void reft_softmax_backward_f32_avx2(size_t n, size_t padded, float scale, const float* p,
                                         float* dp) {
  __m256 dot = _mm256_set1_ps(reft_dot_f32_avx2(n, p, dp)), f = _mm256_set1_ps(scale);
  EIGHT_AT_A_TIME({
    __m256 v = _mm256_sub_ps(LOAD(dp), dot);
    STORE(dp, _mm256_mul_ps(_mm256_mul_ps(LOAD(p), v), f));
  })
  for (size_t i = n; i < padded; i++) dp[i] = 0;
}
#endif
