// SPDX-License-Identifier: Apache-2.0
// Compiles the headers once, so that their layout asserts are checked by every build of the
// package.
#include "reft_cuda.h"
#include "reft_plugin.h"
