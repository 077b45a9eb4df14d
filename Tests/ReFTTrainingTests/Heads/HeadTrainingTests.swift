// SPDX-License-Identifier: Apache-2.0
// Heads in training: they learn, alone and beside edits, on a decoder's last token; runs go on bit for
// bit; scores tell their measures.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("Training with a head")
struct HeadTrainingTests {
  private static let head =
    "head={task: classification, pooling: last, hidden: dense, dropout: 0.1}"

  /// A tiny run whose rows tell their label by a word.
  private func withLabelledRun(_ body: (TinyRun) throws -> Void) throws {
    try withTinyRun { run in
      for (name, count) in [("rows.jsonl", 16), ("held.jsonl", 6)] {
        let rows = (0..<count).map { row in
          let word = row % 2 == 0 ? "the" : "and"
          return #"{"text":"\#(row % 3) \#(word) in \#(word)","label":"\#(word)"}"#
        }
        try run.write(text: rows.joined(separator: "\n"), to: name)
      }
      try body(run)
    }
  }

  private static let settings = [
    head, "data.validation=held.jsonl", "train.epochs=8", "train.learning_rate=1e-2",
    "train.save_every=3",
  ]

  @Test("learns labels alone and beside edits, and tells the measures of each validation")
  func learns() throws {
    try withLabelledRun { run in
      for (name, more) in [("both", []), ("alone", ["interventions=[]"])] {
        let summary = try run.train(name, Self.settings + more)
        #expect(summary.metric == .accuracy && summary.bestMeasure == 1, "\(name)")
        let records = try run.records(name)
        let validated = records.filter { $0.validationMetrics != nil }
        #expect(validated.count == 8)
        #expect(validated.allSatisfy { $0.validationMetrics?[.accuracy] != nil })
        #expect(records[0].loss > 0.5 && records[records.count - 1].loss < 0.3, "\(name)")
        let adapter = try Adapter.load(
          path: run.folder + "/\(name)/adapter",
          model: run.model,
          catalog: run.catalog
        )
        let spec = try #require(adapter.head?.spec)
        #expect(spec.labels == LabelSet(names: ["and", "the"]))
        #expect(adapter.units.isEmpty == (name == "alone"))
        var options = DataSet.Options()
        options.head = spec
        let data = try DataSet(
          path: run.folder + "/held.jsonl",
          options: options,
          coder: run.model.tokenizer,
          chatTemplate: nil
        )
        let score = try Scorer(model: run.model, adapter: adapter).score(data)
        #expect(score.metrics?[.accuracy] == 1 && score.metrics?[.f1] == 1)
        #expect(abs(score.loss - (summary.bestLoss ?? .nan)) < 1e-6)
        #expect(score.rows.map(\.tokens) == [1, 1, 1, 1, 1, 1])
        #expect(score.rows.map(\.answer?.prediction) == [0, 1, 0, 1, 0, 1].map { .label(1 - $0) })
        let json = String(decoding: try JSONEncoder().encode(score.rows[1]), as: UTF8.self)
        #expect(json.contains(#""prediction":"and""#) && json.contains(#""outputs":["#))
      }
    }
  }

  @Test("goes on bit for bit after it was ended anywhere")
  func resumes() throws {
    try withLabelledRun { run in
      try run.train("whole", Self.settings)
      #expect(throws: ReFTError.self) { try run.train("parts", Self.settings, endingAt: 10) }
      try run.train("parts", Self.settings, mode: .resume)
      #expect(try run.tensors("whole") == run.tensors("parts"))
    }
  }

  @Test("has the same bits whatever the passes, but for the order of sums")
  func passes() throws {
    try withLabelledRun { run in
      let settings = Self.settings.filter { !$0.hasPrefix("train.epochs") } + ["train.max_steps=1"]
      try run.train("one", settings)
      try run.train("many", settings + ["train.micro_batch_tokens=8"])
      let (one, many) = (try run.records("one")[0], try run.records("many")[0])
      #expect(one.loss == many.loss)
      #expect(abs(one.gradNorm - many.gradNorm) < 1e-5 * one.gradNorm)
    }
  }

  @Test("differentiates the loss by the parameters of head and edits, as differences show")
  func gradients() throws {
    try withLabelledRun { run in
      let spec = InterventionSpec(
        plugin: "loreft",
        layers: [0, 2],
        positions: try PositionRule("f1+l2"),
        options: ["rank": .int(2)]
      )
      for pooling in HeadSpec.Pooling.allCases {
        let head = HeadSpec(
          task: .regression,
          labels: .value,
          pooling: pooling,
          hidden: .dense,
          dropout: 0.5
        )
        try run.write(
          text: (0..<5).map { #"{"text":"the \#($0) in and","label":\#(Double($0) / 2)}"# }
            .joined(separator: "\n"),
          to: "numbers.jsonl"
        )
        var options = DataSet.Options()
        options.head = head
        let data = try DataSet(
          path: run.folder + "/numbers.jsonl",
          options: options,
          coder: run.model.tokenizer,
          chatTemplate: nil
        )
        let adapter = try Adapter.create(
          specs: [spec],
          head: head,
          model: run.model,
          catalog: run.catalog,
          seed: 3
        )
        // A head at its start hardly looks at what it reads.
        for index in adapter.parameters.indices(of: .head) {
          let values = adapter.parameters.tensor(index)
          for place in values.indices { values[place] *= 5 }
        }
        try expectSlopes(Scorer(model: run.model, adapter: adapter), data, adapter.parameters)
      }
    }
  }

  private func expectSlopes(
    _ scorer: Scorer,
    _ data: DataSet,
    _ store: ParameterStore
  ) throws {
    let (_, gradients) = try scorer.scoreWithGradients(data)
    for (index, tensor) in gradients.tensors.enumerated() {
      let values = store.tensor(index)
      let start = Array(values)
      let norm = try #require(gradients.norms[tensor.name])
      #expect(norm > 0, "\(tensor.name)")
      var losses: [Double] = []
      for step in [-1e-2, 1e-2] {
        for place in values.indices {
          values[place] = start[place] + Float(step / norm) * tensor.values[place]
        }
        losses.append(try scorer.score(data).loss)
      }
      for place in values.indices { values[place] = start[place] }
      let slope = (losses[1] - losses[0]) / 2e-2
      #expect(abs(slope - norm) < 0.02 * norm + 1e-5, "\(tensor.name): \(slope), \(norm)")
    }
  }

  @Test("takes the best step by its measure, and tells where the task has no such measure")
  func metric() throws {
    try withLabelledRun { run in
      let summary = try run.train("f1", Self.settings + ["train.metric=f1"])
      #expect(summary.metric == .f1 && summary.bestMeasure == 1)
      let byLoss = try run.train("loss", Self.settings + ["train.metric=loss"])
      let lowest = try run.records("loss").compactMap(\.validationLoss).min()
      #expect(byLoss.metric == .loss && byLoss.bestMeasure == nil && byLoss.bestLoss == lowest)
      let error = #expect(throws: ReFTError.self) {
        try run.train("wrong", Self.settings + ["train.metric=pearson"])
      }
      #expect(error?.code == .badConfiguration)
      #expect(
        error?.message.hasSuffix(
          "'train.metric' is 'pearson', which a head for classification does not have; expected loss, "
            + "accuracy, f1, matthews"
        ) == true
      )
    }
  }

  @Test("embeds texts as vectors of length 1, the same ones in any company")
  func embeds() throws {
    try withTinyRun { run in
      try run.write(
        text: #"{"text":"the in"}"# + "\n" + #"{"text":"and the 1 2","label":3}"#,
        to: "texts.jsonl"
      )
      var options = DataSet.Options()
      options.isUnlabelled = true
      let data = try DataSet(
        path: run.folder + "/texts.jsonl",
        options: options,
        coder: run.model.tokenizer,
        chatTemplate: nil
      )
      let vectors = try Embedder(model: run.model, adapters: AdapterStack()).embed(data)
      #expect(vectors.count == 2 && vectors.allSatisfy { $0.count == 64 })
      for vector in vectors {
        #expect(abs(vector.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
      }
      let apart = try Embedder(
        model: run.model,
        adapters: AdapterStack(),
        microBatchTokens: 1
      ).embed(data)
      for (one, other) in zip(vectors, apart) { expectIdentical(one, other) }
    }
  }
}
