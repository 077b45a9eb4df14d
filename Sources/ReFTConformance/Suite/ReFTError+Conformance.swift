// SPDX-License-Identifier: Apache-2.0
// The errors of the checker itself; what a plugin does wrong is a `RuleResult`, not an error.

import Glibc
import ReFTTensor

extension ReFTError {
  static func pluginFileMissing(_ path: String, code: Int32) -> ReFTError {
    ReFTError(
      .inputMissing,
      "Cannot read the plugin file \(path): \(errorText(code)). Give the path of a .so file."
    )
  }

  static func unknownRule(_ id: String) -> ReFTError {
    ReFTError(
      .usage,
      "There is no rule \(id). Rules are named \(Rule.all.first?.id ?? "ABI-101") to "
        + "\(Rule.all.last?.id ?? "ABI-501"); list them with: reft plugin check --list-rules"
    )
  }

  static func conformanceLevel(_ level: Int) -> ReFTError {
    ReFTError(.usage, "There is no check level \(level). Choose 1 to 5.")
  }
}
