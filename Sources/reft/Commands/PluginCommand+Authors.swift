// SPDX-License-Identifier: Apache-2.0
// `reft plugin check` and `reft plugin new`: what plugin authors use.

import ArgumentParser
import Foundation
import ReFTConformance
import ReFTHost
import ReFTTensor

extension PluginCommand {
  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check a plugin file against the rules of the ABI.",
      discussion: """
        Each rule runs in a process of its own, so that no plugin can end the check. Levels: 1 \
        loading and layout, 2 shapes and errors, 3 numbers and gradients, 4 determinism, threads and \
        memory, 5 fuzz. Exits with 69 when a rule is broken. A file that passes all rules of level 3 \
        may from then on run inside the program; others run in a worker process.

        EXAMPLES
          reft plugin check build/libMyEdit.so
          reft plugin check my-edit.so --level 5 --seed 7 --json
          reft plugin check my-edit.so --rule ABI-302
        """
    )

    @Argument(help: "The plugin's shared library or manifest.")
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
    @Option(help: "Of all random choices.")
    var seed: UInt64 = 1
    @Option(name: .customLong("timeout"), help: "Seconds per rule; without it, the rule's own.")
    var timeoutSeconds: Double?
    @Option(help: "How many rules run at once; without it, one per processor.")
    var jobs: Int?
    @Flag(name: .customLong("in-process"), help: "Run the rules in this process, for a debugger.")
    var inProcess = false
    @Option(help: "Make the call of a capsule again, in a worker, in place of the rules.")
    var replay: String?
    @Option(help: "Also write the results as JUnit XML, for build servers.")
    var junit: String?
    @OptionGroup var common: CommonOptions

    private struct RuleDocument: Encodable {
      var id: String
      var level: Int
      var title: String
    }

    func validate() throws {
      if file == nil, !listRules { throw ValidationError("give the plugin's file") }
    }

    func run() throws {
      guard let file, !listRules else {
        guard common.json else { return Output.line(Rule.markdownTable) }
        return try Output.json(
          ["rules": Rule.all.map { RuleDocument(id: $0.id, level: $0.level, title: $0.title) }])
      }
      let path = URL(fileURLWithPath: file).standardizedFileURL.path
      if let replay {
        try Capsule(path: replay).replay(
          pluginPath: path,
          settings: IsolationSettings(environment: ProcessInfo.processInfo.environment)
        )
        return Output.line("the call of \(replay) ends well with \(path)")
      }
      let suite = ConformanceSuite(
        file: path,
        level: level,
        rules: rules.isEmpty ? nil : rules,
        seed: seed,
        timeoutSeconds: timeoutSeconds,
        jobs: jobs,
        inProcess: inProcess
      )
      if !ConformanceSuite.isConfined {
        Output.note(
          "warning: this kernel offers no system call filter: the plugin could write files and open "
            + "connections while it is checked"
        )
      }
      let line = ProgressLine()
      let report = try suite.run { line.show("checked \($0.id)") }
      line.clear()
      if let junit { try AtomicFile.write(Array(report.junit.utf8), to: junit) }
      if common.json {
        try Output.json(report)
      } else {
        show(report)
      }
      if rules.isEmpty { record(report) }
      if !report.passed { throw ExitCode(69) }
    }

    /// Notes the outcome in the record of trust, which decides where the plugin runs.
    private func record(_ report: Report) {
      do {
        let store = TrustStore()
        // Without a hash the host would not load the file either; asking again tells why.
        let hash = try report.hash ?? TrustStore.hash(ofPlugin: report.file)
        let name = report.plugins.first ?? (report.file as NSString).lastPathComponent
        if report.passed {
          try store.noteCheck(hash: hash, name: name, path: report.file, level: level)
        } else {
          let broken = report.rules.filter { $0.status.isFault }.map(\.id)
          try store.noteFailedCheck(hash: hash, name: name, path: report.file, rules: broken)
        }
      } catch {
        Output.note("warning: the outcome is not recorded: \(error)")
      }
    }

    private func show(_ report: Report) {
      for rule in report.rules {
        Output.line("\(label(rule.status))  \(rule.id)  \(rule.title)")
        if rule.status != .passed { Output.line("                      \(rule.message)") }
        if let replay = rule.replay { Output.line("                      again: \(replay)") }
      }
      Output.line("\n\(report.summary), \(Readable.fixed(report.seconds, 1)) s")
    }

    private func label(_ status: RuleStatus) -> String {
      let text = status == .timedOut ? "timed out" : status.rawValue
      return text + String(repeating: " ", count: max(0, 9 - text.count))
    }
  }

  struct Trust: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Let a plugin run inside the program, checked or not.",
      discussion: """
        Trust belongs to the bytes of the file: another build is unknown again. Prefer 'reft plugin \
        check', which earns the same by passing.

        EXAMPLES
          reft plugin trust ./my-edit.so
          reft plugin trust ./my-edit.so --revoke
        """
    )

    @Argument(help: "The plugin's shared library.")
    var file: String
    @Flag(help: "Trust it no longer.")
    var revoke = false
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var path: String
      var hash: String
      var trusted: Bool
    }

    func run() throws {
      let path = URL(fileURLWithPath: file).standardizedFileURL.path
      let hash = try TrustStore.hash(ofPlugin: path)
      let name = (path as NSString).lastPathComponent
      try TrustStore().setTrusted(!revoke, hash: hash, name: name, path: path)
      if common.json {
        try Output.json(Document(path: path, hash: hash, trusted: !revoke))
      } else {
        Output.line("\(path) is \(revoke ? "no longer trusted" : "trusted") (\(hash))")
      }
    }
  }

  struct New: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a folder with a working plugin to start from.",
      discussion: """
        In the folder, 'make' builds NAME.so and 'make check' checks it; it needs nothing of reft's \
        repository.

        EXAMPLES
          reft plugin new my-edit --language c
          reft plugin new my-edit --language swift --output ~/plugins/my-edit
        """
    )

    @Argument(help: "The plugin's name: lower-case letters, digits and hyphens.")
    var name: String
    @Option(help: "c or swift.")
    var language = "c"
    @Option(help: "The folder to make; without it, the name.")
    var output: String?
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var folder: String
      var files: [String]
    }

    func validate() throws {
      if PluginTemplate(rawValue: language) == nil {
        throw ValidationError("--language '\(language)' must be c or swift")
      }
    }

    func run() throws {
      let template = PluginTemplate(rawValue: language) ?? .c
      let folder = URL(fileURLWithPath: output ?? name).standardizedFileURL.path
      let files = try template.create(name: name, in: folder)
      if common.json { return try Output.json(Document(folder: folder, files: files)) }
      Output.line("made \(folder): \(files.joined(separator: ", "))")
      Output.line("next: cd \(output ?? name) && make && make check")
    }
  }
}
