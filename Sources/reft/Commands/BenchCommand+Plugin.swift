// SPDX-License-Identifier: Apache-2.0
// `reft bench plugin`: what a call of a plugin costs in this process and in one of its own.

import ArgumentParser
import ReFTBenchmark
import ReFTHost
import ReFTTensor

extension BenchCommand {
  struct PluginCalls: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "plugin",
      abstract: "Measure the calls of a plugin, in process and in a worker.",
      discussion: """
        Medians over --calls training forwards and backwards with default options. With --rows 1 and \
        --width 1 they show the cost of crossing the line alone. Without --pause, a worker is still \
        awake when the next call comes; in training it has gone to sleep.

        EXAMPLES
          reft bench plugin loreft --rows 112 --width 576 --pause 2000
          reft bench plugin loreft --rows 1 --width 1 --json
        """
    )

    @Argument(help: "A plugin's name or id.")
    var name: String
    @Option(help: "Rows in a call.")
    var rows = 112
    @Option(help: "Numbers in a row.")
    var width = 576
    @Option(help: "Calls of each kind.")
    var calls = 1000
    @Option(help: "Microseconds of rest before each call.")
    var pause: UInt32 = 0
    @OptionGroup var plugins: PluginOptions
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var plugin: String
      var in_process: PluginTiming?
      var isolated: PluginTiming
    }

    func validate() throws {
      guard (1...1 << 20).contains(rows), (1...1 << 20).contains(width) else {
        throw ValidationError("--rows and --width must be from 1 to 1048576")
      }
      guard plugins.isolation.isEmpty else {
        throw ValidationError("--isolation has no meaning here: both places are measured")
      }
      guard (10...1_000_000).contains(calls) else {
        throw ValidationError("--calls is \(calls); it must be from 10 to 1000000")
      }
    }

    func run() throws {
      let catalog = try plugins.catalog()
      let inside = try? measure(try catalog.find(name, isolation: Isolation.none))
      let outside = try measure(try catalog.find(name, isolation: .process))
      if common.json {
        return try Output.json(Document(plugin: name, in_process: inside, isolated: outside))
      }
      func cells(_ place: String, _ timing: PluginTiming?) -> [String] {
        guard let timing else { return [place, "not trusted", ""] }
        let backward = timing.backwardMicroseconds.map { Readable.fixed($0, 1) + " µs" } ?? "none"
        return [place, Readable.fixed(timing.forwardMicroseconds, 1) + " µs", backward]
      }
      Output.table([
        ["\(rows) × \(width)", "forward", "backward"], cells("in process", inside),
        cells("isolated", outside),
      ])
    }

    private func measure(_ plugin: Plugin) throws -> PluginTiming {
      try PluginTimer.measure(
        plugin,
        rows: rows,
        width: width,
        calls: calls,
        pauseMicroseconds: pause
      )
    }
  }
}
