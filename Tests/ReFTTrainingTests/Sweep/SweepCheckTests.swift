// SPDX-License-Identifier: Apache-2.0
// Sweeps with a run that cannot begin: none does.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("A sweep with a fault")
struct SweepCheckTests {
  /// A sweep on a tiny run, and a runner of it that must not train.
  private func withRunner(
    _ sweep: String,
    _ body: (SweepRunner, _ folder: String) throws -> Void
  ) throws {
    try withTinyRun { run in
      try run.write(text: run.configuration("base").yaml(), to: "run.yaml")
      try run.write(text: "base: run.yaml\n" + sweep, to: "sweep.yaml")
      let plan = try TrainingSweep.load(path: run.folder + "/sweep.yaml")
      let means = SweepMeans(
        open: { name in
          guard name.hasSuffix("/tiny.gguf") else {
            throw ReFTError(.inputMissing, "no model '\(name)'")
          }
          return run.model
        },
        catalog: { _ in run.catalog },
        device: ProcessorDevice.shared,
        precision: .int16,
        train: { _, _, _ in Issue.record("a run was trained") }
      )
      try body(SweepRunner(plan, means: means), run.folder)
    }
  }

  @Test(
    "in any run names that run before the first begins, and writes nothing",
    arguments: [
      ("data.train: nope.jsonl", "nope.jsonl' does not exist"),
      ("model: nope", "no model 'nope'"),
      ("interventions.0.plugin: nope", "no plugin is named 'nope'"),
      ("interventions.0.layers: [77]", "'layers' names block 77"),
      ("interventions.0.options.rnak: 2", "no option 'rnak'"),
      ("interventions.0.tie: heads", "names heads"),
      ("head: {}", "rows.jsonl"),
      ("train.init_adapter: nope", "nope"),
    ]
  )
  func fault(_ change: String, _ message: String) throws {
    try withRunner("variants: {ok: {}, bad: {\(change)}}\n") { runner, folder in
      let checked = #expect(throws: ReFTError.self) { try runner.check(overwrites: false) }
      let error = #expect(throws: ReFTError.self) { try runner.run(overwrites: false) { _ in } }
      #expect(checked?.message == error?.message)
      let text = error?.message ?? ""
      #expect(text.hasPrefix("the run 'bad' cannot begin, so none does: "), "\(text)")
      #expect(text.contains(message), "\(text)")
      #expect(!FileManager.default.fileExists(atPath: folder + "/sweeps"))
    }
  }

  @Test("in its metric is told before the first run begins, with the measures that there are")
  func metric() throws {
    try withRunner("metric: validation_los\nseeds: [1, 2]\n") { runner, folder in
      let error = #expect(throws: ReFTError.self) { try runner.check(overwrites: false) }
      #expect(error?.code == .badConfiguration)
      let text = "\(folder)/sweep.yaml:2:9: 'metric' is 'validation_los', which no run measures"
      #expect(error?.message.hasPrefix(text) == true, "\(error?.message ?? "")")
      #expect(error?.message.hasSuffix("they have loss") == true, "\(error?.message ?? "")")
    }
  }

  @Test("in none of its runs passes, and tells what is in their folders")
  func sound() throws {
    let sweep = "metric: loss\nvariants: {a: {}, b: {data.validation: held.jsonl}}\n"
    try withRunner(sweep) { runner, _ in
      let states = try runner.check(overwrites: false)
      #expect(states == [.new, .new])
    }
  }
}
