// SPDX-License-Identifier: Apache-2.0
// What a library needs is loaded with it. Where the dynamic linker would look for that is checked as
// strictly as the folders of plugins are: never the current directory, never where anybody may write.

import Foundation
package import ReFTTensor

/// Judges the dependencies that a library's tables name.
package enum LibrarySearch {
  /// Refuses a library whose dependencies could come from an unsafe place.
  ///
  /// - Parameters:
  ///   - needed: the libraries that it needs, as its tables name them.
  ///   - searchFolders: where its tables say that they lie.
  ///   - path: the library.
  /// - Throws: `.pluginRefused`, naming the dependency or the folder.
  package static func check(
    needed: [String],
    searchFolders: [String],
    path: String
  ) throws(ReFTError) {
    for name in needed where name.contains("/") {
      guard name.hasPrefix("/") else { throw .pluginNeedsRelative(path, library: name) }
      try checkFolder((name as NSString).deletingLastPathComponent, named: name, of: path)
    }
    for folder in searchFolders where !liesBesideTheCopy(folder) {
      guard folder.hasPrefix("/") else { throw .pluginSearchesRelative(path, folder: folder) }
      try checkFolder(folder, named: folder, of: path)
    }
  }

  /// Whether a folder is below `$ORIGIN`: of a sealed copy in memory, where nothing else lies.
  private static func liesBesideTheCopy(_ folder: String) -> Bool {
    let parts = folder.split(separator: "/", omittingEmptySubsequences: false)
    return (parts[0] == "$ORIGIN" || parts[0] == "${ORIGIN}") && !parts.contains("..")
  }

  private static func checkFolder(
    _ folder: String,
    named name: String,
    of path: String
  ) throws(ReFTError) {
    // Of a folder that is not there, the next one above could be given it.
    var existing = folder
    while existing != "/", access(existing, F_OK) != 0 {
      existing = (existing as NSString).deletingLastPathComponent
    }
    guard let real = realpath(existing, nil) else { return }
    defer { free(real) }
    do throws(ReFTError) {
      try FolderTrust.checkWriters(of: String(cString: real))
    } catch {
      throw .pluginSearchesUnsafe(path, place: name, cause: error)
    }
  }
}
