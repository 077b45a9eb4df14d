// SPDX-License-Identifier: Apache-2.0
// Losses that plugins add themselves: in the gradient, in micro-batches, in other processes, and in what is
// told of a run.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("Auxiliary losses")
struct AuxiliaryLossTests {
  private static let entry =
    "{plugin: aux, layers: [1, 2], positions: f2+l1, auxiliary_weight: 0.5}"

  private func withRun(_ body: (TinyRun) throws -> Void) throws {
    try withTinyRun(plugin: "aux") { run in
      var run = run
      run.intervention = Self.entry
      try body(run)
    }
  }

  private func data(_ run: TinyRun, rows: Range<Int>? = nil) throws -> DataSet {
    let text = String(decoding: try run.bytes("rows.jsonl"), as: UTF8.self)
    let lines = text.split(separator: "\n")
    try run.write(text: lines[rows ?? lines.indices].joined(separator: "\n"), to: "some.jsonl")
    return try DataSet(
      path: run.folder + "/some.jsonl",
      coder: run.model.tokenizer,
      chatTemplate: nil
    )
  }

  private func adapter(_ run: TinyRun) throws -> Adapter {
    try run.train("out", ["train.max_steps=1"])
    return try Adapter.load(
      path: run.folder + "/out/adapter",
      model: run.model,
      catalog: run.catalog
    )
  }

  @Test("are in records, validation, summary, report and the adapter's facts")
  func told() throws {
    try withRun { run in
      let summary = try run.train("out", ["data.validation=held.jsonl"])
      let records = try run.records("out")
      #expect(records.allSatisfy { ($0.auxiliary ?? 0) > 0 })
      #expect(records.last?.validationAuxiliary != nil)
      let epoch = records.suffix(3).compactMap(\.auxiliary).reduce(0, +) / 3
      #expect(abs((summary.auxiliary ?? 0) - epoch) < 1e-9)
      let report = String(decoding: try run.bytes("out/report.html"), as: UTF8.self)
      #expect(report.contains("Auxiliary loss (per sequence, weighted)"))
      let config = String(decoding: try run.bytes("out/adapter/adapter_config.json"), as: UTF8.self)
      #expect(config.contains("\"auxiliary_weight\" : 0.5"))
      #expect(config.contains("epoch_auxiliary"))
      // Without weight there is none, and the loss is no other.
      try run.train("plain", ["interventions.0.auxiliary_weight=0"])
      let plain = try run.records("plain")
      #expect(plain.allSatisfy { $0.auxiliary == nil } && plain[0].loss == records[0].loss)
      #expect(plain[5].loss != records[5].loss)
    }
  }

  @Test("have the gradient that differences of loss plus auxiliary loss say")
  func gradient() throws {
    try withRun { run in
      let adapter = try adapter(run)
      let rows = try data(run)
      let scorer = Scorer(model: run.model, adapter: adapter, microBatchTokens: 40)
      let (_, gradients) = try scorer.scoreWithGradients(rows)
      var random = SeededGenerator(seed: 3)
      for (index, tensor) in gradients.tensors.enumerated() {
        let direction = random.normals(tensor.values.count)
        let values = adapter.parameters.tensor(index)
        let start = Array(values)
        func moved(_ step: Float) throws -> Double {
          for place in start.indices { values[place] = start[place] + step * direction[place] }
          defer { for place in start.indices { values[place] = start[place] } }
          let score = try scorer.score(rows)
          return score.loss + (score.auxiliary ?? .nan)
        }
        let numeric = (try moved(1e-3) - moved(-1e-3)) / 2e-3
        let told = zip(tensor.values, direction).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        #expect(abs(told - numeric) < 2e-2 * max(0.1, abs(numeric)), "\(tensor.name)")
      }
    }
  }

  @Test("count each row of each sequence, however passes are cut and whatever sequences share")
  func micro() throws {
    try withRun { run in
      let adapter = try adapter(run)
      let whole = try Scorer(model: run.model, adapter: adapter).score(data(run)).auxiliary
      let cut = try Scorer(model: run.model, adapter: adapter, microBatchTokens: 1)
        .score(data(run)).auxiliary
      let single = try (0..<12).compactMap { row in
        try Scorer(model: run.model, adapter: adapter).score(data(run, rows: row..<row + 1))
          .auxiliary
      }
      let mean = single.reduce(0, +) / 12
      for other in [cut, mean] { #expect(abs((whole ?? 0) - (other ?? 1)) < 1e-6) }
      try run.train("cut", ["train.micro_batch_tokens=1"])
      try run.train("long", ["train.micro_batch_tokens=1000"])
      for (one, other) in zip(try run.records("cut"), try run.records("long")) {
        #expect(abs((one.auxiliary ?? 0) - (other.auxiliary ?? 1)) < 1e-5)
        #expect(abs(one.gradNorm - other.gradNorm) < 1e-4)
      }
    }
  }

  @Test("need every row, and rows of their own for each sequence, where they are counted")
  func rows() throws {
    try withRun { run in
      let adapter = try adapter(run)
      let edits = (0..<2).map {
        SequenceEdit(adapter: adapter, start: 6 * $0, count: 6, promptLength: 4)
      }
      let plain = try EditSession(edits)
      let counting = try EditSession(edits, auxiliaryScale: 0)
      #expect(!plain.needsAllRows && counting.needsAllRows)
      #expect(plain.sharedPrefixLimit > 0 && counting.sharedPrefixLimit == 0)
    }
  }

  @Test("give the same bits in a process of their own, and after an interruption")
  func isolated() throws {
    try withRun { run in
      try run.train("here")
      try run.train("apart", ["interventions.0.isolation=process"])
      _ = try? run.train("parts", endingAt: 4)
      try run.train("parts", mode: .resume)
      for other in ["apart", "parts"] {
        #expect(try run.tensors("here") == run.tensors(other))
        let pairs = try zip(run.records("here"), run.records(other))
        #expect(pairs.allSatisfy { $0.auxiliary == $1.auxiliary })
      }
    }
  }

  @Test("a weight for a plugin that has none is refused")
  func refused() throws {
    try withTinyRun { run in
      let error = #expect(throws: ReFTError.self) {
        try run.train("out", ["interventions.0.auxiliary_weight=2"])
      }
      #expect(error?.code == .badConfiguration)
      #expect(error?.message.contains("plugin 'loreft' adds no auxiliary loss") == true)
    }
  }
}
