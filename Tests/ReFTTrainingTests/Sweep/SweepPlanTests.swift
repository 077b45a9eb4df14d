// SPDX-License-Identifier: Apache-2.0
// From a sweep's file to its runs, and from their results to the table.

import Foundation
import ReFTHost
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("Sweep files")
struct SweepPlanTests {
  private static let base = """
    model: tiny.gguf
    data: {train: rows.jsonl}
    interventions:
      - {plugin: loreft, layers: [1], positions: f2+l2, options: {rank: 2}}
    train: {epochs: 1}
    """

  private func plan(_ sweep: String, _ overrides: [String] = []) throws -> TrainingSweep {
    try withTemporaryDirectory { folder in
      try Data(Self.base.utf8).write(to: URL(filePath: folder + "/run.yaml"))
      try Data(("base: run.yaml\n" + sweep).utf8).write(to: URL(filePath: folder + "/rank.yaml"))
      return try TrainingSweep.load(path: folder + "/rank.yaml", overrides: overrides)
    }
  }

  @Test("cross variants, grid and seeds, and name each run by what it alone has")
  func crossed() throws {
    let plan = try plan(
      """
      variants:
        full: {}
        bare: {interventions: [{plugin: direft, layers: [0]}], train.epochs: 2}
      grid: {train.learning_rate: [1e-3, 4e-3], interventions.0.options.rank: [1]}
      seeds: [1, 2]
      """
    )
    #expect(plan.runs.count == 8)
    #expect(plan.runs[0].name == "full,learning_rate=1e-3,rank=1,seed=1")
    #expect(plan.runs[7].name == "bare,learning_rate=4e-3,rank=1,seed=2")
    let last = plan.runs[7].configuration
    #expect(last.interventions.map(\.plugin) == ["direft"])
    #expect(last.interventions[0].options["rank"]?.description == "1")
    #expect(last.train.epochs == 2 && last.train.learningRate == 4e-3 && last.train.seed == 2)
    #expect(last.output == plan.output + "/runs/" + plan.runs[7].name)
    #expect(plan.output.hasSuffix("/sweeps/rank"))
  }

  @Test("draw the same values again, and leave them as they are when more are drawn")
  func drawn() throws {
    let keys = """
        train.learning_rate: {log_uniform: [1e-4, 1e-1]}
        interventions.0.options.rank: {uniform: [1, 4]}
        train.schedule: {choice: [linear, cosine]}
      """
    let few = try plan("random:\n  count: 3\n" + keys).runs.map(\.name)
    let more = try plan("random:\n  count: 40\n" + keys)
    let names = more.runs.map(\.name)
    #expect(Array(names.prefix(3)) == few)
    #expect(Set(names).count == 40)
    let rates = more.runs.map(\.configuration.train.learningRate)
    #expect(rates.allSatisfy { (1e-4...1e-1).contains($0) })
    // Half of the draws lie below the geometric mean, more or less.
    #expect((12...28).contains(rates.count { $0 < 3.16e-3 }))
    let ranks = more.runs.compactMap { $0.settings.first { $0.name == "rank" }?.value }
    #expect(Set(ranks) == ["1", "2", "3", "4"])
  }

  @Test("draw again what was drawn before, until all combinations are there")
  func distinct() throws {
    let keys = "interventions.0.options.rank: {choice: [1, 2]}, train.epochs: {uniform: [1, 3]}"
    let all = try plan("random: {count: 6, \(keys)}").runs.map(\.name)
    #expect(Set(all).count == 6)
    #expect(try plan("random: {count: 4, \(keys)}").runs.map(\.name) == Array(all.prefix(4)))
  }

  @Test("that are empty are told what a sweep needs")
  func empty() throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/rank.yaml"
      try Data("# nothing\n".utf8).write(to: URL(filePath: path))
      let error = #expect(throws: ReFTError.self) { try TrainingSweep.load(path: path) }
      let text = "\(path):1:1: the sweep is empty; it needs at least base"
      #expect(error?.message.hasPrefix(text) == true, "\(error?.message ?? "")")
    }
  }

  @Test(
    "are refused with the place of what is wrong",
    arguments: [
      ("grid: {train.learning_rate: 1e-3}", "rank.yaml:2:29: 'grid.train.learning_rate' must be"),
      ("grid: {train.learning_rat: [1]}", "rank.yaml:2:"),
      ("gird: {}", "unknown key 'gird' at the top level; did you mean 'grid'?"),
      ("random: {count: 2}", "'random' names no key to draw"),
      ("random: {count: 2, train.epochs: {uniform: [3, 1]}}", "[3, 1], which cannot be"),
      ("random: {count: 2, train.epochs: {log_uniform: [0, 1]}}", "both above 0"),
      ("seeds: [1, 1]", "'seeds' names 1 twice"),
      ("seeds: [1]\ngrid: {train.seed: [2]}", "'train.seed' is varied twice"),
      (
        "random: {count: 10000, train.epochs: {uniform: [1, 900000]}}\nseeds: [1, 2]",
        "more than 10000"
      ),
      (
        "random: {count: 5, train.epochs: {choice: [1, 2, 01]}}",
        "'random.count' is 5, and its keys have 2 different combinations of values"
      ),
      (
        "random: {count: 3, train.learning_rate: {uniform: [0.1, 0.1001]}}",
        "'random.count' is 3, and its keys have 2 different combinations of values"
      ),
      (
        "grid: {train.learning_rate: [0.1, 0.2, 1.0e-1]}",
        "rank.yaml:2:40: 'grid.train.learning_rate' has the value 1.0e-1 twice; name it once"
      ),
      (
        "grid: {interventions.0.layers: [[0, 1], [0, 1]]}",
        "'grid.interventions.0.layers' has the value [0, 1] twice"
      ),
    ]
  )
  func refused(_ text: String, _ message: String) throws {
    let error = #expect(throws: ReFTError.self) { try plan(text) }
    #expect(error?.code == .badConfiguration)
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
  }

  @Test("refuse an override of what they vary")
  func overridden() throws {
    let error = #expect(throws: ReFTError.self) { try plan("seeds: [1]", ["train.seed=3"]) }
    #expect(error?.message.contains("the sweep itself gives 'train.seed' its values") == true)
    #expect(try plan("seeds: [1]", ["train.max_steps=2"]).runs[0].configuration.train.maxSteps == 2)
  }
}
