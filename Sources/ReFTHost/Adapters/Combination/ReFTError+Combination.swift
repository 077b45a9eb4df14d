// SPDX-License-Identifier: Apache-2.0
// Why several adapters cannot be one.

import ReFTTensor

extension ReFTError {
  private static let atRunTime =
    "use them together when the model runs instead: --adapter A:0.5 --adapter B"

  static func nothingToCombine() -> ReFTError {
    ReFTError(.usage, "there is no adapter to combine; name at least one folder, such as A:0.5 B")
  }

  static func notAffine(_ plugin: String, because reason: String) -> ReFTError {
    ReFTError(
      .usage,
      "plugin '\(plugin)': no one adapter is the sum of these exactly, since \(reason); \(atRunTime)"
    )
  }

  static func combineNeedsSame(
    _ names: [String],
    tensor: String,
    plugin: String
  ) -> ReFTError {
    ReFTError(
      .usage,
      "plugin '\(plugin)': the sum of edits is one of its edits only where '\(tensor)' is the same in all, "
        + "and \(names.map { "'\($0)'" }.joined(separator: " and ")) differ in it; train them from one start "
        + "with that tensor kept, or \(atRunTime)"
    )
  }

  static func combineDiffers(
    _ one: String,
    _ other: String,
    what: String,
    _ found: String,
    _ expected: String
  ) -> ReFTError {
    ReFTError(
      .usage,
      "'\(one)' and '\(other)' cannot be one adapter: the \(what) is \(found) and \(expected); \(atRunTime)"
    )
  }

  static func combineOverflows(_ words: [AdapterWord], tensor: String) -> ReFTError {
    let names = words.map { "'\($0.path)' at strength \($0.strength)" }
    return ReFTError(
      .badData,
      "the sum of \(names.joined(separator: " and ")) holds numbers in '\(tensor)' that are not finite: "
        + "beyond what float32 can say; take smaller strengths"
    )
  }

  static func combineWith(_ what: String, _ name: String) -> ReFTError {
    ReFTError(.usage, "'\(name)' has \(what), which is not combined; \(atRunTime)")
  }

  static func combineInRow(_ name: String, _ intervention: Int) -> ReFTError {
    ReFTError(
      .usage,
      "'\(name)': interventions.\(intervention) edits a site behind another one, and edits in a row do not "
        + "add up; \(atRunTime)"
    )
  }
}
