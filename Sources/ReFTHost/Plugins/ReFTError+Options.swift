// SPDX-License-Identifier: Apache-2.0
// What can be wrong with the options of a plugin.

import ReFTTensor

extension ReFTError {
  static func badIsolation(_ word: String) -> ReFTError {
    ReFTError(
      .usage,
      "--isolation '\(word)' must be none or process, for all plugins, or NAME=none or NAME=process for "
        + "one"
    )
  }

  static func unknownOption(_ name: String, plugin: String, known: [String]) -> ReFTError {
    let list =
      known.isEmpty ? "it has no options" : "it has " + known.sorted().joined(separator: ", ")
    let remedy = NearestName.find(name, in: known).map { "; did you mean '\($0)'?" } ?? ""
    return ReFTError(
      .badConfiguration,
      "plugin '\(plugin)' has no option '\(name)'; \(list)\(remedy)"
    )
  }

  static func badOption(
    _ name: String,
    plugin: String,
    found: OptionValue,
    expected: String,
    nearest: String? = nil
  ) -> ReFTError {
    let remedy = nearest.map { "; did you mean '\($0)'?" } ?? ""
    return ReFTError(
      .badConfiguration,
      "option '\(name)' of plugin '\(plugin)' is \(found) (\(found.kind)); it must be "
        + "\(expected)\(remedy)"
    )
  }
}
