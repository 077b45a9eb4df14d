// SPDX-License-Identifier: Apache-2.0
// The child's side of a rule: the same executable, started with a hidden argument, runs one rule and
// reports over descriptor 3. Lines begin with `@` (what is going on), `+` (an id found), `!` (the crash
// handler) or `=` (the outcome).

import CReFTPlatform
import Glibc

/// Runs one rule when the process was started to do so.
public enum ConformanceChild {
  static let hiddenArgument = "__conformance-rule"
  static let reportDescriptor: Int32 = 3

  static func arguments(file: String, rule: String, seed: UInt64, limit: Double) -> [String] {
    [hiddenArgument, file, rule, String(seed), String(limit)]
  }

  /// Runs the rule that the arguments ask for and ends the process; returns when they ask for none.
  ///
  /// A program that uses `ConformanceSuite` calls this before anything else.
  /// - Parameter arguments: those of the process, its name first.
  public static func runIfAsked(arguments: [String]) {
    guard arguments.count == 6, arguments[1] == hiddenArgument else { return }
    guard let rule = Rule.named(arguments[3]), let seed = UInt64(arguments[4]),
      let limit = Double(arguments[5])
    else { _exit(64) }
    // Whatever else this program was given to write to is not the plugin's.
    reft_probe_close_from(reportDescriptor + 1)
    confine(limit: limit)
    CrashReporter.install(descriptor: reportDescriptor)
    let refused = Confinement.begin()
    let reporter = Reporter(descriptor: reportDescriptor, owner: getpid())
    let bench = Bench(file: arguments[2], seed: seed, ruleID: rule.id, reporter: reporter)
    let result = refused.judged(judge(rule, bench: bench))
    for id in bench.foundPlugins { reporter.send("+", id) }
    reporter.send("=", "\(result.status.rawValue) \(result.message)")
    // No destructor of the plugin runs any more; what they do at the end is not checked.
    _exit(0)
  }

  /// Runs a rule in this process.
  static func runHere(_ rule: Rule, file: String, seed: UInt64) -> (RuleResult, [String]) {
    let start = monotonicSeconds()
    let reporter = Reporter(descriptor: -1, owner: getpid())
    let bench = Bench(file: file, seed: seed, ruleID: rule.id, reporter: reporter)
    let (status, message) = judge(rule, bench: bench)
    let result = RuleResult(
      id: rule.id,
      status: status,
      message: message,
      replay: nil,
      level: rule.level,
      seconds: monotonicSeconds() - start,
      title: rule.title
    )
    return (result, bench.foundPlugins)
  }

  private static func judge(_ rule: Rule, bench: Bench) -> (status: RuleStatus, message: String) {
    do {
      let note = try rule.body(bench)
      if let warning = bench.warnings.first {
        let more = bench.warnings.count > 1 ? " (and \(bench.warnings.count - 1) more)" : ""
        return (.warning, warning + more)
      }
      return (.passed, note)
    } catch let breach as Breach {
      return (.failed, breach.message)
    } catch let skip as NotApplicable {
      return (.skipped, skip.message)
    } catch {
      return (.failed, "\(error)")
    }
  }

  // The child must not outlive its limit even when its parent is gone, nor eat the machine.
  private static func confine(limit: Double) {
    _ = reft_probe_die_with_parent()
    alarm(UInt32(min(limit, 86_400)) + 2)
    var core = rlimit(rlim_cur: 0, rlim_max: 0)
    setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &core)
    var space = rlimit(rlim_cur: 16 << 30, rlim_max: 16 << 30)
    setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &space)
  }
}

/// Writes report lines, but only from the process that was started for the rule.
struct Reporter: Sendable {
  let descriptor: Int32
  let owner: pid_t

  func send(_ kind: String, _ text: String) {
    guard descriptor >= 0, getpid() == owner else { return }
    var line = Array(kind.utf8)
    line += text.utf8.map { $0 == 10 ? 32 : $0 }
    line.append(10)
    var sent = 0
    while sent < line.count {
      let n = line[sent...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if n <= 0 { return }
      sent += n
    }
  }
}
