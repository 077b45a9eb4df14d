// SPDX-License-Identifier: Apache-2.0
// A plugin with nothing but the entry: what libabigail records as the ABI of a release.
#include "reft_plugin.h"

static const reft_library_t library = {.struct_size = sizeof(reft_library_t), .abi_major = 1};

const reft_library_t *reft_plugin_entry_v1(const reft_entry_args_t *args) {
  (void)args;
  return &library;
}
