// SPDX-License-Identifier: Apache-2.0
// Writing system call filters. A block leaves the number of the call in the accumulator for the
// next one: what loads an argument always ends with an answer.
#include "filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#else
#error "reft knows the system calls of x86-64 and arm64 only"
#endif

#define ARGUMENT_LOW(i) (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (size_t)(i))
#define ARGUMENT_HIGH(i) (ARGUMENT_LOW(i) + 4)

static void emit(reft_filter_t* f, unsigned short code, uint32_t k, uint8_t yes, uint8_t no) {
  if (f->count < REFT_FILTER_MAXIMUM) f->code[f->count] = (struct sock_filter){code, yes, no, k};
  f->count++;
}
static void load(reft_filter_t* f, uint32_t offset) {
  emit(f, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}
static void answer(reft_filter_t* f, uint32_t action) {
  emit(f, BPF_RET | BPF_K, action, 0, 0);
}
static void equal(reft_filter_t* f, uint32_t value, uint8_t yes, uint8_t no) {
  emit(f, BPF_JMP | BPF_JEQ | BPF_K, value, yes, no);
}

void reft_filter_begin(reft_filter_t* f, uint32_t refusal) {
  f->count = 0;
  f->refusal = refusal;
  load(f, offsetof(struct seccomp_data, arch));
  equal(f, MACHINE, 1, 0);
  answer(f, SECCOMP_RET_KILL_PROCESS);
  load(f, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
  // The x32 table has other numbers for the same calls.
  emit(f, BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1);
  answer(f, SECCOMP_RET_KILL_PROCESS);
#endif
}

void reft_filter_end(reft_filter_t* f) {
  answer(f, f->refusal);
}

void reft_filter_answer(reft_filter_t* f, int number, uint32_t action) {
  equal(f, (uint32_t)number, 0, 1);
  answer(f, action);
}

void reft_filter_values(reft_filter_t* f, int number, int argument, const uint32_t* values,
                        uint8_t count, uint32_t otherwise) {
  equal(f, (uint32_t)number, 0, (uint8_t)(count + 3));
  load(f, ARGUMENT_LOW(argument));
  for (uint8_t i = 0; i < count; i++) equal(f, values[i], (uint8_t)(count - i), 0);
  answer(f, otherwise);
  answer(f, SECCOMP_RET_ALLOW);
}

void reft_filter_any(reft_filter_t* f, int number, int argument, uint32_t bits, uint32_t action,
                     uint32_t otherwise) {
  equal(f, (uint32_t)number, 0, 4);
  load(f, ARGUMENT_LOW(argument));
  emit(f, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
  answer(f, action);
  answer(f, otherwise);
}

void reft_filter_null(reft_filter_t* f, int number, int argument, uint32_t action,
                      uint32_t otherwise) {
  equal(f, (uint32_t)number, 0, 6);
  load(f, ARGUMENT_LOW(argument));
  equal(f, 0, 0, 2);
  load(f, ARGUMENT_HIGH(argument));
  equal(f, 0, 1, 0);
  answer(f, otherwise);
  answer(f, action);
}

void reft_filter_protect(reft_filter_t* f, int number, int argument, uint32_t value, int pointer,
                         uint32_t action) {
  equal(f, (uint32_t)number, 0, 8);
  load(f, ARGUMENT_LOW(argument));
  equal(f, value, 0, 5);
  load(f, ARGUMENT_LOW(pointer));
  equal(f, 0, 0, 2);
  load(f, ARGUMENT_HIGH(pointer));
  equal(f, 0, 1, 0);
  answer(f, action);
  load(f, offsetof(struct seccomp_data, nr));
}
