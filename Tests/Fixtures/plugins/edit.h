/* SPDX-License-Identifier: Apache-2.0
 * edit.h: the arithmetic of the kit's plugin, y = x + s B^T (m * tanh(A x + b)), and the faults of
 * its forward and backward. A, B are [r, d], b is [r]; m is the dropout mask; tanh(...) is saved.
 */
#ifndef EDIT_H
#define EDIT_H

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "reft_plugin.h"

struct reft_instance {
  const reft_host_t* host;
  int64_t d, r, layer, max_rows;
  float scale, dropout;
  int mode, calls, kept_sign;
  float own[64 * 64];   /* for faults that keep numbers in the instance */
  const float* pointer; /* for a fault that keeps a pointer */
  char name[32];
};

enum { P_A, P_B, P_BIAS, P_COUNT };

static float shared_scale = 1; /* for faults with static state */
static int shared_calls;
static _Thread_local int thread_calls;
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;

void fault_throw(void);

static void set_flush_to_zero(void) {
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#else
  uint64_t word;
  __asm__ volatile("mrs %0, fpcr" : "=r"(word));
  __asm__ volatile("msr fpcr, %0" ::"r"(word | (1u << 24)));
#endif
}

/* Memory that the compiler must not optimise away. */
static void* volatile last_block;

static void* take(size_t size) {
  last_block = malloc(size);
  memset(last_block, 1, size);
  return last_block;
}

static void* idle(void* argument) {
  pause();
  return argument;
}

static float* at(const reft_mat_t* m, int64_t row, int64_t column) {
  int64_t row_stride = FAULTY(IGNORES_ROW_STRIDE) ? m->cols : m->row_stride;
  int64_t col_stride = FAULTY(IGNORES_COL_STRIDE) ? 1 : m->col_stride;
  return (float*)m->data + row * row_stride + column * col_stride;
}

static float masked(const reft_instance_t* self, const reft_args_t* a, int64_t row, int64_t i) {
  if (!(a->flags & REFT_CALL_TRAINING) || self->dropout == 0) return 1;
  float u;
  const int64_t shift = FAULTY(NOISE_BY_INDEX) && a->rows ? 100 * a->rows->example[row] : 0;
  if (FAULTY(OWN_RANDOM))
    u = (float)rand() / (float)RAND_MAX;
  else
    self->host->rng_uniform(self->host->context, a->rng_key, a->rng_step,
                            (uint64_t)((row + shift) * self->r + i), &u, 1);
  return u < self->dropout ? 0 : 1 / (1 - self->dropout);
}

static reft_status_t check(const reft_args_t* a) {
  if (FAULTY(STRICT_ARGS) && a->struct_size != sizeof *a) return REFT_E_INVALID;
  if (FAULTY(NEEDS_ROWS) && a->rows->example[0] < 0) return REFT_E_INVALID;
  if (FAULTY(REFUSES_IGNORABLE_FLAG) && (a->flags & 0xFFF8u)) return REFT_E_INVALID;
  if (!FAULTY(ACCEPTS_MUST_UNDERSTAND) && (a->flags & 0xFFFF0000u)) return REFT_E_UNSUPPORTED;
  return REFT_OK;
}

static void misbehave_in_forward(reft_instance_t* self, const reft_args_t* a) {
  if (FAULTY(HANGS))
    for (volatile int i = 0; i == 0;) {
    }
  if (FAULTY(FLUSH_TO_ZERO_IN_FORWARD)) set_flush_to_zero();
  if (FAULTY(EXITS)) exit(3);
  if (FAULTY(FORKS) && fork() == 0) _exit(0);
  if (FAULTY(ABORTS)) abort();
  if (FAULTY(HOARDS))
    for (char* p;;) {
      if ((p = malloc(1 << 26)) == NULL) abort();
      memset(p, 1, 1 << 26);
    }
#if FAULT_THROWS
  fault_throw();
#endif
  if (FAULTY(THREAD_IN_FORWARD)) {
    pthread_t thread;
    pthread_create(&thread, NULL, idle, NULL);
  }
  if (FAULTY(ALLOCATES)) free(take(64));
  if (FAULTY(LEAKS_IN_CALLS)) take(64);
  if (FAULTY(LOCKS)) {
    pthread_mutex_lock(&shared_lock);
    pthread_mutex_unlock(&shared_lock);
  }
  if (FAULTY(PRINTS) && write(2, "editing\n", 8) < 0) abort();
  if (FAULTY(WRITES_INPUT) && a->x.rows > 0) *(volatile float*)at(&a->x, 0, 0) = 1;
  if (FAULTY(LAYOUT_CHANGES)) self->calls++;
  if (FAULTY(WRONG_AFTER_LONG_CALLS) && a->x.rows > self->calls) self->calls = (int)a->x.rows;
  if (FAULTY(HANGS_ON_INFINITE_PARAMETERS))
    while (isinf(*(volatile const float*)a->params[P_A])) {
    }
}

/* z = m * tanh(A x + b) for one row. */
static void encode(reft_instance_t* self, const reft_args_t* a, int64_t row, float* z) {
  const float *A = a->params[P_A], *b = a->params[P_BIAS];
  for (int64_t i = 0; i < self->r; i++) {
    float sum = b[i];
    for (int64_t j = 0; j < self->d; j++) sum += A[i * self->d + j] * *at(&a->x, row, j);
    if (FAULTY(READS_BEFORE)) sum += 0 * ((volatile float*)A)[-1];
    if (FAULTY(HANGS_ON_NAN))
      while (!(sum <= 60)) sum -= fabsf(sum) / 2;
    if (FAULTY(CRASHES_ON_NAN_BITS) && isnan(sum)) sum = A[(int64_t)1 << 40];
    z[i] = tanhf(sum);
  }
}

static void edit_rows(reft_instance_t* self, const reft_args_t* a, int64_t begin, int64_t end) {
  const float* B = a->params[P_B];
  const int keep = (a->flags & REFT_CALL_TRAINING) != 0;
  const int64_t d = self->d, r = self->r;
  float scale = FAULTY(SHARED_BETWEEN_INSTANCES) ? shared_scale : self->scale;
  if (FAULTY(COUNTS_CALLS)) scale *= 1 + 0.01f * (float)(shared_calls++ % 7);
  if (FAULTY(COUNTS_PER_THREAD)) scale *= 1 + (thread_calls++ > 0 ? 0 : 0.01f);
  float mean = 0;
  if (FAULTY(LIES_ROWWISE))
    for (int64_t n = 0; n < a->x.rows; n++) mean += *at(&a->x, n, 0) / (float)a->x.rows;
  for (int64_t row = begin; row < end; row++) {
    float local[64];
    float* z = keep || FAULTY(NEEDS_SAVED) ? (float*)a->saved + row * r : (float*)a->scratch;
    if (FAULTY(SAVES_IN_INSTANCE) || FAULTY(LIES_REENTRANT)) z = self->own + row % 64 * r;
    if (FAULTY(LIES_REENTRANT)) z = self->own;
    if (FAULTY(ASSUMES_MOST_ROWS) && keep) z += (200 - a->x.rows) * r;
    encode(self, a, row, z);
    if (FAULTY(LIES_REENTRANT)) usleep(50);
    if (FAULTY(USES_DIRTY_SCRATCH)) {
      float* s = a->scratch;
      s[0] = s[0] > 1e30f || s[0] < 1e-30f ? 0 : 1;
    }
    for (int64_t i = 0; i < r; i++) local[i] = z[i] * masked(self, a, row, i);
    float bonus = 0;
    if (FAULTY(USES_DIRTY_SCRATCH)) bonus = 0.01f * ((float*)a->scratch)[0];
    if (FAULTY(DEPENDS_ON_ROW_INDEX)) bonus = 0.01f * (float)(row % 2);
    if (FAULTY(DEPENDS_ON_ALIGNMENT) && (uintptr_t)a->x.data % 64 == 0) bonus = 0.01f;
    if (FAULTY(LIES_IDENTITY)) bonus = 0.01f;
    if (FAULTY(WRONG_AFTER_LONG_CALLS)) bonus = self->calls > 12 ? 1 : 0;
    for (int64_t j = 0; j < d; j++) {
      float sum = bonus + mean;
      for (int64_t i = 0; i < r; i++) sum += B[i * d + j] * local[i];
      if (FAULTY(NAN_ON_ZERO)) sum *= 1 + 1e-9f * (*at(&a->x, row, 0) / fabsf(*at(&a->x, row, 0)));
      if (FAULTY(LIES_IN_PLACE) && j > 0) sum += 0.01f * *at(&a->x, row, j - 1);
      if (FAULTY(SKIPS_LAST_NUMBER) && row == a->x.rows - 1 && j == d - 1) continue;
      *at(&a->y, row, j) = *at(&a->x, row, j) + scale * sum;
    }
    if (FAULTY(WRITES_PADDING) && a->y.row_stride > d * a->y.col_stride && row + 1 < a->x.rows)
      *at(&a->y, row, d) = 0;
    if (FAULTY(WRITES_PAST_ROW) && row == a->x.rows - 1) *at(&a->y, row, d) = 0;
    if (FAULTY(SAVED_TOO_SMALL) && keep && row == a->x.rows - 1) z[r] = 1;
    if (FAULTY(SCRATCH_TOO_SMALL)) ((float*)a->scratch)[2 * r] = 1;
  }
}

typedef struct job {
  reft_instance_t* self;
  const reft_args_t* args;
} job_t;

static float order_memory;

static void edit_piece(void* argument, int64_t begin, int64_t end) {
  job_t* job = argument;
  order_memory = order_memory * 0.5f + (float)begin;
  edit_rows(job->self, job->args, begin, end);
  if (end > begin) *at(&job->args->y, begin, 0) += 1e-3f * order_memory;
}

static reft_status_t forward(reft_instance_t* self, const reft_args_t* a) {
  reft_status_t status = check(a);
  if (status != REFT_OK) return status;
  misbehave_in_forward(self, a);
  if (FAULTY(KEEPS_POINTER)) {
    if (self->pointer) (void)*(volatile const float*)self->pointer;
    self->pointer = a->x.rows > 0 ? a->x.data : NULL;
  }
  if (FAULTY(DEPENDS_ON_ORDER)) {
    job_t job = {self, a};
    order_memory = 0;
    self->host->parallel_for(self->host->context, a->call, a->x.rows, 4, edit_piece, &job);
  } else {
    edit_rows(self, a, 0, a->x.rows);
  }
  return REFT_OK;
}

static void add_gradients(reft_instance_t* self, const reft_args_t* a, int64_t row, const float* z,
                          const float* dz) {
  float *dA = a->dparams[P_A], *dB = a->dparams[P_B], *db = a->dparams[P_BIAS];
  const int64_t d = self->d, r = self->r;
  const float scale = FAULTY(FORGETS_SCALE_IN_BACKWARD) ? 1 : self->scale;
  for (int64_t i = 0; i < r; i++) {
    if (!FAULTY(FORGETS_BIAS_GRADIENT)) db[i] += dz[i];
    float kept = scale * z[i] * masked(self, a, row, i);
    for (int64_t j = 0; j < d; j++) {
      if (FAULTY(FORGETS_LAST_GRADIENT) && i == r - 1 && j == d - 1) continue;
      dA[i * d + j] += dz[i] * *at(&a->x, row, j);
      dB[i * d + j] += kept * *at(&a->dy, row, j) * (FAULTY(ONE_PER_CENT_OFF) ? 1.01f : 1);
    }
  }
  if (FAULTY(GRADIENT_PAST_END)) dA[r * d] += 1;
}

static reft_status_t backward(reft_instance_t* self, const reft_args_t* a) {
  reft_status_t status = check(a);
  if (status != REFT_OK) return status;
  if (FAULTY(TRAPS)) __builtin_trap();
  const float *A = a->params[P_A], *B = a->params[P_B];
  const int64_t d = self->d, r = self->r;
  const float scale = FAULTY(FORGETS_SCALE_IN_BACKWARD) ? 1 : self->scale;
  const int need_dx = (a->flags & REFT_CALL_NEED_DX) || (FAULTY(DX_UNASKED) && a->dx.data);
  const int need_dp =
      (a->flags & REFT_CALL_NEED_DPARAMS) || (FAULTY(DPARAMS_UNASKED) && a->dparams);
  float* dz = (float*)a->scratch + r;
  if (FAULTY(OVERWRITES_GRADIENTS) && need_dp) {
    memset(a->dparams[P_A], 0, (size_t)(r * d) * 4);
    memset(a->dparams[P_B], 0, (size_t)(r * d) * 4);
    memset(a->dparams[P_BIAS], 0, (size_t)r * 4);
  }
  for (int64_t row = 0; row < a->x.rows; row++) {
    const float* z = (const float*)a->saved + row * r;
    if (FAULTY(SAVES_IN_INSTANCE)) z = self->own + row % 64 * r;
    if (FAULTY(LIES_REENTRANT)) {
      encode(self, a, row, self->own);
      z = self->own;
    }
    if (FAULTY(ASSUMES_MOST_ROWS)) z += (200 - a->x.rows) * r;
    for (int64_t i = 0; i < r; i++) {
      float sum = 0;
      for (int64_t j = 0; j < d; j++) {
        float slope = *at(&a->dy, row, j);
        if (FAULTY(CLIPS_BACKWARD)) slope = slope > 4 ? 4 : slope < -4 ? -4 : slope;
        sum += B[i * d + j] * slope;
      }
      dz[i] = scale * sum * masked(self, a, row, i) * (1 - z[i] * z[i]);
    }
    if (need_dp) add_gradients(self, a, row, z, dz);
    for (int64_t j = 0; need_dx && j < d; j++) {
      float sum = 0;
      for (int64_t i = 0; i < r; i++) sum += A[i * d + j] * dz[i];
      if (FAULTY(WRONG_SIGN)) sum = -sum;
      if (FAULTY(FORGETS_DX_TERM)) sum = 0;
      if (FAULTY(SKIPS_DX) && row == 1) continue;
      sum += *at(&a->dy, row, j);
      if (FAULTY(ADDS_TO_DX) && !isnan(*at(&a->dx, row, j)))
        *at(&a->dx, row, j) += sum;
      else
        *at(&a->dx, row, j) = sum;
    }
  }
  return REFT_OK;
}

#endif
