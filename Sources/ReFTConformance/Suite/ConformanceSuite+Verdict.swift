// SPDX-License-Identifier: Apache-2.0
// From the end of a rule's process to what is said of the plugin.

import Glibc
import ReFTTensor

extension ConformanceSuite {
  /// Runs one rule in a process of its own.
  ///
  /// - Throws: `usage` for an option that the plugin does not take, `internalFault` when no process can
  ///   be started.
  func judge(
    _ rule: Rule,
    _ specimen: Specimen,
    program: String,
    servedInputs: [String: Int]
  ) throws(ReFTError) -> (result: RuleResult, child: RuleProcess) {
    let limit = timeoutSeconds ?? rule.timeoutSeconds
    let child = try RuleProcess.run(
      executable: program,
      ConformanceChild.Order(
        specimen,
        rule: rule,
        seed: seed,
        limit: limit,
        memory: memoryLimit,
        servedInputs: servedInputs,
        options: options.map(\.argument)
      ),
      on: specimen
    )
    if let wrong = child.wrongOption, !child.isForged {
      throw .wrongOption(WrongOption(message: wrong))
    }
    let (status, message) = verdict(of: child, limit: limit)
    let result = RuleResult(
      rule,
      status: status,
      message: status.isFault ? message + memoryNote(child) : message,
      seconds: child.seconds,
      processorSeconds: child.processorSeconds
    )
    return (finished(result, rule), child)
  }

  private func verdict(of child: RuleProcess, limit: Double) -> (RuleStatus, String) {
    let during = child.breadcrumb.isEmpty ? "" : " during \(child.breadcrumb)"
    if child.isForged {
      return (
        .failed,
        "The plugin forges its check: it wrote a verdict of its own to the report of this rule\(during)."
      )
    }
    if child.timedOut {
      return (.timedOut, "Did not return within \(brief(limit)) s\(during).")
    }
    if let signal = child.signal {
      var text = "The plugin crashed with \(signalName(signal))\(during)"
      if !child.crashNote.isEmpty { text += ": \(child.crashNote)" }
      // The filter ends a process that blocks signals, as posix_spawn and system do.
      if signal == SIGSYS { text += ": it tried what no plugin may, such as starting a process" }
      let said = child.output.split(separator: "\n").last.map(String.init) ?? ""
      if !said.isEmpty { text += "; its last words were \"\(said.prefix(200))\"" }
      return (.crashed, text + ".")
    }
    guard let outcome = child.outcome else {
      return (
        .failed,
        "The plugin ended the process with exit status \(child.exitStatus ?? -1)\(during)."
      )
    }
    return outcome
  }

  /// A word on memory, where the process came near what it may take.
  private func memoryNote(_ child: RuleProcess) -> String {
    guard child.memoryPeak > memoryLimit / 2 else { return "" }
    return " Its process held \(child.memoryPeak >> 20) MiB; the checker gives a rule "
      + "\(memoryLimit >> 20) MiB."
  }

  /// The result with the command that repeats it, where something is wrong.
  func finished(_ result: RuleResult, _ rule: Rule) -> RuleResult {
    var result = result
    if result.status.isFault || result.status == .warning {
      let given = options.map { " --option \(shellQuoted($0.argument))" }.joined()
      result.replay =
        "reft plugin check \(shellQuoted(file)) --rule \(rule.id) --seed \(seed)" + given
    }
    return result
  }
}

func signalName(_ signal: Int32) -> String {
  let names: [Int32: String] = [
    SIGSEGV: "SIGSEGV", SIGBUS: "SIGBUS", SIGILL: "SIGILL", SIGFPE: "SIGFPE", SIGABRT: "SIGABRT",
    SIGTRAP: "SIGTRAP", SIGKILL: "SIGKILL", SIGALRM: "SIGALRM", SIGTERM: "SIGTERM",
    SIGPIPE: "SIGPIPE", SIGXCPU: "SIGXCPU", SIGXFSZ: "SIGXFSZ", SIGSYS: "SIGSYS",
  ]
  return names[signal] ?? "signal \(signal)"
}

private func shellQuoted(_ text: String) -> String {
  let plain = text.allSatisfy {
    $0.isASCII && ($0.isLetter || $0.isNumber || "/._-+=".contains($0))
  }
  return plain
    ? text
    : "'"
      + text.split(separator: "'", omittingEmptySubsequences: false)
      .joined(separator: "'\\''") + "'"
}
