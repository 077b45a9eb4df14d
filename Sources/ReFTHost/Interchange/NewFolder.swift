// SPDX-License-Identifier: Apache-2.0
// Folders that are there whole, or not at all.

import Foundation
public import ReFTTensor

/// Writes folders in one step, and never over what is there.
public enum NewFolder {
  /// Makes sure that nothing lies where a folder is to be made, before any work is done for it.
  ///
  /// - Parameters:
  ///   - path: the folder to make; an empty one may be there.
  ///   - option: the option that names it, for messages.
  /// - Throws: `.usage` where something is there, a link among others.
  public static func check(_ path: String, option: String) throws(ReFTError) {
    let target = withoutSlashes(path)
    var status = stat()
    guard lstat(target, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFDIR,
      (try? FileManager.default.contentsOfDirectory(atPath: target))?.isEmpty == true
    else { throw .exportPlaceTaken(path, option: option) }
  }

  private static func withoutSlashes(_ path: String) -> String {
    var target = path
    while target.count > 1, target.hasSuffix("/") { target.removeLast() }
    return target
  }

  /// Fills a folder beside its place, and gives it its name when it is whole.
  ///
  /// - Parameters:
  ///   - path: the folder to make; an empty one may be there.
  ///   - option: the option that names it, for messages.
  ///   - body: fills the folder whose path it is given.
  /// - Throws: `.usage` where something is there; what `body` throws; `.inputOutput`.
  static func write(
    _ path: String,
    option: String,
    _ body: (_ folder: String) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    try check(path, option: option)
    let target = withoutSlashes(path)
    let files = FileManager.default
    let parent = PathParts.folder(of: target)
    let temporary = parent + "/.\(PathParts.name(of: target)).tmp-\(getpid())"
    do {
      try files.createDirectory(atPath: parent, withIntermediateDirectories: true)
      if files.fileExists(atPath: temporary) { try files.removeItem(atPath: temporary) }
      try files.createDirectory(atPath: temporary, withIntermediateDirectories: false)
    } catch {
      throw .adapterNotWritable(path, cause: error)
    }
    do throws(ReFTError) {
      try body(temporary)
      guard rename(temporary, target) == 0 else { throw .adapterNotReplaced(target, errno: errno) }
    } catch {
      // The error that matters is the first one; the temporary folder is hidden and harmless.
      try? files.removeItem(atPath: temporary)
      throw error
    }
    try AtomicFile.synchronize(folder: parent)
  }
}
