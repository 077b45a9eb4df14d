// SPDX-License-Identifier: Apache-2.0
// `reft plugin check`: does a plugin keep the rules of the ABI? The answer is advice; trust is not.

import ArgumentParser
import Foundation
import ReFTConformance
import ReFTHost
import ReFTTensor

extension PluginCommand {
  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check a plugin against the rules of the ABI.",
      discussion: """
        Each rule runs in a process of its own, so that no plugin can end the check. Levels: 1 \
        loading and layout, 2 shapes and errors, 3 numbers and gradients, 4 determinism, threads and \
        memory, 5 fuzz. Exits with 69 when a rule is broken. After two rules that do not end in time \
        no other is begun. What was found is shown by 'plugin list' and 'plugin info'; it lets nothing \
        into the program: that is 'plugin trust'.

        EXAMPLES
          reft plugin check build/libMyEdit.so
          reft plugin check my-edit --level 5 --seed 7 --json
          reft plugin check my-edit.so --rule ABI-302
          reft plugin check sae --option encoder=sae.safetensors#W_enc --option decoder=sae.safetensors#W_dec
          reft plugin check my-edit --device cuda
        """
    )

    @Argument(help: "The plugin's shared library or manifest, or its name.")
    var file: String?
    @Flag(help: "Print the rules as a Markdown table, or as JSON, and check nothing.")
    var listRules = false
    @Option(help: "Run the rules up to this level, 1 to 5.")
    var level = 3
    @Option(
      name: .customLong("rule"),
      parsing: .singleValue,
      help: "Run this rule alone, whatever its level; may be repeated."
    )
    var rules: [String] = []
    @Option(
      name: .customLong("option"),
      parsing: .singleValue,
      help: ArgumentHelp(
        "Make all instances with this option; may be repeated. Tensors as NAME=FILE#TENSOR.",
        valueName: "name=value"
      )
    )
    var options: [String] = []
    @Option(help: "Of all random choices.")
    var seed: UInt64 = 1
    @Option(name: .customLong("timeout"), help: "Seconds per rule; without it, the rule's own.")
    var timeoutSeconds: Double?
    @Option(help: ArgumentHelp("MiB of memory for each rule's process.", valueName: "mib"))
    var memory = ConformanceSuite.standardMemoryLimit >> 20
    @Option(help: "How many rules run at once; without it, one per processor.")
    var jobs: Int?
    @Flag(name: .customLong("in-process"), help: "Run the rules in this process, for a debugger.")
    var inProcess = false
    @Option(
      help: "cuda: also compare the kernels that a trusted plugin brings with what it does here."
    )
    var device: String?
    @Option(help: "Make the call of a capsule again, in a worker, in place of the rules.")
    var replay: String?
    @Option(help: "Also write the results as JUnit XML, for build servers.")
    var junit: String?
    @OptionGroup var places: PluginPlaces
    @OptionGroup var common: CommonOptions

    private struct RuleDocument: Encodable {
      var id: String
      var level: Int
      var title: String
    }

    func validate() throws {
      if file == nil, !listRules { throw ValidationError("give the plugin's file or name") }
      guard (1...1 << 20).contains(memory) else {
        throw ValidationError("--memory \(memory) must be MiB from 1 to 1048576")
      }
      if let jobs, !(1...256).contains(jobs) {
        throw ValidationError("--jobs \(jobs) must be from 1 to 256")
      }
      if let device, device != "cuda" {
        throw ValidationError("--device \(device) must be cuda")
      }
      if let timeoutSeconds, !(timeoutSeconds > 0 && timeoutSeconds <= 86_400) {
        throw ValidationError("--timeout \(timeoutSeconds) must be seconds above 0, at most 86400")
      }
    }

    func run() throws {
      guard let file, !listRules else {
        guard common.json else { return Output.line(Rule.markdownTable) }
        return try Output.json(
          ["rules": Rule.all.map { RuleDocument(id: $0.id, level: $0.level, title: $0.title) }])
      }
      let path = try places.file(file)
      if let replay {
        try Capsule(path: replay).replay(
          pluginPath: path,
          settings: IsolationSettings(environment: ProcessInfo.processInfo.environment)
        )
        return Output.line("the call of \(replay) ends well with \(path)")
      }
      var suite = ConformanceSuite(
        file: path,
        level: level,
        rules: rules.isEmpty ? nil : rules,
        seed: seed,
        timeoutSeconds: timeoutSeconds,
        memoryLimit: memory << 20,
        jobs: jobs,
        inProcess: inProcess
      )
      suite.options = try options.map { option throws(ReFTError) in try GivenOption(option) }
      if let junit {
        try ResultFile(option: "--junit", path: junit).check(inputs: [path], kind: "JUnit report") {
          let start = FileManager.default.contents(atPath: $0)?.prefix(200) ?? Data()
          return String(decoding: start, as: UTF8.self).contains("<testsuite")
        }
      }
      let report = try CheckRun.run(suite, onDevice: device != nil, isQuiet: common.json)
      if let junit { try AtomicFile.write(Array(report.junit.utf8), to: junit) }
      if common.json { try Output.json(report) }
      // In this process, the plugin could have said anything.
      if rules.isEmpty, !inProcess { CheckRun.record(report) }
      if !report.passed { throw ExitCode(69) }
    }
  }
}

/// A check as commands run it: shown while it goes on, and recorded.
enum CheckRun {
  /// Runs the rules and shows each as it ends; those of device forms too where a card is asked for.
  static func run(
    _ suite: ConformanceSuite,
    onDevice: Bool = false,
    isQuiet: Bool
  ) throws -> Report {
    if !ConformanceSuite.isConfined {
      Output.note(
        "warning: this kernel offers no system call filter: the plugin could write files and open "
          + "connections while it is checked"
      )
    }
    let view = CheckView(suite, onDevice: onDevice, isQuiet: isQuiet)
    var report = try suite.run(progress: view.show)
    if onDevice { report.rules += try checkDevice(report, view) }
    view.end(report)
    return report
  }

  /// Runs the rules of device forms, in this process: so for what the user trusts alone.
  private static func checkDevice(_ report: Report, _ view: CheckView) throws -> [RuleResult] {
    let check = DeviceCheck(file: report.file, seed: report.seed)
    guard !report.rules.contains(where: \.status.isFault) else {
      return check.skipAll("Not run on a card, because a rule is broken.", view.show)
    }
    guard let hash = report.hash,
      try TrustStore().trust(hash: hash, path: report.file).allowsInProcess
    else {
      return check.skipAll(
        "Kernels of a plugin that nobody trusts are not run; `reft plugin trust \(report.file)` first.",
        view.show
      )
    }
    return try check.run(view.show)
  }

  /// Notes the outcome beside what the user trusts; it gives no trust itself.
  static func record(_ report: Report) {
    do {
      let store = TrustStore()
      // Without a hash the host would not load the file either; asking again tells why.
      let hash = try report.hash ?? TrustStore.hash(ofPlugin: report.file)
      let name = report.plugins.first ?? (report.file as NSString).lastPathComponent
      if report.passed {
        let warnings = report.rules.filter { $0.status == .warning }
        try store.noteCheck(
          hash: hash,
          name: name,
          path: report.file,
          level: report.level,
          warnings: warnings.map { "\($0.id): \($0.message)" }
        )
      } else {
        let broken = report.rules.filter { $0.status.isFault }.map(\.id)
        guard !broken.isEmpty else { return }
        try store.noteFailedCheck(hash: hash, name: name, path: report.file, rules: broken)
      }
    } catch {
      Output.note("warning: the outcome is not recorded: \(error)")
    }
  }
}
