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

  static func givenOptionForm(_ argument: String) -> ReFTError {
    ReFTError(
      .usage,
      "--option '\(argument)' must be NAME=VALUE, such as rank=4 or dictionary=sae.safetensors#W_dec"
    )
  }

  static func givenTwice(_ first: String, _ second: String) -> ReFTError {
    ReFTError(
      .usage,
      "--option \(first) and --option \(second) set the same option; give it once"
    )
  }

  static func wrongOption(_ wrong: WrongOption) -> ReFTError { ReFTError(.usage, wrong.message) }
}
