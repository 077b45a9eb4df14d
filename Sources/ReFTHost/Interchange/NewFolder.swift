// SPDX-License-Identifier: Apache-2.0
// Folders that are there whole, or not at all.

import Foundation
import ReFTTensor

/// Writes folders in one step.
enum NewFolder {
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
    var target = path
    while target.count > 1, target.hasSuffix("/") { target.removeLast() }
    let files = FileManager.default
    var isFolder: ObjCBool = false
    if files.fileExists(atPath: target, isDirectory: &isFolder) {
      guard isFolder.boolValue, (try? files.contentsOfDirectory(atPath: target))?.isEmpty == true
      else { throw .exportPlaceTaken(path, option: option) }
    }
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
