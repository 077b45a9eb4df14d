// SPDX-License-Identifier: Apache-2.0
// Where this program keeps things for one user. The one reader of REFT_HOME; docs/environment.md
// has the meaning for users.

import Foundation

/// The folders of one user: `$REFT_HOME` where that is set, else two below the home folder.
public enum UserFolder {
  /// The folder of what can be fetched again, such as models.
  ///
  /// - Parameter environment: where variables are looked up; nil: the process's own.
  /// - Returns: `$REFT_HOME`, else `~/.cache/reft`.
  public static func cache(environment: [String: String]? = nil) -> String {
    let environment = environment ?? ProcessInfo.processInfo.environment
    if let chosen = chosen(environment) { return chosen }
    let home = environment["HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? NSHomeDirectory()
    return home + "/.cache/reft"
  }

  /// The folder of what cannot: plugins, the record of trust, and calls that went wrong.
  ///
  /// - Parameter environment: where variables are looked up; nil: the process's own.
  /// - Returns: `$REFT_HOME`, else `~/.local/share/reft`; nil without an absolute home.
  public static func data(environment: [String: String]? = nil) -> String? {
    let environment = environment ?? ProcessInfo.processInfo.environment
    if let chosen = chosen(environment) { return chosen }
    guard let home = environment["HOME"], home.hasPrefix("/") else { return nil }
    return home + "/.local/share/reft"
  }

  /// The folder in which the user's plugins lie.
  ///
  /// - Parameter environment: where variables are looked up; nil: the process's own.
  /// - Returns: `plugins` below `data`; nil without an absolute home.
  public static func plugins(environment: [String: String]? = nil) -> String? {
    data(environment: environment).map { $0 + "/plugins" }
  }

  /// What the user chose, as an absolute path: a relative one starts at the current folder.
  private static func chosen(_ environment: [String: String]) -> String? {
    guard let home = environment["REFT_HOME"], !home.isEmpty else { return nil }
    return home.hasPrefix("/") ? home : FileManager.default.currentDirectoryPath + "/" + home
  }
}
