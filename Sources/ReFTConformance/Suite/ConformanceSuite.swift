// SPDX-License-Identifier: Apache-2.0
// Chooses the rules of a run, runs each in its own process, several at a time, and gathers the report.
// How the end of a process becomes a verdict stands in `ConformanceSuite+Verdict.swift`.

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
/// The file is copied and sealed once; every rule sees that copy. No code of the plugin runs in the
/// calling process, unless `inProcess` is set.
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
  /// Bytes of memory that a rule's process may take beyond what it begins with.
  public var memoryLimit: Int
  /// How many rules run at once.
  public var jobs: Int
  /// Runs the rules in this process, one after the other: for a debugger.
  public var inProcess: Bool
  /// Options of all instances, such as `rank=4` or `dictionary=/data/sae.safetensors#W_dec`.
  public var options: [GivenOption] = []
  /// A program that calls `ConformanceChild.runIfAsked` first; nil is the running one.
  public var executable: String?

  /// The memory of a rule's process, in bytes, unless a run says otherwise.
  public static let standardMemoryLimit = 768 << 20
  /// After so many rules that did not end in time no other is begun.
  public static let timeOutLimit = 2

  /// Prepares a run.
  ///
  /// - Parameters:
  ///   - file: path of the shared library.
  ///   - level: rules up to this level are run, 1 to 5.
  ///   - rules: numbers of the rules to run instead; nil runs all up to `level`.
  ///   - seed: of all random choices.
  ///   - timeoutSeconds: per rule; nil leaves it to the rule.
  ///   - memoryLimit: bytes of memory for a rule's process.
  ///   - jobs: how many rules run at once; nil is the number of processors.
  ///   - inProcess: runs them in this process, for a debugger.
  ///   - executable: a program that calls `ConformanceChild.runIfAsked` first; nil is the running one.
  public init(
    file: String,
    level: Int = 3,
    rules: [String]? = nil,
    seed: UInt64 = 1,
    timeoutSeconds: Double? = nil,
    memoryLimit: Int = ConformanceSuite.standardMemoryLimit,
    jobs: Int? = nil,
    inProcess: Bool = false,
    executable: String? = nil
  ) {
    self.file = file
    self.level = level
    self.rules = rules
    self.seed = seed
    self.timeoutSeconds = timeoutSeconds
    self.memoryLimit = memoryLimit
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
  /// - Throws: `usage` for an unknown rule or level, or an option that the plugin does not take;
  ///   `inputMissing` or `pluginRefused` for a file that cannot be copied; `internalFault` when a child
  ///   process cannot be started.
  public func run(
    progress: @escaping @Sendable (RuleResult) -> Void = { _ in }
  ) throws(ReFTError) -> Report {
    let selected = try selectedRules()
    guard access(file, R_OK) == 0 else { throw .pluginFileMissing(file, code: errno) }
    let specimen = try Specimen(path: file)
    try askForOptions(specimen)
    let start = monotonicSeconds()
    let board = Board(progress)
    if rules == nil {
      try performGated(selected, on: specimen, board)
    } else {
      try perform(selected, on: specimen, board)
    }
    return Report(
      file: file,
      hash: specimen.hash,
      level: level,
      seed: seed,
      plugins: board.plugins,
      rules: selected.compactMap { board[$0.id] },
      seconds: monotonicSeconds() - start
    )
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

  /// Runs the gates one after the other, then the rest; behind a gate that does not hold, only what can
  /// be said without loading.
  private func performGated(
    _ list: [Rule],
    on specimen: Specimen,
    _ board: Board
  ) throws(ReFTError) {
    var broken: String?
    for gate in list where Rule.gates.contains(gate.id) && broken == nil {
      try perform([gate], on: specimen, board)
      if board[gate.id]?.status.isFault == true { broken = gate.id }
    }
    var others = list.filter { board[$0.id] == nil }
    if let broken {
      let isStatic = { (rule: Rule) in broken != "ABI-101" && Rule.static.contains(rule.id) }
      for rule in others where !isStatic(rule) {
        board.skip(rule, "Not run, because \(broken) does not hold.")
      }
      others.removeAll { !isStatic($0) }
    }
    try perform(others, on: specimen, board)
  }

  private func perform(
    _ list: [Rule],
    on specimen: Specimen,
    _ board: Board
  ) throws(ReFTError) {
    guard !list.isEmpty else { return }
    if inProcess {
      for rule in list {
        let (result, plugins) = try runHere(rule, specimen)
        board.note(finished(result, rule), plugins)
      }
      return
    }
    let program = try program()
    let next = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: min(jobs, list.count)) { _ in
      while board.error == nil {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard index < list.count else { return }
        if let reason = board.reasonToStop {
          board.skip(list[index], reason)
          continue
        }
        do throws(ReFTError) {
          let (result, child) = try judge(
            list[index],
            specimen,
            program: program,
            servedInputs: board.servedInputs
          )
          board.note(result, child.plugins, servedInputs: child.servedInputs)
        } catch {
          board.fail(error)
        }
      }
    }
    if let error = board.error { throw error }
  }

  /// Asks the plugin, like a rule in a process of its own, whether it takes the given options; what
  /// else is wrong with it is left to the rules.
  private func askForOptions(_ specimen: Specimen) throws(ReFTError) {
    guard !options.isEmpty else { return }
    try GivenOption.requireDistinct(options)
    if inProcess {
      _ = try runHere(.givenOptions, specimen)
    } else {
      _ = try judge(.givenOptions, specimen, program: try program(), servedInputs: [:])
    }
  }

  private func runHere(
    _ rule: Rule,
    _ specimen: Specimen
  ) throws(ReFTError) -> (RuleResult, [String]) {
    do throws(WrongOption) {
      return try ConformanceChild.runHere(rule, specimen, seed: seed, given: options)
    } catch {
      throw .wrongOption(error)
    }
  }

  /// The program whose processes run the rules.
  private func program() throws(ReFTError) -> String {
    if let executable { return executable }
    var buffer = [CChar](repeating: 0, count: 4096)
    let n = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    guard n > 0 else {
      throw ReFTError(.internalFault, "Cannot read /proc/self/exe: \(errorText(errno)).")
    }
    return String(decoding: buffer[..<n].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// The results of a run as they come in, from several threads.
private final class Board: Sendable {
  private struct State {
    var results: [String: RuleResult] = [:]
    var plugins: [String] = []
    var servedInputs: [String: Int] = [:]
    var late: [String] = []
    var error: ReFTError?
  }
  private let state = Mutex(State())
  private let progress: @Sendable (RuleResult) -> Void

  init(_ progress: @escaping @Sendable (RuleResult) -> Void) { self.progress = progress }

  subscript(id: String) -> RuleResult? { state.withLock { $0.results[id] } }
  var plugins: [String] { state.withLock { $0.plugins } }
  var servedInputs: [String: Int] { state.withLock { $0.servedInputs } }
  var error: ReFTError? { state.withLock { $0.error } }

  /// Why no other rule is begun: enough of them did not end in time.
  var reasonToStop: String? {
    let late = state.withLock { $0.late }
    guard late.count >= ConformanceSuite.timeOutLimit else { return nil }
    return "Not run, because \(late.joined(separator: " and ")) did not end in time."
  }

  func note(_ result: RuleResult, _ plugins: [String], servedInputs: [String: Int] = [:]) {
    state.withLock { state in
      state.results[result.id] = result
      if state.plugins.isEmpty { state.plugins = plugins }
      // The first word on an intervention stands: the fewest inputs, as the search finds them.
      state.servedInputs.merge(servedInputs) { first, _ in first }
      if result.status == .timedOut { state.late.append(result.id) }
      progress(result)
    }
  }

  func skip(_ rule: Rule, _ reason: String) {
    note(RuleResult(rule, status: .skipped, message: reason, seconds: 0, wasRun: false), [])
  }

  func fail(_ error: ReFTError) { state.withLock { $0.error = error } }
}
