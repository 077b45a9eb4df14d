// SPDX-License-Identifier: Apache-2.0
// The folder and the name in a path. Foundation's way of taking them apart ends the process for a path
// of one character, such as "g".

/// Takes paths apart.
package enum PathParts {
  /// The folder that a path's last name lies in: "." where the path is a name alone.
  package static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// The last name of a path: what follows the last slash.
  package static func name(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
  }
}
