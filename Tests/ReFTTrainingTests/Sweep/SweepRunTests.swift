// SPDX-License-Identifier: Apache-2.0
// Sweeps that run: what is shared, skipped, recorded and gone on with.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("Sweeps")
struct SweepRunTests {
  /// A sweep of two settings and two seeds on a tiny run.
  private func write(_ run: TinyRun, _ sweep: String) throws -> TrainingSweep {
    let configuration = try run.configuration("base", ["data.validation=held.jsonl"])
    try run.write(text: configuration.yaml(), to: "run.yaml")
    try run.write(text: "base: run.yaml\n" + sweep, to: "sweep.yaml")
    return try TrainingSweep.load(path: run.folder + "/sweep.yaml")
  }

  private func means(
    _ run: TinyRun,
    stop: StopFlag = StopFlag(),
    opened: @escaping () -> Void = {}
  ) -> SweepMeans {
    SweepMeans(
      open: { _ in
        opened()
        return run.model
      },
      catalog: { _ in run.catalog },
      device: ProcessorDevice.shared,
      precision: .int16,
      train: { trainer, mode, observer in
        try trainer.run(mode: mode, stop: stop, observer: observer)
      }
    )
  }

  private static let grid = "grid: {interventions.0.options.rank: [1, 2]}\nseeds: [1, 2]\n"

  @Test("read the model once, share what frozen blocks compute, and give the bits of single runs")
  func shared() throws {
    try withTinyRun { run in
      let plan = try write(run, Self.grid)
      var opened = 0
      let runner = try SweepRunner(plan, means: means(run) { opened += 1 })
      let results = try runner.run(overwrites: false) { _ in }
      #expect(opened == 1 && runner.reuses == 3)
      #expect(results.map(\.status) == [.finished, .finished, .finished, .finished])
      for result in results { #expect(Set(result.metrics.keys) == ["loss", "validation_loss"]) }
      let more = ["data.validation=held.jsonl", "train.seed=2", "interventions.0.options.rank=2"]
      try run.train("alone", more)
      let own = "sweeps/sweep/runs/rank=2,seed=2"
      #expect(try run.tensors(own) == run.tensors("alone"))
    }
  }

  @Test("leave finished runs as they are, and refuse them where they were made otherwise")
  func finished() throws {
    try withTinyRun { run in
      let plan = try write(run, Self.grid)
      _ = try SweepRunner(plan, means: means(run)).run(overwrites: false) { _ in }
      let lines = try run.bytes("sweeps/sweep/results.jsonl")
      var old = 0
      let again = try SweepRunner(plan, means: means(run) { Issue.record("a model was opened") })
      _ = try again.run(overwrites: false) { event in
        if case .ended(_, _, true) = event { old += 1 }
      }
      #expect(old == 4)
      #expect(try run.bytes("sweeps/sweep/results.jsonl") == lines)
      let other = try TrainingSweep.load(
        path: run.folder + "/sweep.yaml",
        overrides: ["train.clip_norm=0.5"]
      )
      let error = #expect(throws: ReFTError.self) {
        try SweepRunner(other, means: means(run)).states()
      }
      #expect(error?.message.contains("train.clip_norm was 1.0 and is 0.5") == true)
      try run.write(rows: 13, to: "rows.jsonl")
      let changed = #expect(throws: ReFTError.self) {
        try SweepRunner(plan, means: means(run)).states()
      }
      #expect(changed?.message.contains("rows.jsonl' has changed") == true)
    }
  }

  @Test("go on with an interrupted run, which then has the bits of one that was not")
  func interrupted() throws {
    try withTinyRun { run in
      let plan = try write(run, Self.grid)
      let stop = StopFlag()
      let error = #expect(throws: ReFTError.self) {
        try SweepRunner(plan, means: means(run, stop: stop)).run(overwrites: false) { event in
          if case .training(1, .step(let record, _)) = event, record.step == 4 { stop.set() }
        }
      }
      #expect(error?.code == .interrupted)
      let runner = try SweepRunner(plan, means: means(run))
      #expect(try runner.states() == [.finished, .unfinished, .new, .new])
      let results = try runner.run(overwrites: false) { _ in }
      #expect(results.count { $0.status == .finished } == 4)
      let more = ["data.validation=held.jsonl", "train.seed=2", "interventions.0.options.rank=1"]
      try run.train("alone", more)
      #expect(try run.tensors("sweeps/sweep/runs/rank=1,seed=2") == run.tensors("alone"))
    }
  }

  @Test("end after a run that was finished when it was asked to end")
  func interruptedLate() throws {
    try withTinyRun { run in
      let plan = try write(run, Self.grid)
      let stop = StopFlag()
      let runner = try SweepRunner(plan, means: means(run, stop: stop))
      let error = #expect(throws: ReFTError.self) {
        try runner.run(overwrites: false, stop: stop) { event in
          if case .training(_, .saved(let step, _)) = event, step > 4 { stop.set() }
        }
      }
      #expect(error?.message == "ended after run 1 of 4, all saved; the same command goes on")
      #expect(try runner.states() == [.finished, .new, .new, .new])
    }
  }

  @Test("record a run that fails, go on with the rest, and try it again")
  func failing() throws {
    try withTinyRun { run in
      let plan = try write(run, "grid: {interventions.0.layers: [[1], [2]]}\n")
      var failing = means(run)
      var begun = 0
      failing.train = { trainer, mode, observer in
        begun += 1
        guard begun < 2 else { throw ReFTError(.badConfiguration, "the loss is nan") }
        try trainer.run(mode: mode, observer: observer)
      }
      let runner = try SweepRunner(plan, means: failing)
      let results = try runner.run(overwrites: false) { _ in }
      #expect(results.map(\.status) == [.finished, .failed])
      #expect(results[1].code == .badConfiguration)
      #expect(results[1].error == "the loss is nan")
      let read = try SweepResult.read(path: plan.resultsFile)
      #expect(read.map(\.status) == [.finished, .failed] && read[1].error == results[1].error)
      #expect(try SweepRunner(plan, means: means(run)).states() == [.finished, .new])
      let table = String(decoding: try run.bytes("sweeps/sweep/table.md"), as: UTF8.self)
      #expect(table.contains("| [2] |  |  | 0 of 1 |"), "\(table)")
    }
  }

  @Test("evaluate each run once, and sort the table by what the evaluation measured")
  func evaluated() throws {
    try withTinyRun { run in
      let plan = try write(run, Self.grid + "eval: [quiz]\n")
      var asked = 0
      var means = means(run)
      means.evaluate = { run, _ in
        asked += 1
        let isHigh = run.settings[0].value == "2"
        let value = Double(run.seed ?? 0) * 0.1 + (isHigh ? 0.5 : 0)
        return [SweepMeasure(name: "quiz.acc", value: value, standardError: 0.01)]
      }
      for _ in 0..<2 { _ = try SweepRunner(plan, means: means).run(overwrites: false) { _ in } }
      #expect(asked == 4)
      let table = SweepTable(try SweepResult.read(path: plan.resultsFile), metric: nil)
      #expect(table.metrics == ["quiz.acc", "validation_loss", "loss"])
      #expect(table.rows.map { $0.settings[0].value } == ["2", "1"])
      #expect(table.cells[1].prefix(2) == ["2", "0.6500 ± 0.0707"])
    }
  }
}
