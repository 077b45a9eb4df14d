// SPDX-License-Identifier: Apache-2.0
// Files of text: read, never mapped, so that a file that shrinks meanwhile is an error and no signal;
// UTF-8 with or without a byte order mark, and nothing else.

import Foundation

/// Reads a regular file from its start to its end, and notices when it changes meanwhile.
package final class FileStream {
  /// The path as it was given.
  package let path: String
  /// The size when it was opened.
  package let size: Int
  private let descriptor: Int32
  private let opened: stat
  private var position = 0

  /// Opens a file.
  ///
  /// - Throws: `inputMissing` when there is no such file, `badData` when it is not a regular file,
  ///   `inputOutput` when the system refuses.
  package init(path: String) throws(ReFTError) {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw ReFTError.cannotOpen(path, errno: ENOENT)
    }
    // Non-blocking, so that a named pipe is refused below instead of waited for.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw ReFTError.cannotOpen(path, errno: errno) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let number = errno
      close(descriptor)
      throw ReFTError.systemCall("inspect", path, errno: number)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw ReFTError.notARegularFile(path)
    }
    self.path = path
    self.descriptor = descriptor
    opened = status
    size = Int(status.st_size)
  }

  deinit { close(descriptor) }

  /// Reads the next bytes.
  ///
  /// - Parameters:
  ///   - limit: the most bytes to read, at least one.
  ///   - bytes: receives them at its end.
  /// - Returns: how many were read; 0 at the end.
  /// - Throws: `inputOutput` when the system refuses, or the file is not as it was.
  package func read(_ limit: Int, to bytes: inout [UInt8]) throws(ReFTError) -> Int {
    let end = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: limit))
    var count = -1
    repeat {
      count = bytes.withUnsafeMutableBytes {
        Foundation.read(
          descriptor,
          UnsafeMutableRawBufferPointer(rebasing: $0[end...]).baseAddress,
          limit
        )
      }
    } while count < 0 && errno == EINTR
    let number = errno
    bytes.removeLast(limit - max(0, count))
    guard count >= 0 else { throw ReFTError.systemCall("read", path, errno: number) }
    position += count
    if count == 0 { try checkUnchanged() }
    return count
  }

  /// The next bytes, fewer than were asked for at the end of the file.
  ///
  /// - Throws: as reading a piece.
  package func bytes(atMost count: Int) throws(ReFTError) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count, try read(count - bytes.count, to: &bytes) > 0 {}
    return bytes
  }

  private func checkUnchanged() throws(ReFTError) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw ReFTError.systemCall("inspect", path, errno: errno)
    }
    guard position == size, status.st_size == opened.st_size,
      status.st_mtim.tv_sec == opened.st_mtim.tv_sec,
      status.st_mtim.tv_nsec == opened.st_mtim.tv_nsec
    else { throw ReFTError.changedWhileRead(path, size: size, read: position) }
  }
}

/// Whole files of text.
package enum TextFile {
  /// The bytes of a file of text without its byte order mark.
  ///
  /// Whether they are UTF-8 is left to the reader, which can say where they are not.
  ///
  /// - Parameters:
  ///   - path: a regular file.
  ///   - limit: the most bytes that such a file may have.
  /// - Returns: the bytes.
  /// - Throws: as opening and reading a `FileStream`; `badData` for a longer file, and for one that is
  ///   UTF-16 or UTF-32.
  package static func bytes(path: String, limit: Int) throws(ReFTError) -> [UInt8] {
    let stream = try FileStream(path: path)
    guard stream.size <= limit else {
      throw ReFTError.longerThanAllowed(path, size: stream.size, limit: limit)
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(stream.size + 1)
    while try stream.read(max(1, stream.size + 1 - bytes.count), to: &bytes) > 0 {
      guard bytes.count <= limit else {
        throw ReFTError.longerThanAllowed(path, size: bytes.count, limit: limit)
      }
    }
    let start = try markLength(bytes, path: path)
    if start > 0 { bytes.removeFirst(start) }
    return bytes
  }

  /// How many bytes a byte order mark takes at the start of a text.
  ///
  /// - Parameters:
  ///   - start: the first bytes of the file; four, where it has them.
  ///   - path: for the message.
  /// - Returns: 3 or 0.
  /// - Throws: `badData` when the text is UTF-16 or UTF-32, with a mark or without one.
  package static func markLength(
    _ start: some Collection<UInt8>,
    path: String
  ) throws(ReFTError) -> Int {
    let first = Array(start.prefix(4))
    if first.starts(with: [0xEF, 0xBB, 0xBF]) { return 3 }
    // Without a mark, every second byte of the Latin letters, signs and digits of a file is zero.
    let hasZeros = first.count >= 2 && (first[0] == 0) != (first[1] == 0)
    guard !first.starts(with: [0xFF, 0xFE]), !first.starts(with: [0xFE, 0xFF]), !hasZeros,
      !first.starts(with: [0, 0, 0xFE, 0xFF])
    else { throw ReFTError.wideText(path) }
    return 0
  }
}

extension ReFTError {
  /// A file whose bytes are UTF-16 or UTF-32.
  static func wideText(_ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path):1:1: the text is UTF-16 or UTF-32; \(JSONFault.encodingRemedy)"
    )
  }

  /// A file that is no longer what it was when it was opened.
  static func changedWhileRead(_ path: String, size: Int, read: Int) -> ReFTError {
    ReFTError(
      .inputOutput,
      "'\(path)' changed while it was read: \(size) bytes when it was opened, \(read) read; wait "
        + "until nothing writes to it, and try again"
    )
  }

  /// A file that is longer than a file of its kind may be.
  static func longerThanAllowed(_ path: String, size: Int, limit: Int) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)' has \(size) bytes; a file of its kind has at most \(limit); is it the right one?"
    )
  }
}
