/* SPDX-License-Identifier: Apache-2.0
 * The writing of system call filters, one block of instructions for each call. */
#ifndef REFT_FILTER_H
#define REFT_FILTER_H

#include <linux/filter.h>
#include <stdint.h>

#define REFT_FILTER_MAXIMUM 1024

/* A filter that is being written; `count` goes on where the memory ends, so that this is seen. */
typedef struct {
  struct sock_filter code[REFT_FILTER_MAXIMUM];
  unsigned short count;
  uint32_t refusal; /* the action for what is refused */
} reft_filter_t;

/* Begins with the checks of the machine, which end the process for calls of another one. */
void reft_filter_begin(reft_filter_t* filter, uint32_t refusal);
/* Ends with the refusal of everything that no block has answered. */
void reft_filter_end(reft_filter_t* filter);

/* Answers a call with an action whatever its arguments. */
void reft_filter_answer(reft_filter_t* filter, int number, uint32_t action);
/* Allows a call whose argument is one of `count` values; answers `otherwise` if not. */
void reft_filter_values(reft_filter_t* filter, int number, int argument, const uint32_t* values,
                        uint8_t count, uint32_t otherwise);
/* Answers a call with an action when any, or none, of the bits is set in an argument. */
void reft_filter_any(reft_filter_t* filter, int number, int argument, uint32_t bits,
                     uint32_t action, uint32_t otherwise);
/* Answers a call with an action when an argument is NULL. */
void reft_filter_null(reft_filter_t* filter, int number, int argument, uint32_t action,
                      uint32_t otherwise);
/* Refuses a call quietly when one argument is a value and another is not NULL; goes on if not. */
void reft_filter_protect(reft_filter_t* filter, int number, int argument, uint32_t value,
                         int pointer, uint32_t action);

#endif
