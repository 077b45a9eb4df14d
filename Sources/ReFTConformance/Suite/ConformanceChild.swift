// SPDX-License-Identifier: Apache-2.0
// The child's side of a rule: the same executable, started with a hidden argument, runs one rule on the
// sealed copy that it was given and reports over a pipe. Lines begin with `@` (what is going on), `!`
// (the crash handler), `+` (an id found), `~` (inputs that served), `?` (a wrong question) or `=` (the
// outcome); the last four bear the parent's seal.

import CReFTPlatform
import Glibc
import ReFTHost
import ReFTTensor

/// Runs one rule when the process was started to do so.
public enum ConformanceChild {
  static let hiddenArgument = "__conformance-rule"
  /// What the child finds open, beside standard output and error.
  static let sealDescriptor: Int32 = 0
  static let reportDescriptor: Int32 = 3
  static let fileDescriptor: Int32 = 4
  static let libraryDescriptor: Int32 = 5

  /// What a rule's process is told.
  struct Order {
    var path: String
    var library: String?
    var refusal: String?
    var rule: String
    var seed: UInt64
    var limit: Double
    var memory: Int
    /// Combinations of inputs that served in rules before, by the intervention's id.
    var servedInputs: [String: Int] = [:]
    var options: [String] = []

    /// As arguments of the process.
    var arguments: [String] {
      let served = servedInputs.map { "\($0.value) \($0.key)" }.sorted()
      return [
        hiddenArgument, path, library ?? "", refusal ?? "", rule, String(seed), String(limit),
        String(memory), served.joined(separator: "\n"),
      ] + options
    }

    /// Reads arguments; the first is the program's name.
    init?(arguments: [String]) {
      guard arguments.count >= 10, arguments[1] == hiddenArgument, let seed = UInt64(arguments[6]),
        let limit = Double(arguments[7]), let memory = Int(arguments[8])
      else { return nil }
      path = arguments[2]
      library = arguments[3].isEmpty ? nil : arguments[3]
      refusal = arguments[4].isEmpty ? nil : arguments[4]
      rule = arguments[5]
      (self.seed, self.limit, self.memory) = (seed, limit, memory)
      for line in arguments[9].split(separator: "\n") { servedInputs.note(served: String(line)) }
      options = Array(arguments[10...])
    }

    init(
      _ specimen: Specimen,
      rule: Rule,
      seed: UInt64,
      limit: Double,
      memory: Int,
      servedInputs: [String: Int],
      options: [String] = []
    ) {
      (self.options, self.servedInputs) = (options, servedInputs)
      path = specimen.path
      library = specimen.bytes.library?.path
      refusal = specimen.refusal
      self.rule = rule.id
      (self.seed, self.limit, self.memory) = (seed, limit, memory)
    }
  }

  /// Runs the rule that the arguments ask for and ends the process; returns when they ask for none.
  ///
  /// A program that uses `ConformanceSuite` calls this before anything else.
  /// - Parameter arguments: those of the process, its name first.
  public static func runIfAsked(arguments: [String]) {
    guard arguments.count > 1, arguments[1] == hiddenArgument else { return }
    guard let order = Order(arguments: arguments), let rule = rule(of: order),
      let seal = VerdictSeal(descriptor: sealDescriptor), let specimen = specimen(of: order)
    else { _exit(64) }
    // Nothing of the plugin is in this process yet.
    let given = order.options.compactMap { try? GivenOption($0) }
    let report = hideReport()
    confine(order, byteCount: specimen.bytes.file.bytes.count)
    CrashReporter.install(descriptor: report)
    let refused = Confinement.begin()
    let reporter = Reporter(descriptor: report, owner: getpid())
    let bench = Bench(
      specimen,
      seed: order.seed,
      ruleID: rule.id,
      given: given,
      servedInputs: order.servedInputs,
      reporter: reporter
    )
    let result: (status: RuleStatus, message: String)
    do throws(WrongOption) {
      result = refused.judged(try judge(rule, bench: bench))
    } catch {
      reporter.send("?", "\(seal.open()) \(error.message)")
      _exit(0)
    }
    let word = seal.open()
    for id in bench.foundPlugins { reporter.send("+", "\(word) \(id)") }
    for (id, number) in bench.servedInputs { reporter.send("~", "\(word) \(number) \(id)") }
    reporter.send("=", "\(word) \(result.status.rawValue) \(result.message)")
    // No destructor of the plugin runs any more; what they do at the end is not checked.
    _exit(0)
  }

  private static func rule(of order: Order) -> Rule? {
    order.rule == Rule.givenOptions.id ? .givenOptions : Rule.named(order.rule)
  }

  /// Runs a rule in this process, on the file itself so that a debugger finds its symbols.
  ///
  /// - Throws: an option that the plugin does not take.
  static func runHere(
    _ rule: Rule,
    _ specimen: Specimen,
    seed: UInt64,
    given: [GivenOption] = []
  ) throws(WrongOption) -> (RuleResult, [String]) {
    let start = monotonicSeconds()
    let reporter = Reporter(descriptor: -1, owner: getpid())
    let bench = Bench(
      specimen,
      loadsFile: true,
      seed: seed,
      ruleID: rule.id,
      given: given,
      reporter: reporter
    )
    let (status, message) = try judge(rule, bench: bench)
    let result = RuleResult(
      rule,
      status: status,
      message: message,
      seconds: monotonicSeconds() - start
    )
    return (result, bench.foundPlugins)
  }

  private static func judge(
    _ rule: Rule,
    bench: Bench
  ) throws(WrongOption) -> (status: RuleStatus, message: String) {
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
    } catch let wrong as WrongOption {
      throw wrong
    } catch {
      return (.failed, "\(error)")
    }
  }

  private static func specimen(of order: Order) -> Specimen? {
    do {
      let file = try PluginFile(sealed: fileDescriptor, path: order.path)
      let library = try order.library.map { path throws(ReFTError) in
        try PluginFile(sealed: libraryDescriptor, path: path)
      }
      return Specimen(sealed: file, library: library, refusal: order.refusal)
    } catch {
      return nil
    }
  }

  /// Leaves nothing open that is not the plugin's: no seal, no report at a number that one can know.
  private static func hideReport() -> Int32 {
    reft_probe_close_from(libraryDescriptor + 1)
    let hidden = fcntl(reportDescriptor, F_DUPFD_CLOEXEC, Int32.random(in: 100...900))
    let nothing = open("/dev/null", O_RDONLY | O_CLOEXEC)
    dup2(nothing, sealDescriptor)
    close(nothing)
    guard hidden >= 0 else { return reportDescriptor }
    close(reportDescriptor)
    return hidden
  }

  // The child must not outlive its limit even when its parent is gone, nor eat the machine.
  private static func confine(_ order: Order, byteCount: Int) {
    _ = reft_probe_die_with_parent()
    alarm(UInt32(min(order.limit, 86_400)) + 2)
    var core = rlimit(rlim_cur: 0, rlim_max: 0)
    setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &core)
    // Files in memory are no part of the address space.
    let memory = rlim_t(order.memory)
    var files = rlimit(rlim_cur: memory, rlim_max: memory)
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &files)
    let mapped = max(0, Int(reft_worker_mapped_bytes(getpid())))
    let bytes = rlim_t(mapped + 2 * byteCount + order.memory)
    var space = rlimit(rlim_cur: bytes, rlim_max: bytes)
    setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &space)
  }
}

extension [String: Int] {
  /// Reads which combination of inputs served: its number, then the intervention's id.
  mutating func note(served line: String) {
    let parts = line.split(separator: " ", maxSplits: 1)
    if parts.count == 2, let number = Int(parts[0]) { self[String(parts[1])] = number }
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
