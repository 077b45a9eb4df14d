// SPDX-License-Identifier: Apache-2.0
// Scores: means over labels, and derivatives that match differences.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

struct ScorerTests {
  private func adapter(_ run: TinyRun, dropout: Double = 0) throws -> Adapter {
    let spec = InterventionSpec(
      plugin: "loreft",
      layers: [0, 2],
      positions: try PositionRule("f1+l2"),
      options: ["rank": .int(2), "dropout": .float(dropout)]
    )
    return try Adapter.create(specs: [spec], model: run.model, catalog: run.catalog, seed: 3)
  }

  private func data(_ run: TinyRun) throws -> DataSet {
    try DataSet(path: run.folder + "/rows.jsonl", coder: run.model.tokenizer, chatTemplate: nil)
  }

  @Test("gives the mean over all labels, whatever the passes")
  func means() throws {
    try withTinyRun { run in
      let data = try data(run)
      let score = try Scorer(model: run.model, adapter: nil).score(data)
      #expect(score.rows.count == 12 && score.tokens == data.account.labels)
      let sum = score.rows.reduce(0) { $0 + ($1.loss ?? .nan) * Double($1.tokens) }
      #expect(abs(score.loss - sum / Double(score.tokens)) < 1e-12)
      #expect(abs(score.perplexity - exp(score.loss)) < 1e-12)
      let split = try Scorer(model: run.model, adapter: nil, microBatchTokens: 1).score(data)
      for (a, b) in zip(score.rows, split.rows) { #expect(a == b) }
      let edited = try Scorer(model: run.model, adapter: adapter(run)).score(data)
      #expect(abs(edited.loss - score.loss) > 1e-3)
    }
  }

  @Test("keeps rows without labels in their places, without a loss")
  func unlabelled() throws {
    try withTinyRun { run in
      try run.write(
        text: """
          {"ids":[1,2,3],"labels":[-100,-100,-100]}
          {"ids":[1,2,3],"labels":[-100,2,3]}
          {"ids":[1],"labels":[1]}
          """,
        to: "rows.jsonl"
      )
      let data = try data(run)
      let score = try Scorer(model: run.model, adapter: nil).score(data)
      #expect(score.rows.map(\.tokens) == [0, 2, 0])
      #expect(score.rows[0].loss == nil && score.rows[2].loss == nil)
      #expect(score.rows[1].loss == score.loss)
      let json = String(decoding: try JSONEncoder().encode(score.rows[0]), as: UTF8.self)
      #expect(Set(json) == Set(#"{"loss":null,"tokens":0}"#))
      #expect(
        data.warnings == [
          "\(run.folder)/rows.jsonl:1: 2 of 3 rows have no token to learn, this one the first; they "
            + "are left out"
        ]
      )
    }
  }

  @Test("tells the rows that the adapter leaves alone")
  func untouched() throws {
    try withTinyRun { run in
      try run.write(
        text: """
          {"prompt":"the the","completion":" in"}
          {"prompt":"h","completion":" in"}
          """,
        to: "rows.jsonl"
      )
      let scorer = try Scorer(model: run.model, adapter: adapter(run))
      #expect(
        try scorer.check(data(run), tokenizer: run.model.tokenizer) == [
          "\(run.folder)/rows.jsonl:2: 1 of 2 rows have no token that positions 'f1+l2' edit, this one "
            + "the first: its prompt has 1 token, and each end is clipped to half of it, rounded down"
        ]
      )
    }
  }

  @Test("differentiates the loss by every parameter, as differences show")
  func gradients() throws {
    try withTinyRun { run in
      let (data, adapter) = try (data(run), adapter(run))
      let scorer = Scorer(model: run.model, adapter: adapter, microBatchTokens: 60)
      let (score, gradients) = try scorer.scoreWithGradients(data)
      #expect(abs(score.loss - (try scorer.score(data)).loss) < 1e-6)
      let store = adapter.parameters
      #expect(gradients.tensors.map(\.name) == store.infos.map(\.name))
      for (index, tensor) in gradients.tensors.enumerated() {
        let values = store.tensor(index)
        let start = Array(values)
        let direction = FloatBuffer(count: values.count)
        CounterRandom(key: 11, step: UInt64(index)).fillNormal(direction.values)
        let size = direction.values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        let slope = zip(tensor.values, direction.values).reduce(0.0) {
          $0 + Double($1.0) * Double($1.1 / size)
        }
        var losses: [Double] = []
        for step: Float in [-1e-2, 1e-2] {
          for place in values.indices {
            values[place] = start[place] + step * direction[place] / size
          }
          losses.append(try scorer.score(data).loss)
        }
        for place in values.indices { values[place] = start[place] }
        let difference = (losses[1] - losses[0]) / 2e-2
        let norm = try #require(gradients.norms[tensor.name])
        #expect(abs(slope - difference) < 0.02 * norm, "\(tensor.name): \(slope) \(difference)")
        let own = tensor.values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        #expect(norm > 0 && abs(norm - own) < 1e-9)
      }
    }
  }

  @Test("refuses gradients without an adapter, and random ones")
  func refuses() throws {
    try withTinyRun { run in
      let data = try data(run)
      let missing = #expect(throws: ReFTError.self) {
        try Scorer(model: run.model, adapter: nil).scoreWithGradients(data)
      }
      #expect(missing?.code == .usage)
      let dropout = #expect(throws: ReFTError.self) {
        try Scorer(model: run.model, adapter: adapter(run, dropout: 0.5)).scoreWithGradients(data)
      }
      #expect(
        dropout?.message
          == "the adapter's gradient would be random: with another random key, training gives other "
          + "losses, and of its plugins loreft may draw numbers; set the option that does it, such as "
          + "dropout, to 0 in adapter_config.json"
      )
    }
  }
}
