// SPDX-License-Identifier: Apache-2.0
// Runs the built command line on a terminal, by Python's pty module, which set-up asks for anyway.

import Foundation

extension Tool {
  /// Runs `reft` on a terminal of some columns; `output` is what the terminal got.
  static func terminal(
    _ arguments: [String],
    columns: Int = 100,
    term: String = "xterm",
    folder: String
  ) throws -> Tool {
    let script = """
      import fcntl, os, pty, struct, sys, termios
      pid, master = pty.fork()
      if pid == 0:
          fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, \(columns), 0, 0))
          os.execv(sys.argv[1], ["reft"] + sys.argv[2:])
      data = b""
      while True:
          try:
              part = os.read(master, 65536)
          except OSError:
              break
          if not part:
              break
          data += part
      sys.stdout.buffer.write(data)
      sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
      """
    return try Tool.run(
      "/usr/bin/env",
      ["python3", "-c", script, products + "/reft"] + arguments,
      environment: ["TERM": term],
      folder: folder
    )
  }
}
