/* SPDX-License-Identifier: Apache-2.0
 * cuda_text.h: parts from which our C plugins make the text of their device forms (reft_cuda.h).
 * The preprocessor turns code into text, so that it stays code here: comments do not survive, and a
 * text has no directives and one line.
 */
#ifndef SHARED_CUDA_TEXT_H
#define SHARED_CUDA_TEXT_H

#include "reft_cuda.h"

/* Code as text; with CUDA_EXPANDED, after macros in it were expanded. */
#define CUDA_TEXT(...) #__VA_ARGS__ "\n"
#define CUDA_EXPANDED(...) CUDA_TEXT(__VA_ARGS__)

/* A launch with 256 threads of a block, as reft_cuda_kernel_t begins. */
#define CUDA_LAUNCH(function)                                                          \
  .struct_size = sizeof(reft_cuda_kernel_t), .name = {function, sizeof(function) - 1}, \
  .threads = 256

/* Sets the list of launches of one way. */
#define CUDA_SET(program, way, list)                       \
  do {                                                     \
    (program)->way = list;                                 \
    (program)->n_##way = sizeof(list) / sizeof((list)[0]); \
  } while (0)

#endif
