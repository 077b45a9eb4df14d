// SPDX-License-Identifier: Apache-2.0
// Matrix products of the emulated card, with float sums: plain loops, with the innermost over
// neighbours so that compilers make vectors of them.
#include <stdlib.h>
#include <string.h>

#include "card.h"

enum { OK = 0, ALLOC_FAILED = 3, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_16F = 2, R_16BF = 14 };

struct handle {
  void *stream;
};

int cublasCreate_v2(struct handle **handle) {
  int failure = card_enter("cublasCreate_v2", ALLOC_FAILED);
  if (failure || !card_current()) return failure ? failure : 1;
  *handle = calloc(1, sizeof **handle);
  return *handle ? OK : ALLOC_FAILED;
}

int cublasDestroy_v2(struct handle *handle) {
  free(handle);
  return OK;
}

int cublasSetStream_v2(struct handle *handle, void *stream) {
  handle->stream = stream;
  return card_enter("cublasSetStream_v2", INVALID_VALUE);
}

int cublasSetWorkspace_v2(struct handle *handle, void *workspace, size_t bytes) {
  (void)handle;
  return card_holds((uint64_t)workspace, bytes) ? OK : INVALID_VALUE;
}

int cublasSetMathMode(struct handle *handle, int mode) {
  (void)handle;
  return mode >= 0 ? OK : INVALID_VALUE;
}

int cublasGetProperty(int type, int *value) {
  *value = (int[]){12, 8, 0}[type];
  return OK;
}

const char *cublasGetStatusName(int status) {
  switch (status) {
    case OK:
      return "CUBLAS_STATUS_SUCCESS";
    case ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
      return "CUBLAS_STATUS unknown";
  }
}

const char *cublasGetStatusString(int status) {
  return status == EXECUTION_FAILED ? "the function failed to launch on the GPU"
         : status == OK             ? "success"
                                    : "an invalid parameter or type";
}

static size_t width(int type) {
  return type == R_32F ? 4 : 2;
}

static float widen(const void *base, int type, size_t i) {
  if (type == R_32F) return ((const float *)base)[i];
  if (type == R_16F) return (float)((const _Float16 *)base)[i];
  unsigned bits = (unsigned)((const unsigned short *)base)[i] << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

static void narrow(void *base, int type, size_t i, float value) {
  unsigned bits;
  memcpy(&bits, &value, 4);
  if (type == R_32F)
    ((float *)base)[i] = value;
  else if (type == R_16F)
    ((_Float16 *)base)[i] = (_Float16)value;
  else if (value != value)
    ((unsigned short *)base)[i] = 0x7fff;
  else
    ((unsigned short *)base)[i] = (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// A column-major matrix as packed floats of [columns, rows], transposed where asked.
static float *packed(const void *base, int type, int rows, int columns, int stride,
                     int transposes) {
  float *out = malloc(((size_t)rows * (size_t)columns + 1) * sizeof *out);
  for (size_t j = 0; out && j < (size_t)columns; j++) {
    for (size_t i = 0; i < (size_t)rows; i++) {
      size_t from = transposes ? i * (size_t)stride + j : j * (size_t)stride + i;
      out[j * (size_t)rows + i] = widen(base, type, from);
    }
  }
  return out;
}

// C[:, j] = sum over p of A[:, p] B[p, j]; four columns of A at a time, in a fixed order.
static int run_product(const struct card_work *work) {
  size_t m = (size_t)work->u.product.m, n = (size_t)work->u.product.n;
  size_t k = (size_t)work->u.product.k, ldc = (size_t)work->u.product.ldc;
  int input = work->u.product.input, output = work->u.product.output;
  float *a = packed(work->u.product.a, input, (int)m, (int)k, work->u.product.lda,
                    work->u.product.transposes_a);
  float *b = packed(work->u.product.b, input, (int)k, (int)n, work->u.product.ldb,
                    work->u.product.transposes_b);
  float *sums = malloc((m + 1) * sizeof *sums);
  int status = a && b && sums ? OK : ALLOC_FAILED;
  for (size_t j = 0; j < n && status == OK; j++) {
    const float *x = b + j * k;
    memset(sums, 0, m * sizeof *sums);
    size_t p = 0;
    for (; p + 4 <= k; p += 4) {
      const float *c0 = a + p * m, *c1 = c0 + m, *c2 = c1 + m, *c3 = c2 + m;
      for (size_t i = 0; i < m; i++) {
        sums[i] += (c0[i] * x[p] + c1[i] * x[p + 1]) + (c2[i] * x[p + 2] + c3[i] * x[p + 3]);
      }
    }
    for (; p < k; p++) {
      for (size_t i = 0; i < m; i++) sums[i] += a[p * m + i] * x[p];
    }
    for (size_t i = 0; i < m; i++) {
      float value = work->u.product.alpha * sums[i];
      size_t to = j * ldc + i;
      if (work->u.product.beta != 0) {
        value += work->u.product.beta * widen(work->u.product.c, output, to);
      }
      narrow(work->u.product.c, output, to, value);
    }
  }
  free(a), free(b), free(sums);
  return status;
}

// Whether a column-major matrix lies in one allocation.
static int lies(const void *base, int type, int rows, int columns, int stride) {
  if (rows == 0 || columns == 0) return 1;
  size_t count = (size_t)(columns - 1) * (size_t)stride + (size_t)rows;
  return stride >= rows && card_holds((uint64_t)base, count * width(type));
}

int cublasGemmEx(struct handle *handle, int transposes_a, int transposes_b, int m, int n, int k,
                 const void *alpha, const void *a, int a_type, int lda, const void *b, int b_type,
                 int ldb, const void *beta, void *c, int c_type, int ldc, int compute,
                 int algorithm) {
  int failure = card_enter("cublasGemmEx", EXECUTION_FAILED);
  if (failure) return failure;
  if (!card_current() || m < 0 || n < 0 || k < 0) return INVALID_VALUE;
  // As cuBLAS: one type in, float32 or the same out, sums in float32 (68 and 69).
  if (a_type != b_type || (c_type != R_32F && c_type != a_type) || algorithm != -1 ||
      (compute != 68 && compute != 69)) {
    return NOT_SUPPORTED;
  }
  if (!lies(a, a_type, transposes_a ? k : m, transposes_a ? m : k, lda) ||
      !lies(b, b_type, transposes_b ? n : k, transposes_b ? k : n, ldb) ||
      !lies(c, c_type, m, n, ldc)) {
    return INVALID_VALUE;
  }
  struct card_work work = {.run = run_product};
  work.u.product.transposes_a = transposes_a, work.u.product.transposes_b = transposes_b;
  work.u.product.m = m, work.u.product.n = n, work.u.product.k = k;
  work.u.product.lda = lda, work.u.product.ldb = ldb, work.u.product.ldc = ldc;
  work.u.product.input = a_type, work.u.product.output = c_type;
  work.u.product.alpha = *(const float *)alpha, work.u.product.beta = *(const float *)beta;
  work.u.product.a = a, work.u.product.b = b, work.u.product.c = c;
  return card_do(handle->stream, &work);
}
