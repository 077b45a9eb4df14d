// SPDX-License-Identifier: Apache-2.0
// Prints without an end, and what a terminal would take for commands.
#include "attacker.h"

static void at_load(void) {
  fprintf(stderr, "\033[31mred\a\n");
  char line[8192];
  memset(line, 'a', sizeof line);
  line[sizeof line - 1] = '\n';
  for (int i = 0; i < 20000; i++) {
    if (write(2, line, sizeof line) < 0) break;
  }
}
static void in_call(void) {
  for (int i = 0; i < 100; i++) printf("standard output %d\n", i);
  fflush(stdout);
}
