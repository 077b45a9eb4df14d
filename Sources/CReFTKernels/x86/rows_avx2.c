// SPDX-License-Identifier: Apache-2.0
// Normalisation, rotary embedding and sums over rows with AVX2 and FMA.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>

#include "x86_kernels.h"

#define AVX2 __attribute__((target("avx2,fma")))

AVX2 static float sum_of(__m256 v) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

// Four accumulators; the order of the sum depends on n alone.
AVX2 float reft_dot_f32_avx2(size_t n, const float* x, const float* y) {
  __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    s0 = _mm256_fmadd_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i), s0);
    s1 = _mm256_fmadd_ps(_mm256_loadu_ps(x + i + 8), _mm256_loadu_ps(y + i + 8), s1);
    s2 = _mm256_fmadd_ps(_mm256_loadu_ps(x + i + 16), _mm256_loadu_ps(y + i + 16), s2);
    s3 = _mm256_fmadd_ps(_mm256_loadu_ps(x + i + 24), _mm256_loadu_ps(y + i + 24), s3);
  }
  for (; i + 8 <= n; i += 8) {
    s0 = _mm256_fmadd_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i), s0);
  }
  float sum = sum_of(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
  for (; i < n; i++) sum += x[i] * y[i];
  return sum;
}

AVX2 void reft_axpy_f32_avx2(size_t n, float factor, const float* x, float* y) {
  __m256 f = _mm256_set1_ps(factor);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(y + i, _mm256_fmadd_ps(f, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
  }
  for (; i < n; i++) y[i] = fmaf(factor, x[i], y[i]);
}

AVX2 void reft_scale_f32_avx2(size_t n, float factor, float* y) {
  __m256 f = _mm256_set1_ps(factor);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_loadu_ps(y + i), f));
  for (; i < n; i++) y[i] *= factor;
}

AVX2 float reft_max_f32_avx2(size_t n, const float* x) {
  float largest = x[0];
  size_t i = 0;
  if (n >= 8) {
    __m256 m = _mm256_loadu_ps(x);
    if (n >= 32) {
      // One chain alone would wait for itself.
      __m256 others[3];
      for (int c = 0; c < 3; c++) others[c] = _mm256_loadu_ps(x + 8 + 8 * c);
      for (i = 32; i + 32 <= n; i += 32) {
        m = _mm256_max_ps(m, _mm256_loadu_ps(x + i));
        for (int c = 0; c < 3; c++)
          others[c] = _mm256_max_ps(others[c], _mm256_loadu_ps(x + i + 8 + 8 * c));
      }
      m = _mm256_max_ps(_mm256_max_ps(m, others[0]), _mm256_max_ps(others[1], others[2]));
    } else {
      i = 8;
    }
    for (; i + 8 <= n; i += 8) m = _mm256_max_ps(m, _mm256_loadu_ps(x + i));
    float lanes[8];
    _mm256_storeu_ps(lanes, m);
    for (int l = 0; l < 8; l++) largest = lanes[l] > largest ? lanes[l] : largest;
  }
  for (; i < n; i++) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

AVX2 void reft_rmsnorm_f32_avx2(size_t n, size_t d, const float* x, size_t x_stride,
                                const float* weight, float epsilon, float* y, size_t y_stride) {
  for (size_t i = 0; i < n; i++) {
    const float* row = x + i * x_stride;
    float* out = y + i * y_stride;
    float scale = 1 / sqrtf(reft_dot_f32_avx2(d, row, row) / (float)d + epsilon);
    __m256 s = _mm256_set1_ps(scale);
    size_t j = 0;
    for (; j + 8 <= d; j += 8) {
      __m256 v = _mm256_mul_ps(_mm256_loadu_ps(row + j), s);
      _mm256_storeu_ps(out + j, _mm256_mul_ps(v, _mm256_loadu_ps(weight + j)));
    }
    for (; j < d; j++) out[j] = row[j] * scale * weight[j];
  }
}

AVX2 void reft_rmsnorm_backward_f32_avx2(size_t n, size_t d, const float* x, size_t x_stride,
                                         const float* weight, float epsilon, const float* dy,
                                         size_t dy_stride, float* dx, size_t dx_stride) {
  for (size_t i = 0; i < n; i++) {
    const float *row = x + i * x_stride, *g = dy + i * dy_stride;
    float* out = dx + i * dx_stride;
    __m256 p = _mm256_setzero_ps();
    size_t j = 0;
    for (; j + 8 <= d; j += 8) {
      __m256 gw = _mm256_mul_ps(_mm256_loadu_ps(g + j), _mm256_loadu_ps(weight + j));
      p = _mm256_fmadd_ps(gw, _mm256_loadu_ps(row + j), p);
    }
    float product = sum_of(p);
    for (; j < d; j++) product += g[j] * weight[j] * row[j];
    float s = 1 / sqrtf(reft_dot_f32_avx2(d, row, row) / (float)d + epsilon);
    float t = s * s * s * product / (float)d;
    __m256 vs = _mm256_set1_ps(s), vt = _mm256_set1_ps(t);
    for (j = 0; j + 8 <= d; j += 8) {
      __m256 gw = _mm256_mul_ps(_mm256_loadu_ps(g + j), _mm256_loadu_ps(weight + j));
      __m256 v = _mm256_fmadd_ps(vs, gw, _mm256_loadu_ps(out + j));
      _mm256_storeu_ps(out + j, _mm256_fnmadd_ps(vt, _mm256_loadu_ps(row + j), v));
    }
    for (; j < d; j++) out[j] += s * g[j] * weight[j] - t * row[j];
  }
}

AVX2 void reft_rope_f32_avx2(size_t heads, size_t head_size, const float* table, float sign,
                             float* row) {
  __m256 signs = _mm256_set1_ps(sign);
  for (size_t h = 0; h < heads; h++) {
    float* head = row + h * head_size;
    size_t i = 0;
    for (; i + 8 <= head_size; i += 8) {
      __m256 t = _mm256_loadu_ps(table + i), v = _mm256_loadu_ps(head + i);
      __m256 cosine = _mm256_moveldup_ps(t);
      __m256 sine = _mm256_mul_ps(_mm256_movehdup_ps(t), signs);
      __m256 swapped = _mm256_permute_ps(v, 0xb1);
      v = _mm256_addsub_ps(_mm256_mul_ps(v, cosine), _mm256_mul_ps(swapped, sine));
      _mm256_storeu_ps(head + i, v);
    }
    for (; i < head_size; i += 2) {
      float cosine = table[i], sine = sign * table[i + 1];
      float first = head[i], second = head[i + 1];
      head[i] = first * cosine - second * sine;
      head[i + 1] = first * sine + second * cosine;
    }
  }
}

AVX2 void reft_rope_halves_f32_avx2(size_t heads, size_t head_size, const float* table, float sign,
                                    float* row) {
  __m256 signs = _mm256_set1_ps(sign);
  size_t half = head_size / 2;
  for (size_t h = 0; h < heads; h++) {
    float *low = row + h * head_size, *high = low + half;
    size_t i = 0;
    for (; i + 8 <= half; i += 8) {
      __m256 t0 = _mm256_loadu_ps(table + 2 * i), t1 = _mm256_loadu_ps(table + 2 * i + 8);
      __m256 even = _mm256_shuffle_ps(t0, t1, 0x88), odd = _mm256_shuffle_ps(t0, t1, 0xdd);
      __m256 cosine = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(even), 0xd8));
      __m256 sine = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(odd), 0xd8));
      sine = _mm256_mul_ps(sine, signs);
      __m256 first = _mm256_loadu_ps(low + i), second = _mm256_loadu_ps(high + i);
      _mm256_storeu_ps(low + i, _mm256_fmsub_ps(first, cosine, _mm256_mul_ps(second, sine)));
      _mm256_storeu_ps(high + i, _mm256_fmadd_ps(first, sine, _mm256_mul_ps(second, cosine)));
    }
    for (; i < half; i++) {
      float cosine = table[2 * i], sine = sign * table[2 * i + 1];
      float first = low[i], second = high[i];
      low[i] = first * cosine - second * sine;
      high[i] = first * sine + second * cosine;
    }
  }
}
#endif
