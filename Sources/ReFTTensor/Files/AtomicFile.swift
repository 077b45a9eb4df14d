// SPDX-License-Identifier: Apache-2.0
// Files that are either the old ones or the new ones, whatever happens in between.

public import Foundation
import Synchronization

/// Writes whole files so that a reader, or a crash, never meets half of one.
///
/// The bytes go to a temporary name in the same folder, are forced to the disk, and take the final
/// name in one step; then the folder is forced to the disk too. After an error the file that was
/// there before is untouched, and the temporary one is gone. Only a killed process leaves its
/// temporary file, hidden and named `.<name>.tmp-<process>-<number>`.
///
/// A link stays, and the file that it leads to is replaced. Devices, pipes and what lies in /dev or
/// /proc cannot be replaced and are written to as they are.
public enum AtomicFile {
  private static let counter = Mutex(0)

  /// Takes the bytes of one file, piece by piece.
  public struct Writer: ~Copyable {
    let descriptor: Int32
    let path: String

    /// Adds bytes; all of them are written when the call returns.
    ///
    /// - Throws: `inputOutput` with the system's reason, such as a full disk.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(ReFTError) {
      var rest = bytes[...]
      while !rest.isEmpty {
        let piece = UnsafeRawBufferPointer(rebasing: rest)
        let written = Foundation.write(descriptor, piece.baseAddress, piece.count)
        if written < 0 {
          if errno == EINTR { continue }
          throw ReFTError.systemCall("write", path, errno: errno)
        }
        rest = rest.dropFirst(written)
      }
    }

    /// Adds the bytes of an array; throws as the version for raw memory.
    public func write(_ bytes: [UInt8]) throws(ReFTError) {
      try bytes.withBytes { bytes throws(ReFTError) in try write(bytes) }
    }
  }

  /// Writes an array of bytes.
  ///
  /// - Throws: `inputOutput` with the system's reason; the old file is then as it was.
  public static func write(_ bytes: [UInt8], to path: String) throws(ReFTError) {
    try write(to: path) { writer throws(ReFTError) in try writer.write(bytes) }
  }

  /// Writes data; throws as the version for arrays.
  public static func write(_ data: Data, to path: String) throws(ReFTError) {
    try write([UInt8](data), to: path)
  }

  /// Writes a text in UTF-8; throws as the version for arrays.
  public static func write(_ text: String, to path: String) throws(ReFTError) {
    try write([UInt8](text.utf8), to: path)
  }

  /// Writes what a closure hands over.
  ///
  /// - Parameters:
  ///   - path: the file to make or replace; an existing one passes on its permissions.
  ///   - body: hands the bytes to the writer, in order.
  /// - Throws: what `body` throws, or `inputOutput`; the old file is then as it was.
  public static func write(
    to path: String,
    _ body: (borrowing Writer) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    guard let target = try replaceable(path) else { return try writeThrough(path, body) }
    let (folder, name) = try split(target)
    let number = counter.withLock { number in
      number += 1
      return number
    }
    let temporary = folder + "/.\(name).tmp-\(getpid())-\(number)"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw ReFTError.systemCall("write", path, errno: errno) }
    do throws(ReFTError) {
      try fill(descriptor, target, body)
      guard rename(temporary, target) == 0 else {
        throw ReFTError.systemCall("replace", path, errno: errno)
      }
    } catch {
      unlink(temporary)
      throw error
    }
    try synchronize(folder: folder)
  }

  /// The path that a new file can take, links followed; nil where there is something to write into.
  private static func replaceable(_ path: String) throws(ReFTError) -> String? {
    if path.hasPrefix("/dev/") || path.hasPrefix("/proc/") { return nil }
    var own = stat()
    guard !path.utf8.contains(0), lstat(path, &own) == 0 else { return path }
    var target = stat()
    guard stat(path, &target) == 0 else { throw ReFTError.linkToNothing(path) }
    switch target.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: throw ReFTError.systemCall("write", path, errno: EISDIR)
    default: return nil
    }
    guard own.st_mode & S_IFMT == S_IFLNK else { return path }
    guard let real = realpath(path, nil) else {
      throw ReFTError.systemCall("follow", path, errno: errno)
    }
    defer { free(real) }
    return String(cString: real)
  }

  /// Writes into what is there.
  private static func writeThrough(
    _ path: String,
    _ body: (borrowing Writer) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ReFTError.systemCall("write", path, errno: errno) }
    defer { close(descriptor) }
    try body(Writer(descriptor: descriptor, path: path))
  }

  /// Forces the names in a folder to the disk, as after a rename.
  ///
  /// - Throws: `inputOutput` with the system's reason.
  public static func synchronize(folder: String) throws(ReFTError) {
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ReFTError.systemCall("open", folder, errno: errno) }
    defer { close(descriptor) }
    // Some file systems cannot sync a folder and say so with EINVAL.
    guard fsync(descriptor) == 0 || errno == EINVAL else {
      throw ReFTError.systemCall("sync", folder, errno: errno)
    }
  }

  private static func fill(
    _ descriptor: Int32,
    _ path: String,
    _ body: (borrowing Writer) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    do throws(ReFTError) {
      var status = stat()
      if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG {
        guard fchmod(descriptor, status.st_mode & 0o7777) == 0 else {
          throw ReFTError.systemCall("set permissions of", path, errno: errno)
        }
      }
      try body(Writer(descriptor: descriptor, path: path))
      guard fsync(descriptor) == 0 else { throw ReFTError.systemCall("sync", path, errno: errno) }
    } catch {
      close(descriptor)
      throw error
    }
    // A late write error of a network file system shows here.
    guard close(descriptor) == 0 else { throw ReFTError.systemCall("close", path, errno: errno) }
  }

  private static func split(_ path: String) throws(ReFTError) -> (folder: String, name: String) {
    let name = PathParts.name(of: path)
    guard !name.isEmpty, !path.utf8.contains(0) else {
      throw ReFTError.systemCall("write", path, errno: EISDIR)
    }
    return (PathParts.folder(of: path), name)
  }
}

extension Array {
  /// The elements as raw memory, with the thrown type kept.
  func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws(ReFTError) -> Result
  ) throws(ReFTError) -> Result {
    try withUnsafeBufferPointer { buffer throws(ReFTError) in
      try body(UnsafeRawBufferPointer(buffer))
    }
  }
}
