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

extension ReFTError {
  static func pluginWithoutEntry(_ path: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin file '\(path)' exports no function reft_plugin_entry_v1, so it is no plugin; define "
        + "it with REFT_EXPORT, or write a manifest for a plain C function"
    )
  }

  static func pluginOfOtherMajor(_ path: String, found: [String]) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin file '\(path)' speaks ABI major \(found.joined(separator: ", ")); this program speaks "
        + "1; rebuild it against reft_plugin.h 1.x or update reft"
    )
  }

  static func pluginBringsRuntime(_ path: String, soname: String, kind: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin file '\(path)' is linked with \(soname), a second \(kind) beside the host's; use the "
        + "host's gemm_f32 and parallel_for and link without it"
    )
  }

  static func pluginWithTextRelocations(_ path: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin file '\(path)' has text relocations, which need writable code; compile it with -fPIC"
    )
  }
}

extension ReFTError {
  static func pluginNeedsRelative(_ path: String, library: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin file '\(path)' needs the library '\(library)' by a relative path, so the current directory "
        + "would decide what runs; give that library a soname (-Wl,-soname) and link again, or "
        + "link it statically"
    )
  }

  static func pluginSearchesRelative(_ path: String, folder: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin file '\(path)' has what it needs looked for in '\(folder)' (RUNPATH), which is no absolute "
        + "path, so the current directory would decide what runs; link without that -rpath, or "
        + "link what it needs statically"
    )
  }

  static func pluginSearchesUnsafe(_ path: String, place: String, reason: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin file '\(path)' has what it needs looked for in '\(place)' (NEEDED or RUNPATH), where anybody "
        + "could place code: \(reason)"
    )
  }

  static func pluginDependency(_ path: String, _ library: String, reason: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin file '\(path)' needs the library '\(ForeignText.line(library))', which \(reason)"
    )
  }

  static func pluginDependencyMissing(
    _ path: String,
    _ library: String,
    searched: [String]
  ) -> ReFTError {
    let places =
      searched.isEmpty ? "" : ForeignText.line(searched.joined(separator: ", ")) + " and "
    return pluginDependency(
      path,
      library,
      reason:
        "is not there: looked in \(places)the system's folders (not in LD_LIBRARY_PATH); install "
        + "it, or link it statically"
    )
  }
}

extension ReFTError {
  static func pluginNotLoadable(_ path: String, reason: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin file '\(path)' cannot be loaded: \(reason); link what it needs into it statically, or "
        + "install the missing library"
    )
  }

  static func pluginDeclined(_ path: String, reason: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin file '\(path)' declines to work here: "
        + (reason.isEmpty ? "its entry returned NULL without a reason" : reason)
        + "; ask its author for a build for ABI 1.0"
    )
  }

  static func badTable(_ path: String, _ fault: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin file '\(path)' breaks the ABI: \(ForeignText.line(fault)); `reft plugin check` tells its author more"
    )
  }
}
