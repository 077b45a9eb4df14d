// SPDX-License-Identifier: Apache-2.0
// Compiles the header once, so that its layout asserts are checked by every build of the package.
#include "reft_plugin.h"
