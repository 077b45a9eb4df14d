// SPDX-License-Identifier: Apache-2.0
// Folders from which nothing is loaded: relative ones, and those that anybody may write to.

import Foundation
import ReFTTensor

/// Decides whether a folder may hold plugins.
enum FolderTrust {
  /// The real path of a folder that may hold plugins, or nil where there is none and none is needed.
  ///
  /// - Throws: `.pluginRefused` for a relative or world-writable path, or a missing folder that
  ///   somebody named.
  static func checked(_ path: String, isRequired: Bool) throws(ReFTError) -> String? {
    guard path.hasPrefix("/") else { throw .relativePluginPath(path) }
    guard let real = realpath(path, nil) else {
      if isRequired { throw .pluginFolderMissing(path, reason: errno) }
      return nil
    }
    defer { free(real) }
    let folder = String(cString: real)
    var status = stat()
    guard stat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      if isRequired { throw .pluginFolderMissing(path, reason: ENOTDIR) }
      return nil
    }
    try checkWriters(of: folder)
    return folder
  }

  /// Refuses a folder in which, or above which, anybody could put another file in a file's place.
  static func checkWriters(of folder: String) throws(ReFTError) {
    var current = folder
    while true {
      var status = stat()
      if stat(current, &status) == 0, status.st_mode & S_IWOTH != 0 {
        let isSticky = status.st_mode & S_ISVTX != 0
        // Above the folder itself, the sticky bit is enough: nobody else can rename what is below.
        if current == folder || !isSticky { throw .worldWritablePluginFolder(current) }
      }
      if current == "/" { return }
      current = (current as NSString).deletingLastPathComponent
    }
  }
}
