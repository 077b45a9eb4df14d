// SPDX-License-Identifier: Apache-2.0
// Where this program keeps what it knows about plugins for one user.

import Foundation

/// The folder for the record of trust and for capsules of calls that went wrong.
public enum UserFolder {
  /// `$REFT_HOME` where that is set, else `~/.local/share/reft`; nil without a home.
  public static func path(environment: [String: String]? = nil) -> String? {
    let environment = environment ?? ProcessInfo.processInfo.environment
    if let home = environment["REFT_HOME"], home.hasPrefix("/") { return home }
    if let home = environment["HOME"], home.hasPrefix("/") { return home + "/.local/share/reft" }
    return nil
  }
}
