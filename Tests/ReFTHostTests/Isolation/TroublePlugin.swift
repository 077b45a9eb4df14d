// SPDX-License-Identifier: Apache-2.0
// A plugin that does what the first number of its input tells it to.

import Foundation
import ReFTHost
import ReFTTemplates
import Testing

enum TroublePlugin {
  static let identity: Float = 1
  static let crash: Float = 666
  static let hang: Float = 667
  static let leave: Float = 668
  static let memory: Float = 669
  static let network: Float = 670
  static let newFile: Float = 671
  static let newProcess: Float = 672
  static let slow: Float = 673
  static let otherProcess: Float = 674
  static let refusal: Float = 675
  static let oldFile: Float = 676

  /// The C template of `reft plugin new`, with trouble in its forward.
  static func compile(in folder: String) throws -> String {
    let source = try template(in: folder).replacingOccurrences(
      of: """
        static reft_status_t forward(reft_instance_t *self, const reft_args_t *a) {
        """,
      with: """
        #include <fcntl.h>
        #include <signal.h>
        #include <string.h>
        #include <sys/socket.h>
        #include <unistd.h>
        static float trouble(float what) {
          if (what == 666) *(volatile int *)8 = 1;
          if (what == 667) for (volatile int i = 0;; i++) {}
          if (what == 668) _exit(3);
          if (what == 669) for (;;) { char *p = malloc(64 << 20); memset(p, 1, 64 << 20); }
          if (what == 670) return socket(AF_INET, SOCK_STREAM, 0) < 0 ? -1 : 1;
          if (what == 671) return open("/tmp/reft-trouble", O_CREAT | O_WRONLY, 0600) < 0 ? -1 : 1;
          if (what == 672) { pid_t p = fork(); if (p == 0) _exit(0); return p < 0 ? -1 : 1; }
          if (what == 673) usleep(400000);
          if (what == 674) return kill(getppid(), 0) != 0 ? -1 : 1;
          if (what == 676) return open("/etc/passwd", O_RDONLY) < 0 ? -1 : 1;
          return 0;
        }
        static reft_status_t forward(reft_instance_t *self, const reft_args_t *a) {
          if (ROW(a->x, 0)[0] == 675) return REFT_E_NUMERIC;
          float outcome = trouble(ROW(a->x, 0)[0]);
          if (outcome != 0) { for (int64_t j = 0; j < self->dim; j++) ROW(a->y, 0)[j] = outcome; return REFT_OK; }
        """
    )
    return try CompiledLibrary.c("#define _GNU_SOURCE\n" + source, name: "trouble", in: folder)
  }

  /// The C template with code at the beginning of one of its functions, such as `plan`.
  static func compile(
    _ code: String,
    atStartOf function: String,
    in folder: String
  ) throws -> String {
    let source = try template(in: folder)
    let name = try #require(source.range(of: "\(function)("), "the template has no \(function)")
    let brace = try #require(source.range(of: "{", range: name.upperBound..<source.endIndex))
    let changed = source[..<brace.upperBound] + code + source[brace.upperBound...]
    let includes = """
      #define _GNU_SOURCE
      #include <linux/futex.h>
      #include <stdint.h>
      #include <string.h>
      #include <sys/mman.h>
      #include <sys/syscall.h>
      #include <unistd.h>

      """
    return try CompiledLibrary.c(includes + changed, name: "trouble", in: folder)
  }

  /// Code that answers a request in the worker's place: with a text, and then never again.
  static func forgery(_ answer: String) -> String {
    """
     static const char text[] = \(answer.debugDescription);
     char *channel = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
     memcpy(channel + 512, text, sizeof text - 1);
     *(uint64_t *)(channel + 40) = sizeof text - 1;
     *(int32_t *)(channel + 20) = 0;
     __atomic_store_n((uint32_t *)(channel + 4), *(uint32_t *)channel, __ATOMIC_RELEASE);
     syscall(SYS_futex, channel + 4, FUTEX_WAKE, 1, 0, 0, 0);
     for (;;) pause();
    """
  }

  private static func template(in folder: String) throws -> String {
    let project = folder + "/project-" + UUID().uuidString
    try PluginTemplate.c.create(name: "trouble", in: project)
    return try String(contentsOfFile: project + "/trouble.c", encoding: .utf8)
  }
}
