// SPDX-License-Identifier: Apache-2.0
// The host's end of a worker's filter: which calls the worker makes that the host decides about.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "reft_platform.h"

#ifndef SECCOMP_USER_NOTIF_FLAG_CONTINUE
#define SECCOMP_USER_NOTIF_FLAG_CONTINUE 1u
#endif

// A later kernel may have longer structs; it says how long, and this is enough for any.
typedef union {
  struct seccomp_notif notice;
  struct seccomp_notif_resp reply;
  unsigned char room[1024];
} message_t;

int reft_notice_receive(int listener, reft_notice_t* out) {
  message_t message;
  memset(&message, 0, sizeof message);
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &message) != 0) return -errno;
  out->id = message.notice.id;
  out->thread = (int)message.notice.pid;
  out->number = (uint32_t)message.notice.data.nr;
  for (int i = 0; i < 6; i++) out->arguments[i] = message.notice.data.args[i];
  return 0;
}

int reft_notice_answer(int listener, const reft_notice_t* notice, int error) {
  message_t message;
  memset(&message, 0, sizeof message);
  message.reply.id = notice->id;
  message.reply.error = -error;
  message.reply.flags = error == 0 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
  return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &message) == 0 ? 0 : -errno;
}

int reft_notice_path(const reft_notice_t* notice, int argument, char* out, size_t size) {
  const uint64_t address = notice->arguments[argument];
  const size_t page = 4096;
  size_t length = 0;
  // Page by page: the text may end just before a page that is not there.
  while (length < size) {
    size_t part = page - (size_t)((address + length) % page);
    if (part > size - length) part = size - length;
    struct iovec local = {out + length, part};
    struct iovec remote = {(void*)(uintptr_t)(address + length), part};
    const ssize_t count = process_vm_readv(notice->thread, &local, 1, &remote, 1, 0);
    if (count <= 0) return count < 0 ? -errno : -EFAULT;
    if (memchr(out + length, 0, (size_t)count) != NULL) return 0;
    length += (size_t)count;
  }
  return -ENAMETOOLONG;
}

int reft_socket_pair(int ends[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0 ? 0 : -errno;
}

// Room for one descriptor beside one byte.
typedef union {
  char room[CMSG_SPACE(sizeof(int))];
  struct cmsghdr alignment;
} control_t;

int reft_socket_send(int socket, int descriptor) {
  char byte = 0;
  struct iovec data = {&byte, 1};
  control_t control;
  memset(&control, 0, sizeof control);
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
  message.msg_control = control.room;
  message.msg_controllen = sizeof control.room;
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

int reft_socket_receive(int socket) {
  char byte;
  struct iovec data = {&byte, 1};
  control_t control;
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
  message.msg_control = control.room;
  message.msg_controllen = sizeof control.room;
  const ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (count < 0) return -errno;
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (count == 0 || header == NULL || header->cmsg_type != SCM_RIGHTS) return -ENOMSG;
  int descriptor;
  memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
  return descriptor;
}
