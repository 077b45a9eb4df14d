// SPDX-License-Identifier: Apache-2.0
// Sees that it is being checked, and writes the verdict itself.
#include "attacker.h"

static void at_load(void) {
  static const char verdict[] = "=passed \n";
  for (int file = 3; file < 64; file++) {
    if (write(file, verdict, sizeof verdict - 1) < 0) continue;
  }
}
static void in_call(void) {}
