// SPDX-License-Identifier: Apache-2.0
// What can be wrong with putting a plugin into the user's folder, or taking it away.

import Foundation
import ReFTTensor

extension ReFTError {
  static func noPluginFolder() -> ReFTError {
    ReFTError(
      .inputOutput,
      "there is no folder for your plugins: neither REFT_HOME nor HOME is set; set one of them"
    )
  }

  static func pluginFolderNotMade(_ folder: String, cause: any Error) -> ReFTError {
    ReFTError(
      .inputOutput,
      "the folder '\(folder)' for your plugins cannot be made; check its permissions, or set REFT_HOME",
      cause: cause
    )
  }

  static func installedLibraryElsewhere(_ path: String, library: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "manifest '\(path)' names the library '\(library)' in another folder, which would not be found after "
        + "installing; put it beside the manifest, or write its whole path"
    )
  }

  static func installedNameWrong(_ name: String) -> ReFTError {
    ReFTError(
      .usage,
      "no plugin is found in a file named '\(name)'; its name must end in .so, or in .reft.json for a "
        + "manifest, and begin with no dot; rename it"
    )
  }

  static func installedOther(_ path: String, there: [String], ids: [String]) -> ReFTError {
    let other =
      there.isEmpty ? "is no build of this plugin" : "holds \(there.joined(separator: ", "))"
    return ReFTError(
      .pluginRefused,
      "'\(path)' \(other), and \(ids.joined(separator: ", ")) would replace it; give your file another "
        + "name, or replace it with --force"
    )
  }

  static func notInstalled(_ path: String, folder: String) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)' is no plugin in '\(folder)', and nothing outside of that folder is removed"
    )
  }

  static func notInstalledAtAll(_ word: String, folder: String, known: [String]) -> ReFTError {
    let nearest = NearestName.find(word, in: known).map { "did you mean '\($0)'? " } ?? ""
    return ReFTError(
      .usage,
      "no plugin '\(word)' is in '\(folder)'; \(nearest)`reft plugin list` shows what is there"
    )
  }

  static func installedElsewhere(_ word: String, path: String, folder: String) -> ReFTError {
    ReFTError(
      .usage,
      "plugin '\(word)' lies at '\(path)'; only what is in your own folder '\(folder)' is removed; remove "
        + "it by hand if you mean to"
    )
  }

  static func severalInstalled(_ word: String, files: [String]) -> ReFTError {
    let names = files.map { ($0 as NSString).lastPathComponent }.joined(separator: ", ")
    return ReFTError(
      .usage,
      "'\(word)' means several files: \(names); give the name of one of them"
    )
  }

  static func notRemoved(_ path: String, errno code: Int32) -> ReFTError {
    ReFTError(
      .inputOutput,
      "'\(path)' cannot be removed: \(String(cString: strerror(code))); check the folder's permissions"
    )
  }
}
