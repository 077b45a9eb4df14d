// SPDX-License-Identifier: Apache-2.0
// Looks through all descriptors that it could have inherited, and keeps copies.
#include <sys/socket.h>
#include <sys/stat.h>

#include "attacker.h"

static void at_load(void) {
  for (int file = 0; file < 4096; file++) {
    struct stat status;
    if (fstat(file, &status) != 0) continue;
    // What a worker is given: no input, output through a pipe, shared memory, sealed copies.
    if (file > 2 && !S_ISREG(status.st_mode)) got_through("a descriptor that is no file");
    if (file > 3 && write(file, "x", 1) > 0) got_through("a descriptor that can be written");
    if (S_ISDIR(status.st_mode) || S_ISSOCK(status.st_mode)) got_through("a folder or socket");
    TRY(dup(file));
    TRY(dup2(file, 900));
    char byte = 0;
    TRY(send(file, &byte, 1, 0));
  }
  int ends[2];
  TRY(pipe(ends));
}
static void in_call(void) {
  TRY(openat(3, CANARY, O_RDONLY));
}
