// SPDX-License-Identifier: Apache-2.0
// What can be wrong with the record of trust, and refusals that come from it.

import ReFTTensor

extension ReFTError {
  static func trustUnreadable(_ path: String, reason: String) -> ReFTError {
    ReFTError(
      .inputOutput,
      "the record of trust '\(path)' cannot be used: \(reason); mend it, or remove it and trust "
        + "your plugins again"
    )
  }

  static func trustWritableByOthers(_ path: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "the record of trust '\(path)' can be written by others, so it cannot be believed; run "
        + "`chmod 600` on it after looking at what it says"
    )
  }

  static func trustFolderOpen(_ folder: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "the folder '\(folder)' holds your record of trust and can be written by everybody, so the record "
        + "cannot be believed; run `chmod o-w` on it, or set REFT_HOME to a folder of your own"
    )
  }

  static func trustFolderOfOthers(_ folder: String, owner: UInt32) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "the folder '\(folder)' holds your record of trust and belongs to user \(owner), who could "
        + "change it, so the record cannot be believed; set REFT_HOME to a folder of your own"
    )
  }

  static func trustWithoutHome() -> ReFTError {
    ReFTError(
      .inputOutput,
      "there is no place for the record of trust: neither REFT_HOME nor HOME is set"
    )
  }

  static func pluginNotTrusted(_ path: String, hash: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin '\(path)' (\(hash)) may not run in this process: you do not trust it; leave "
        + "'isolation: none' out, and it runs in a process of its own, or, if you know who made it, "
        + "run `reft plugin trust \(path)`"
    )
  }

  static func pluginQuarantined(_ path: String, reason: String, capsule: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin '\(path)' is quarantined: \(reason); `reft plugin check \(path) --replay \(capsule)` "
        + "runs that call again; a mended build loads, and so does this one, in a process of its own, "
        + "after a passed check"
    )
  }
}
