// SPDX-License-Identifier: Apache-2.0
// A check of a plugin while it runs: each rule as it ends, and on a terminal how many are left.

import ReFTConformance
import Synchronization

/// Shows the rules of a check as they end.
final class CheckView: Sendable {
  private let line = ProgressLine()
  private let isQuiet: Bool
  private let total: Int
  private let done = Mutex(0)

  /// Shows a run; a quiet one prints no rules, only its progress on a terminal.
  init(_ suite: ConformanceSuite, onDevice: Bool, isQuiet: Bool) {
    self.isQuiet = isQuiet
    let rules = suite.rules?.count ?? Rule.all.count { $0.level <= suite.level }
    total = rules + (onDevice ? Rule.all.count { $0.level == DeviceCheck.level } : 0)
  }

  /// Takes the result of one rule.
  func show(_ rule: RuleResult) {
    let done = done.withLock { done in
      done += 1
      return done
    }
    if !isQuiet, rule.wasRun {
      line.clear()
      Output.line("\(label(rule.status))  \(rule.id)  \(rule.title)")
      if rule.status != .passed { Output.line("                      \(rule.message)") }
      if let replay = rule.replay { Output.line("                      again: \(replay)") }
    }
    line.show("\(done) of \(total) rules checked", force: true)
  }

  /// Ends with the rules that were not run, a line for each reason, and the sum of all.
  func end(_ report: Report) {
    line.clear()
    guard !isQuiet else { return }
    var reasons: [(text: String, count: Int)] = []
    for rule in report.rules where !rule.wasRun {
      if let index = reasons.firstIndex(where: { $0.text == rule.message }) {
        reasons[index].count += 1
      } else {
        reasons.append((rule.message, 1))
      }
    }
    for (text, count) in reasons {
      Output.line("\(label(.skipped))  \(count) rule\(count == 1 ? "" : "s")  \(text)")
    }
    let broken = report.rules.filter(\.status.isFault).map(\.id)
    let list = broken.isEmpty ? "" : " (\(broken.prefix(8).joined(separator: ", ")))"
    Output.line("\n\(report.summary)\(list), \(Readable.fixed(report.seconds, 1)) s")
  }

  private func label(_ status: RuleStatus) -> String {
    let text = status == .timedOut ? "timed out" : status.rawValue
    return text + String(repeating: " ", count: max(0, 9 - text.count))
  }
}
