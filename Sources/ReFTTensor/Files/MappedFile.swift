// SPDX-License-Identifier: Apache-2.0
// A file as read-only memory.

import Foundation

/// A regular file mapped into memory for reading, unmapped with the object.
///
/// A file must not be shortened while it is mapped: the operating system answers a read past the new
/// end with a bus error. Writers that replace a file by renaming, as `AtomicFile` does, are safe.
public final class MappedFile: @unchecked Sendable {
  // Sendable: the mapping is read-only and private, and lives exactly as long as the object.

  /// The content; valid for the life of the object.
  public let bytes: UnsafeRawBufferPointer
  /// The path as it was given.
  public let path: String

  /// Maps a whole file.
  ///
  /// - Parameter path: a regular file; an empty one gives empty `bytes`.
  /// - Throws: `inputMissing` when there is no such file, `badData` when it is not a regular file,
  ///   `inputOutput` when the system refuses.
  public init(path: String) throws(ReFTError) {
    self.path = path
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw ReFTError.cannotOpen(path, errno: ENOENT)
    }
    // Non-blocking, so that a named pipe is refused below instead of waited for.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw ReFTError.cannotOpen(path, errno: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw ReFTError.systemCall("inspect", path, errno: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw ReFTError.notARegularFile(path) }
    guard status.st_size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    let count = Int(status.st_size)
    guard let start = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED
    else { throw ReFTError.systemCall("map", path, errno: errno) }
    bytes = UnsafeRawBufferPointer(start: start, count: count)
  }

  deinit {
    if let start = bytes.baseAddress {
      munmap(UnsafeMutableRawPointer(mutating: start), bytes.count)
    }
  }

  /// Asks the system to read the whole file ahead; a hint that may be ignored.
  public func adviseWillNeed() {
    if let start = bytes.baseAddress {
      madvise(UnsafeMutableRawPointer(mutating: start), bytes.count, Int32(MADV_WILLNEED))
    }
  }
}
