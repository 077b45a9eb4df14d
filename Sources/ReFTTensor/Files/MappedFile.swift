// SPDX-License-Identifier: Apache-2.0
// A file as read-only memory, and what happens when somebody changes it meanwhile.

import CReFTPlatform
import Foundation

/// A regular file mapped into memory for reading, unmapped with the object.
///
/// A file must not be changed while it is mapped. Where it becomes shorter, a read past the new end
/// ends the process with a sentence that names the file, and status 74; where bytes change, `change`
/// tells. Writers that replace a file by renaming, as `AtomicFile` does, are safe: the mapping keeps
/// what was there.
public final class MappedFile: @unchecked Sendable {
  // Sendable: the mapping is read-only and private, and lives exactly as long as the object.

  /// The content; valid for the life of the object.
  public let bytes: UnsafeRawBufferPointer
  /// The path as it was given.
  public let path: String
  /// The open file, whatever has its name by now.
  private let descriptor: Int32
  private let stamp: Stamp
  private let watch: Int32

  /// What tells that a file was written to.
  private struct Stamp: Equatable {
    var size: Int
    var seconds: Int
    var nanoseconds: Int

    init(_ status: stat) {
      size = Int(status.st_size)
      (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
    }
  }

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
    do throws(ReFTError) {
      let status = try Self.status(of: descriptor, path)
      stamp = Stamp(status)
      bytes = try Self.map(descriptor, count: Int(status.st_size), path)
    } catch {
      close(descriptor)
      throw error
    }
    self.descriptor = descriptor
    let name = TerminalText.name(path)
    watch = reft_mapped_watch(
      bytes.baseAddress,
      bytes.count,
      "\nerror: file '\(name)' became shorter while it was read, or its disk failed; put it back "
        + "whole and run the command again (a training run goes on with --resume)\n"
    )
  }

  deinit {
    reft_mapped_forget(watch)
    if let start = bytes.baseAddress {
      munmap(UnsafeMutableRawPointer(mutating: start), bytes.count)
    }
    close(descriptor)
  }

  private static func status(of descriptor: Int32, _ path: String) throws(ReFTError) -> stat {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw ReFTError.systemCall("inspect", path, errno: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw ReFTError.notARegularFile(path) }
    return status
  }

  private static func map(
    _ descriptor: Int32,
    count: Int,
    _ path: String
  ) throws(ReFTError) -> UnsafeRawBufferPointer {
    guard count > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    guard let start = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED
    else { throw ReFTError.systemCall("map", path, errno: errno) }
    return UnsafeRawBufferPointer(start: start, count: count)
  }

  /// Lets the system take back the memory that reading some bytes of a mapped file filled; who reads
  /// them again gets them from the file.
  ///
  /// - Parameter bytes: a part of a mapping that lives; pages that it fills only in part stay.
  package static func letGo(of bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let first = start.alignedUp(toMultipleOf: page)
    let end = (start + bytes.count).alignedDown(toMultipleOf: page)
    guard first < end else { return }
    // A system that refuses keeps what it has: more memory, the same bytes.
    _ = madvise(UnsafeMutableRawPointer(mutating: first), end - first, MADV_DONTNEED)
  }

  /// What happened to the mapped file since it was opened, in words; nil when nothing did.
  package var change: String? {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return "it cannot be looked at any more" }
    let now = Stamp(status)
    if now.size != stamp.size { return "it had \(stamp.size) bytes and has \(now.size)" }
    return now == stamp ? nil : "it was written to"
  }
}
