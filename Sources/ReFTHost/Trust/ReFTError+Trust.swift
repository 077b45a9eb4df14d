// SPDX-License-Identifier: Apache-2.0
// What can be wrong with the record of trust, and refusals that come from it.

import ReFTTensor

extension ReFTError {
  static func trustUnreadable(_ path: String, reason: String) -> ReFTError {
    ReFTError(
      .inputOutput,
      "the record of trust '\(path)' cannot be used: \(reason); mend it, or remove it and check "
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

  static func trustWithoutHome() -> ReFTError {
    ReFTError(
      .inputOutput,
      "there is no place for the record of trust: neither REFT_HOME nor HOME is set"
    )
  }

  static func pluginNotTrusted(_ path: String, hash: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin '\(path)' (\(hash)) may not run in this process: it has passed no check here and nobody "
        + "trusts it; run `reft plugin check \(path)`, or leave 'isolation: none' out, and it runs in "
        + "a process of its own"
    )
  }

  static func pluginQuarantined(_ path: String, reason: String, capsule: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin '\(path)' is quarantined: \(reason); `reft plugin check \(path) --replay \(capsule)` "
        + "runs that call again; a mended build loads, and so does this one after a passed check or "
        + "`reft plugin trust \(path)`"
    )
  }
}
