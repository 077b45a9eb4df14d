/* SPDX-License-Identifier: Apache-2.0
 * small.h: what the small plugins of the kit have in common. Each is correct as it is, and has one
 * fault where it is compiled with -DFAULT_<NAME>=1 (fault.h).
 */
#ifndef SMALL_H
#define SMALL_H

#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "reft_plugin.h"

#define STR(text) \
  { text, sizeof(text) - 1 }
#define ROW(matrix, i) ((float*)(matrix).data + (i) * (matrix).row_stride)

/* Makes an instance of `size` bytes of zeros for float32 rows, without options. */
static reft_status_t make_instance(const reft_host_t* host, const reft_shape_t* shape,
                                   uint32_t n_options, reft_call_t* call, size_t size,
                                   reft_instance_t** out) {
  static const char reason[] = "rows of 1 to 2^20 32-bit floats are served, without options";
  const int fits = shape->dim >= 1 && shape->dim <= 1 << 20 && shape->dtype == REFT_F32;
  const reft_status_t code = fits ? REFT_E_INVALID : REFT_E_UNSUPPORTED;
  *out = fits && n_options == 0 ? calloc(1, size) : NULL;
  if (*out) return REFT_OK;
  host->set_error(host->context, call, code, reason, sizeof reason - 1);
  return code;
}

static void destroy(reft_instance_t* self) {
  free(self);
}

/* Hands out as much of an info as the host's struct has room for. */
static reft_status_t tell(reft_param_info_t info, reft_param_info_t* out) {
  const uint32_t size = out->struct_size < sizeof *out ? out->struct_size : (uint32_t)sizeof *out;
  info.struct_size = size;
  info.learning_rate_scale = info.weight_decay_scale = 1;
  memcpy(out, &info, size);
  return REFT_OK;
}

/* A library of the one intervention `plugin`. */
#define LIBRARY(minor)                                                          \
  static const reft_plugin_t* const plugins[] = {&plugin};                      \
  static const reft_library_t library = {sizeof library, 1, minor, 1, plugins}; \
  const reft_library_t* reft_plugin_entry_v1(const reft_entry_args_t* args) {   \
    return &library;                                                            \
  }

#endif
