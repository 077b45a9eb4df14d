// SPDX-License-Identifier: Apache-2.0
// Runs that tasks judge: which step is the best, when patience ends, what is written down.

import Foundation
import ReFTHost
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

/// A judge whose values are given.
private final class GivenJudge: TrainingJudge {
  let measures: [(name: String, isHigherBetter: Bool)]
  let facts = ["arc": "sha256:1"]
  private var values: [Double]

  init(_ values: [Double], isHigherBetter: Bool = true) {
    self.values = values
    measures = [("arc.acc", isHigherBetter)]
  }

  func judge(_ adapter: Adapter) throws -> [JudgedMeasure] {
    [JudgedMeasure(name: "arc.acc", value: values.isEmpty ? 0 : values.removeFirst())]
  }
}

@Suite("A run that tasks judge")
struct JudgeTests {
  private static let judged = [
    "train.validate=[arc_easy_cloze]", "train.metric=arc.acc", "train.eval_every=1",
  ]

  @Test("takes the step that the task's measure says, higher or lower as the measure is")
  func best() throws {
    try withTinyRun { run in
      let values = [0.2, 0.5, 0.4, 0.3, 0.1, 0.2]
      let high = try run.train("high", Self.judged, judge: GivenJudge(values))
      #expect(high.bestStep == 2 && high.bestMeasure == 0.5 && high.metricName == "arc.acc")
      let low = try run.train(
        "low",
        Self.judged,
        judge: GivenJudge(values, isHigherBetter: false)
      )
      #expect(low.bestStep == 5 && low.bestMeasure == 0.1 && low.bestLoss == nil)
      #expect(try run.records("high").map { $0.taskMetrics?["arc.acc"] } == values)
      let manifest = String(decoding: try run.bytes("high/manifest.json"), as: UTF8.self)
      #expect(manifest.contains("\"best_metric\" : {\n    \"arc.acc\" : 0.5"))
      #expect(manifest.contains("\"task_metrics\""))
      let report = String(decoding: try run.bytes("high/report.html"), as: UTF8.self)
      #expect(report.contains("arc.acc"))
    }
  }

  @Test("ends when patience does, with the adapter of the best step, and is over then")
  func patience() throws {
    try withTinyRun { run in
      var ended: Int?
      let overrides = Self.judged + ["train.patience=2"]
      let judge = GivenJudge([0.2, 0.5, 0.5, 0.4, 0.9, 0.9])
      let summary = try run.train("out", overrides, judge: judge) { event in
        if case .endedEarly(let step, validations: 2) = event { ended = step }
      }
      #expect(ended == 4 && summary.steps == 4 && summary.bestStep == 2)
      let again = try run.train("out", overrides, mode: .resume, judge: judge)
      #expect(again.steps == 4 && again.bestStep == 2)
    }
  }

  @Test("goes on with what it knew of the best step")
  func resumes() throws {
    try withTinyRun { run in
      let values = [0.2, 0.5, 0.4, 0.3, 0.1, 0.2]
      #expect(throws: ReFTError.self) {
        try run.train("out", Self.judged, endingAt: 3, judge: GivenJudge(values))
      }
      let rest = GivenJudge(Array(values.dropFirst(3)))
      let summary = try run.train("out", Self.judged, mode: .resume, judge: rest)
      #expect(summary.bestStep == 2 && summary.bestMeasure == 0.5)
      #expect(try run.records("out").map { $0.taskMetrics?["arc.acc"] } == values)
    }
  }

  @Test("refuses a measure that no task has, and patience without anything to judge by")
  func refusals() throws {
    try withTinyRun { run in
      let wrong = #expect(throws: ReFTError.self) {
        try run.train("out", ["train.validate=[a]", "train.metric=arc.ac"], judge: GivenJudge([]))
      }
      #expect(wrong?.message.contains("(did you mean 'arc.acc'?)") == true)
      let alone = #expect(throws: ReFTError.self) {
        try run.configuration("o", ["train.patience=1"])
      }
      #expect(alone?.message.contains("there is nothing to judge them by") == true)
      let none = #expect(throws: ReFTError.self) {
        try run.configuration("o", ["train.metric=a.b"])
      }
      #expect(none?.message.contains("there is no 'train.validate'") == true)
    }
  }

  @Test("writes its tasks into the configuration, and reads them back")
  func written() throws {
    try withTinyRun { run in
      let configuration = try run.configuration(
        "o",
        [
          "train.validate=[sst2_cloze, {task: own.yaml, data: d.tsv, limit: 5, shots: 2}]",
          "train.metric=sst2_cloze.acc", "train.patience=3",
        ]
      )
      #expect(configuration.train.validate[1].data == run.folder + "/d.tsv")
      #expect(configuration.train.validate[1].task == run.folder + "/own.yaml")
      let again = try RunConfiguration.parse(
        yaml: configuration.yaml(),
        path: run.folder + "/o/config.yaml"
      )
      #expect(again.train == configuration.train)
    }
  }
}
