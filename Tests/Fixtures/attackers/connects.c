// SPDX-License-Identifier: Apache-2.0
// Opens connections of every kind.
#include <sys/socket.h>

#include "attacker.h"

static void connections(void) {
  for (int family = 1; family < 46; family++) {
    TRY(socket(family, SOCK_STREAM, 0));
    TRY(socket(family, SOCK_DGRAM, 0));
    TRY(socket(family, SOCK_RAW, 0));
  }
  int ends[2];
  TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  char byte = 0;
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
  for (int file = 0; file < 16; file++) {
    TRY(sendmsg(file, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
    TRY(recvmsg(file, &message, MSG_DONTWAIT));
  }
}

static void at_load(void) {
  connections();
}
static void in_call(void) {
  connections();
}
