// SPDX-License-Identifier: Apache-2.0
// Why a plugin was not found, or its file or folder was refused before anything of it ran.

import Foundation
import ReFTTensor

extension ReFTError {
  static func pluginNotFound(
    _ name: String,
    searched: [String],
    refused: [ReFTError],
    known: [String]
  ) -> ReFTError {
    var text = "no plugin is named '\(name)'"
    if let nearest = NearestName.find(name, in: known) { text += "; did you mean '\(nearest)'?" }
    text += "; searched " + (searched.isEmpty ? "no folder" : searched.joined(separator: ", "))
    if !refused.isEmpty {
      text += "; left out: " + refused.map(\.message).joined(separator: " | ")
    }
    return ReFTError(
      .pluginRefused,
      text + "; put its .so into one of these or name its folder with --plugin-path"
    )
  }

  static func relativePluginPath(_ path: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin path '\(path)' is relative; plugins are loaded by absolute paths only, so that the "
        + "current directory never decides what runs; write the whole path"
    )
  }

  static func pluginFolderMissing(_ path: String, reason: Int32) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin folder '\(path)' cannot be read: \(text(reason)); name an existing folder"
    )
  }

  static func worldWritablePluginFolder(_ path: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin folder '\(path)' can be written by everybody, so anybody could place code there; "
        + "run `chmod o-w` on it or use another folder"
    )
  }

  static func worldWritablePlugin(_ path: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin file '\(path)' can be written by everybody, so anybody could change what runs; run "
        + "`chmod o-w` on it"
    )
  }

  static func pluginUnreadable(_ path: String, errno: Int32) -> ReFTError {
    ReFTError(
      errno == ENOENT ? .inputMissing : .inputOutput,
      "plugin file '\(path)' cannot be read: \(text(errno)); check the path and its permissions"
    )
  }

  static func pluginNotAFile(_ path: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin '\(path)' is not a regular file; name the shared library itself"
    )
  }

  static func pluginTooLarge(_ path: String, size: Int, limit: Int) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin file '\(path)' has \(size) bytes; the limit is \(limit); strip it (`strip -s`)"
    )
  }

  static func pluginNotELF(_ path: String, reason: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin file '\(path)' is no shared library for this machine: \(reason); build it with "
        + "`cc -shared -fPIC`"
    )
  }

  private static func text(_ code: Int32) -> String { String(cString: strerror(code)) }
}
