// SPDX-License-Identifier: Apache-2.0
// The three standard streams by system calls, whose errors are values: a stream may be closed, full,
// or a pipe that nobody reads.

import Foundation
import ReFTTensor

/// Reads and writes the standard streams.
enum StandardStream {
  /// Makes the streams safe to use; the first thing that the program does.
  ///
  /// A descriptor that is closed would be given to the next file that is opened, and what is printed
  /// would go there. So each gets a place in which its use fails, as on a closed one. And a write
  /// that the system refuses shall return its error: the signals that would end the process are
  /// caught, not ignored, since programs that we start would inherit that.
  static func prepare() {
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
    where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
      // The lowest free descriptor is this one.
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
    for number in [SIGPIPE, SIGXFSZ] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { _ in }
      action.sa_flags = SA_RESTART
      sigaction(number, &action, nil)
    }
  }

  /// Writes all of a text.
  ///
  /// - Parameters:
  ///   - text: what to write.
  ///   - descriptor: the stream.
  ///   - patienceMilliseconds: how long a stream that does not block may stay full; −1: for ever.
  /// - Returns: 0, or the errno of the write that failed.
  static func write(
    _ text: String,
    to descriptor: Int32,
    patienceMilliseconds: Int32 = -1
  ) -> Int32 {
    var text = text
    return text.withUTF8 { bytes in
      var rest = UnsafeRawBufferPointer(bytes)[...]
      while !rest.isEmpty {
        let piece = UnsafeRawBufferPointer(rebasing: rest)
        let count = Foundation.write(descriptor, piece.baseAddress, piece.count)
        if count > 0 {
          rest = rest.dropFirst(count)
        } else if count < 0, errno == EAGAIN {
          var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          if poll(&wait, 1, patienceMilliseconds) == 0 { return EAGAIN }
        } else if count == 0 || errno != EINTR {
          return count == 0 ? EIO : errno
        }
      }
      return 0
    }
  }

  /// All bytes of standard input.
  ///
  /// - Throws: `inputOutput` with the system's reason, such as for a folder or a closed stream.
  static func readAll() throws(ReFTError) -> [UInt8] {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(STDIN_FILENO, &piece, piece.count)
      if count == 0 { return bytes }
      if count > 0 {
        bytes += piece[..<count]
      } else if errno == EAGAIN {
        var wait = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        _ = poll(&wait, 1, -1)
      } else if errno != EINTR {
        throw ReFTError(
          .inputOutput,
          "cannot read standard input: \(String(cString: strerror(errno))); redirect a file to it, "
            + "or give the text as an option"
        )
      }
    }
  }
}
