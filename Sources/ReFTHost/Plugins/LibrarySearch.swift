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
    for folder in searchFolders {
      guard let place = expanded(folder, of: path) else {
        throw .pluginSearchesRelative(path, folder: folder)
      }
      try checkFolder(place, named: folder, of: path)
    }
  }

  /// A search folder as a path: absolute, or below the folder of the library itself (`$ORIGIN`); nil for
  /// any other.
  static func expanded(_ folder: String, of library: String) -> String? {
    if folder.hasPrefix("/") { return folder.contains("$") ? nil : folder }
    var parts = folder.split(separator: "/", omittingEmptySubsequences: false)
    guard parts[0] == "$ORIGIN" || parts[0] == "${ORIGIN}", !parts.contains(".."),
      !parts.dropFirst().contains(where: { $0.contains("$") }),
      let real = realpath(library, nil)
    else { return nil }
    defer { free(real) }
    parts[0] = Substring((String(cString: real) as NSString).deletingLastPathComponent)
    return parts.joined(separator: "/")
  }

  private static func checkFolder(
    _ folder: String,
    named name: String,
    of path: String
  ) throws(ReFTError) {
    switch FileWalk.walk(folder) {
    case .there(let place) where place.isOpen: break
    case .there, .missing(isOpen: false): return
    case .missing: break
    case .refused(let reason):
      throw .pluginSearchesUnsafe(path, place: name, reason: reason)
    }
    let place = "'\(folder)' is, or could be made, in a folder that can be written by everybody"
    throw .pluginSearchesUnsafe(path, place: name, reason: place)
  }
}
