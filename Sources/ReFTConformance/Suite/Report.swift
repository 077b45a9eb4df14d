// SPDX-License-Identifier: Apache-2.0
// What a conformance run says: one result per rule, and the run as a whole. This is the `--json`
// document of `reft plugin check`.

/// How one rule ended.
public enum RuleStatus: String, Codable, Sendable, CaseIterable {
  /// The rule holds.
  case passed
  /// The rule is broken.
  case failed
  /// The plugin ended the rule's process by a signal.
  case crashed
  /// The rule's process did not end in time and was killed.
  case timedOut = "timed_out"
  /// The rule does not apply to this plugin, or what it needs has failed.
  case skipped
  /// The rule holds, with something that the author should know.
  case warning

  /// Whether the plugin breaks the law.
  public var isFault: Bool { self == .failed || self == .crashed || self == .timedOut }
}

/// The result of one rule.
public struct RuleResult: Codable, Sendable, Hashable {
  /// The rule's number, such as `ABI-302`.
  public var id: String
  /// How it ended.
  public var status: RuleStatus
  /// What was found, in a sentence with numbers.
  public var message: String
  /// The command that runs this rule again with the same seed; only when something is wrong.
  public var replay: String?
  /// The rule's level, 1 to 5.
  public var level: Int
  /// Wall time of the rule's process.
  public var seconds: Double
  /// Processor time of the rule's process; 0 when it ran in the checker's own.
  public var processorSeconds: Double
  /// The rule itself, in one sentence.
  public var title: String
  /// Whether the rule was run at all; not part of the document.
  public var wasRun = true

  /// The names in the JSON document.
  enum CodingKeys: String, CodingKey {
    case id, status, message, replay, level, seconds, title
    case processorSeconds = "processor_seconds"
  }

  package init(
    id: String,
    status: RuleStatus,
    message: String,
    replay: String?,
    level: Int,
    seconds: Double,
    processorSeconds: Double = 0,
    title: String
  ) {
    self.id = id
    self.status = status
    self.message = message
    self.replay = replay
    self.level = level
    self.seconds = seconds
    self.processorSeconds = processorSeconds
    self.title = title
  }

  init(
    _ rule: Rule,
    status: RuleStatus,
    message: String,
    seconds: Double,
    processorSeconds: Double = 0,
    wasRun: Bool = true
  ) {
    self.init(
      id: rule.id,
      status: status,
      message: message,
      replay: nil,
      level: rule.level,
      seconds: seconds,
      processorSeconds: processorSeconds,
      title: rule.title
    )
    self.wasRun = wasRun
  }
}

/// The results of all rules that ran on one file.
public struct Report: Codable, Sendable {
  /// Format of this document.
  public var schema = 1
  /// The plugin file, as it was named.
  public var file: String
  /// The hash of the bytes that were checked, as the record of trust has it; nil when the host would
  /// not load plugins from that place at all.
  public var hash: String?
  /// The highest level that was run.
  public var level: Int
  /// The seed of all random choices.
  public var seed: UInt64
  /// The ids of the interventions found in the file.
  public var plugins: [String]
  /// One result per rule, in the order of the rules.
  public var rules: [RuleResult]
  /// Wall time of the whole run.
  public var seconds: Double

  package init(
    file: String,
    hash: String? = nil,
    level: Int,
    seed: UInt64,
    plugins: [String],
    rules: [RuleResult],
    seconds: Double
  ) {
    self.file = file
    self.hash = hash
    self.level = level
    self.seed = seed
    self.plugins = plugins
    self.rules = rules
    self.seconds = seconds
  }

  /// Whether no rule is broken; warnings and skipped rules do not count, but one must have passed, and
  /// where instances are asked for (ABI-201) some must have been made: without, hardly a rule says anything.
  public var passed: Bool {
    !rules.contains { $0.status.isFault || $0.id == "ABI-201" && $0.status == .skipped }
      && rules.contains { $0.status == .passed }
  }

  /// How many rules ended so.
  public func count(_ status: RuleStatus) -> Int { rules.count { $0.status == status } }

  /// The counts in one line, such as "52 passed, 1 warning, 3 skipped".
  public var summary: String {
    let parts = RuleStatus.allCases.compactMap { status in
      let n = count(status)
      return n == 0 ? nil : "\(n) \(status == .timedOut ? "timed out" : status.rawValue)"
    }
    return parts.isEmpty ? "no rule ran" : parts.joined(separator: ", ")
  }

  /// The results as JUnit XML, for build servers.
  public var junit: String {
    var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"\(escaped(file))\""
    text += " tests=\"\(rules.count)\" failures=\"\(rules.count { $0.status.isFault })\""
    text += " skipped=\"\(count(.skipped))\" time=\"\(seconds)\">\n"
    for rule in rules {
      text += "  <testcase classname=\"\(rule.id)\" name=\"\(escaped(rule.title))\""
      text += " time=\"\(rule.seconds)\">"
      switch rule.status {
      case .failed, .crashed, .timedOut:
        text += "<failure type=\"\(rule.status.rawValue)\">\(escaped(rule.message))</failure>"
      case .skipped: text += "<skipped message=\"\(escaped(rule.message))\"/>"
      case .passed, .warning: text += "<system-out>\(escaped(rule.message))</system-out>"
      }
      text += "</testcase>\n"
    }
    return text + "</testsuite>\n"
  }

  private func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      case "\u{0}"..."\u{8}", "\u{B}", "\u{C}", "\u{E}"..."\u{1F}": out += "?"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}
