// SPDX-License-Identifier: Apache-2.0
// The folder of a run: what lies where, and who may write to it. What of it is ours to replace or to
// remove is in `RunFolder+Ownership`.

import Foundation
package import ReFTTensor

/// The folder that holds a run's configuration, metrics, checkpoints, adapter and report.
package final class RunFolder {
  /// Its path.
  let path: String
  private var lock: Int32 = -1

  package init(_ path: String) { self.path = path }

  deinit { if lock >= 0 { close(lock) } }

  var configuration: String { path + "/config.yaml" }
  var metrics: String { path + "/metrics.jsonl" }
  var manifest: String { path + "/manifest.json" }
  var report: String { path + "/report.html" }
  var adapter: String { path + "/adapter" }
  var checkpoints: String { path + "/checkpoints" }
  var lockFile: String { path + "/.lock" }

  /// Makes the folder and keeps other processes from training in it.
  ///
  /// - Throws: `usage` when one does already, or when the path is no folder; `inputOutput` when the
  ///   system refuses.
  package func open() throws(ReFTError) {
    try checkFolder()
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw .cannotMakeRunFolder(path, error: error)
    }
    lock = Foundation.open(lockFile, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    if lock < 0, errno == ELOOP { throw .runFolderTaken(path, by: lockFile, isLink: true) }
    guard lock >= 0 else { throw .cannotWrite(lockFile, errno: errno) }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else { throw .runFolderInUse(path) }
  }

  /// Makes sure that a folder is or can be there; a link to one is the user's way of keeping runs
  /// elsewhere.
  func checkFolder() throws(ReFTError) {
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFDIR { throw .runFolderIsFile(path) }
  }

  /// Makes the folder of the checkpoints, where there is none.
  func makeCheckpoints() throws(ReFTError) {
    do {
      try FileManager.default.createDirectory(
        atPath: checkpoints,
        withIntermediateDirectories: true
      )
    } catch {
      throw .cannotMakeRunFolder(path, error: error)
    }
  }

  /// The names in a folder; none where there is no folder.
  func names(in folder: String) throws(ReFTError) -> [String] {
    guard FileManager.default.fileExists(atPath: folder) else { return [] }
    do {
      return try FileManager.default.contentsOfDirectory(atPath: folder)
    } catch {
      throw ReFTError(.inputOutput, "cannot list '\(folder)'; check its permissions", cause: error)
    }
  }

  /// Removes a file or a folder, if it is there.
  func remove(_ item: String) throws(ReFTError) {
    guard Kind(item) != .absent else { return }
    do {
      try FileManager.default.removeItem(atPath: item)
    } catch {
      throw ReFTError(.inputOutput, "cannot remove '\(item)'; check its permissions", cause: error)
    }
  }

  /// What a path names by itself, links not followed.
  enum Kind {
    case absent, file, folder, link, other

    init(_ path: String) {
      var status = stat()
      guard lstat(path, &status) == 0 else {
        self = .absent
        return
      }
      switch status.st_mode & S_IFMT {
      case S_IFREG: self = .file
      case S_IFDIR: self = .folder
      case S_IFLNK: self = .link
      default: self = .other
      }
    }
  }
}
