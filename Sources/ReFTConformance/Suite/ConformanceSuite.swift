// SPDX-License-Identifier: Apache-2.0
// Chooses the rules of a run, runs each in its own process, several at a time, and gathers the report.

import Dispatch
import Glibc
import ReFTHost
public import ReFTTensor
import Synchronization

/// Runs the rules of the ABI law on one plugin file.
///
///     let suite = ConformanceSuite(file: "libmine.so", level: 3)
///     let report = try suite.run { log.info("\($0.id) \($0.status)") }
///
/// No code of the plugin runs in the calling process, unless `inProcess` is set.
public struct ConformanceSuite: Sendable {
  /// The plugin file.
  public var file: String
  /// Rules up to this level are run; 1 to 5.
  public var level: Int
  /// Numbers of the rules to run, whatever their level; nil runs all of `level`.
  public var rules: [String]?
  /// Seed of all random choices.
  public var seed: UInt64
  /// Seconds per rule; nil leaves it to the rule.
  public var timeoutSeconds: Double?
  /// How many rules run at once.
  public var jobs: Int
  /// Runs the rules in this process, one after the other: for a debugger.
  public var inProcess: Bool
  /// A program that calls `ConformanceChild.runIfAsked` first; nil is the running one.
  public var executable: String?

  /// Prepares a run.
  ///
  /// - Parameters:
  ///   - file: path of the shared library.
  ///   - level: rules up to this level are run, 1 to 5.
  ///   - rules: numbers of the rules to run instead; nil runs all up to `level`.
  ///   - seed: of all random choices.
  ///   - timeoutSeconds: per rule; nil leaves it to the rule.
  ///   - jobs: how many rules run at once; nil is the number of processors.
  ///   - inProcess: runs them in this process, for a debugger.
  ///   - executable: a program that calls `ConformanceChild.runIfAsked` first; nil is the running one.
  public init(
    file: String,
    level: Int = 3,
    rules: [String]? = nil,
    seed: UInt64 = 1,
    timeoutSeconds: Double? = nil,
    jobs: Int? = nil,
    inProcess: Bool = false,
    executable: String? = nil
  ) {
    self.file = file
    self.level = level
    self.rules = rules
    self.seed = seed
    self.timeoutSeconds = timeoutSeconds
    self.jobs = max(1, jobs ?? sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    self.inProcess = inProcess
    self.executable = executable
  }

  /// Whether the processes of the rules have no network, no files to write and no processes to start.
  public static var isConfined: Bool { Confinement.isAvailable }

  /// Runs the rules.
  ///
  /// - Parameter progress: called after each rule, from any thread, one call at a time.
  /// - Returns: all results in the order of the rules.
  /// - Throws: `usage` for an unknown rule or level, `inputMissing` for a missing file,
  ///   `badData` when the file changes meanwhile, `internalFault` when a child process cannot be started.
  public func run(
    progress: @escaping @Sendable (RuleResult) -> Void = { _ in }
  ) throws(ReFTError) -> Report {
    let selected = try selectedRules()
    guard access(file, R_OK) == 0 else { throw .pluginFileMissing(file, code: errno) }
    let start = monotonicSeconds()
    let hash = bytesHash()
    let board = Mutex(Board())
    let gates = selected.filter { Rule.gates.contains($0.id) }
    try perform(gates, on: board, progress: progress)
    let broken = board.withLock { board in
      gates.first { board.results[$0.id]?.status.isFault == true }
    }
    let others = selected.filter { !Rule.gates.contains($0.id) }
    if let broken, rules == nil {
      for rule in others {
        // What can be said without loading is still said.
        let staticRules: Set<String> = ["ABI-102", "ABI-103", "ABI-104", "ABI-122"]
        if broken.id != "ABI-101", staticRules.contains(rule.id) { continue }
        let result = RuleResult(
          id: rule.id,
          status: .skipped,
          message: "Not run, because \(broken.id) does not hold.",
          replay: nil,
          level: rule.level,
          seconds: 0,
          title: rule.title
        )
        board.withLock { $0.results[rule.id] = result }
        progress(result)
      }
    }
    let rest = others.filter { rule in board.withLock { $0.results[rule.id] == nil } }
    try perform(rest, on: board, progress: progress)
    guard bytesHash() == hash else { throw .pluginFileChanged(file) }
    return board.withLock { board in
      Report(
        file: file,
        hash: hash,
        level: level,
        seed: seed,
        plugins: board.plugins,
        rules: selected.compactMap { board.results[$0.id] },
        seconds: monotonicSeconds() - start
      )
    }
  }

  // What the host would record trust for: of a manifest, its library is part of it.
  private func bytesHash() -> String? {
    guard let path = realpath(file, nil) else { return nil }
    defer { free(path) }
    do {
      return try UntrustedLoader.hash(try PluginFile(path: String(cString: path)))
    } catch {
      return nil
    }
  }

  private struct Board {
    var results: [String: RuleResult] = [:]
    var plugins: [String] = []
    var next = 0
    var error: ReFTError?
  }

  private func selectedRules() throws(ReFTError) -> [Rule] {
    guard (1...5).contains(level) else { throw .conformanceLevel(level) }
    guard let rules else { return Rule.all.filter { $0.level <= level } }
    var wanted: Set<String> = []
    for id in rules {
      guard let rule = Rule.named(id) else { throw .unknownRule(id) }
      wanted.insert(rule.id)
    }
    return Rule.all.filter { wanted.contains($0.id) }
  }

  private func perform(
    _ list: [Rule],
    on board: borrowing Mutex<Board>,
    progress: @escaping @Sendable (RuleResult) -> Void
  ) throws(ReFTError) {
    guard !list.isEmpty else { return }
    if inProcess {
      for rule in list {
        let (result, plugins) = ConformanceChild.runHere(rule, file: file, seed: seed)
        board.withLock {
          $0.results[rule.id] = finished(result, rule)
          if $0.plugins.isEmpty { $0.plugins = plugins }
        }
        progress(finished(result, rule))
      }
      return
    }
    let program: String
    if let executable { program = executable } else { program = try runningExecutable() }
    let shared = Mutex(Board())
    DispatchQueue.concurrentPerform(iterations: min(jobs, list.count)) { _ in
      while true {
        let index = shared.withLock { shared in
          shared.next += 1
          return shared.error == nil ? shared.next - 1 : list.count
        }
        guard index < list.count else { return }
        let rule = list[index]
        do throws(ReFTError) {
          let (result, plugins) = try judge(rule, program: program)
          shared.withLock { shared in
            shared.results[rule.id] = result
            if shared.plugins.isEmpty { shared.plugins = plugins }
            progress(result)
          }
        } catch {
          shared.withLock { $0.error = error }
        }
      }
    }
    let done = shared.withLock { $0 }
    if let error = done.error { throw error }
    board.withLock { board in
      board.results.merge(done.results) { $1 }
      if board.plugins.isEmpty { board.plugins = done.plugins }
    }
  }

  private func judge(
    _ rule: Rule,
    program: String
  ) throws(ReFTError) -> (RuleResult, [String]) {
    let limit = timeoutSeconds ?? rule.timeoutSeconds
    let child = try RuleProcess.run(
      executable: program,
      arguments: ConformanceChild.arguments(file: file, rule: rule.id, seed: seed, limit: limit),
      timeoutSeconds: limit
    )
    let (status, message) = verdict(of: child, limit: limit)
    let result = RuleResult(
      id: rule.id,
      status: status,
      message: message,
      replay: nil,
      level: rule.level,
      seconds: child.seconds,
      processorSeconds: child.processorSeconds,
      title: rule.title
    )
    return (finished(result, rule), child.plugins)
  }

  private func verdict(of child: RuleProcess, limit: Double) -> (RuleStatus, String) {
    let during = child.breadcrumb.isEmpty ? "" : " during \(child.breadcrumb)"
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

  private func finished(_ result: RuleResult, _ rule: Rule) -> RuleResult {
    var result = result
    if result.status.isFault || result.status == .warning {
      result.replay = "reft plugin check \(shellQuoted(file)) --rule \(rule.id) --seed \(seed)"
    }
    return result
  }

  private func runningExecutable() throws(ReFTError) -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    let n = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    guard n > 0 else {
      throw ReFTError(.internalFault, "Cannot read /proc/self/exe: \(errorText(errno)).")
    }
    return String(decoding: buffer[..<n].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

func signalName(_ signal: Int32) -> String {
  let names: [Int32: String] = [
    SIGSEGV: "SIGSEGV", SIGBUS: "SIGBUS", SIGILL: "SIGILL", SIGFPE: "SIGFPE", SIGABRT: "SIGABRT",
    SIGTRAP: "SIGTRAP", SIGKILL: "SIGKILL", SIGALRM: "SIGALRM", SIGTERM: "SIGTERM",
    SIGPIPE: "SIGPIPE", SIGXCPU: "SIGXCPU", SIGSYS: "SIGSYS",
  ]
  return names[signal] ?? "signal \(signal)"
}

private func shellQuoted(_ text: String) -> String {
  let plain = text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "/._-+".contains($0)) }
  return plain
    ? text
    : "'"
      + text.split(separator: "'", omittingEmptySubsequences: false)
      .joined(separator: "'\\''") + "'"
}
