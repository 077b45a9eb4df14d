// SPDX-License-Identifier: Apache-2.0
// A rule of the ABI law that can be run. The rules themselves stand in `Rules/`.

/// One numbered rule of the ABI law.
public struct Rule: Sendable {
  /// Its number, ABI-302 for example; the first digit is the level.
  ///
  /// A number never changes its meaning.
  public let id: String
  /// The rule, in one sentence.
  public let title: String
  /// How thorough a check must be to run it: 1 load and layout, 2 shapes and errors, 3 numerics,
  /// 4 determinism, threads and memory, 5 fuzz; 6 is for device forms, on a card alone.
  public let level: Int
  /// Seconds after which the rule's process is killed, unless the run says otherwise.
  public let timeoutSeconds: Double
  /// Runs the rule; a thrown `Breach` fails it, a thrown `NotApplicable` skips it.
  let body: @Sendable (Bench) throws -> String

  init(
    _ id: String,
    _ title: String,
    timeoutSeconds: Double = 20,
    body: @escaping @Sendable (Bench) throws -> String
  ) {
    self.id = id
    self.title = title
    self.level = id.split(separator: "-").last?.first?.wholeNumberValue ?? 5
    self.timeoutSeconds = timeoutSeconds
    self.body = body
  }

  /// All rules, by number.
  public static let all: [Rule] =
    (loadRules + layoutRules + hostLoadRules + createRules + layoutStabilityRules + shapeRules
    + boundsRules
    + flagRules + sourceFlagRules + gradientRules + contractRules + claimRules + hostCallRules
    + collectRules + inputRules + stateRules + runRules + sourceGradientRules + determinismRules
    + placeRules + environmentRules + memoryRules + fuzzRules + deviceRules.map(\.rule)).sorted {
      $0.id < $1.id
    }

  /// The rule of that number.
  public static func named(_ id: String) -> Rule? {
    all.first { $0.id == id.uppercased() }
  }

  /// No rule of the law: whether the options that the author gave are some that the plugin takes.
  static let givenOptions = Rule("OPTIONS", "The given options are some that the plugin takes.") {
    bench in
    try bench.requireGiven()
    return "Taken."
  }

  /// Rules that must hold before any other can say anything.
  static let gates: Set<String> = ["ABI-101", "ABI-105", "ABI-110", "ABI-112", "ABI-113"]
  /// Rules that need nothing of the plugin to run.
  static let `static`: Set<String> = ["ABI-102", "ABI-103", "ABI-104", "ABI-122"]

  /// The rules as a Markdown table, as it stands in docs/abi.md.
  public static var markdownTable: String {
    let names = [
      1: "Load and layout", 2: "Shapes, strides, errors", 3: "Numerics and gradients",
      4: "Determinism, threads, memory", 5: "Fuzz",
      6: "Device forms, with --device cuda",
    ]
    var text = ""
    for level in 1...6 {
      text += "### Level \(level): \(names[level] ?? "")\n\n| enforced by | rule |\n|---|---|\n"
      for rule in all where rule.level == level { text += "| \(rule.id) | \(rule.title) |\n" }
      text += "\n"
    }
    return text
  }
}

/// The plugin breaks the rule that is running.
struct Breach: Error {
  let message: String
  init(_ message: String) { self.message = message }
}

/// The rule that is running says nothing about this plugin.
struct NotApplicable: Error {
  let message: String
  init(_ message: String) { self.message = message }
}
