// SPDX-License-Identifier: Apache-2.0
// Two tasks in disjoint subspaces of one rotation, used together.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("Subspaces of two tasks")
struct SubspaceTests {
  /// Rows of a task: prompts of its own, and one answer to all of them.
  private func write(_ run: TinyRun, _ name: String, prompt: String, answer: String) throws {
    let rows = (0..<8).map { row in
      #"{"prompt":"\#(prompt) \#(row) \#(prompt)","completion":" \#(answer)"}"#
    }
    try run.write(text: rows.joined(separator: "\n"), to: name)
  }

  private func loss(_ run: TinyRun, _ adapters: AdapterStack, on name: String) throws -> Double {
    let data = try DataSet(
      path: run.folder + "/" + name,
      options: DataSet.Options(),
      coder: run.model.tokenizer,
      chatTemplate: nil
    )
    return try Scorer(model: run.model, adapters: adapters).score(data).loss
  }

  @Test("trained one after the other, they keep what each has learnt when they act together")
  func together() throws {
    try withTinyRun { run in
      try write(run, "one.jsonl", prompt: "the man", answer: "in")
      try write(run, "two.jsonl", prompt: "on of", answer: "and")
      let common = [
        "interventions.0.options.rank=8", "interventions.0.options.init=identity",
        "train.epochs=20", "train.batch_size=8",
      ]
      func adapter(_ output: String) throws -> Adapter {
        try Adapter.load(
          path: run.folder + "/\(output)/adapter",
          model: run.model,
          catalog: run.catalog
        )
      }
      try run.train(
        "one",
        common + ["data.train=one.jsonl", #"interventions.0.options.subspace="0-3""#]
      )
      try run.train(
        "two",
        common + [
          "data.train=two.jsonl", #"interventions.0.options.subspace="4-7""#,
          "train.init_adapter=one/adapter",
        ]
      )
      let (one, two) = (try adapter("one"), try adapter("two"))
      let name = "interventions.0.layers.1.rotate.weight"
      let rotation = try #require(one.parameters.index(of: name))
      let width = 64
      // The second task's training has not touched the directions of the first.
      expectIdentical(
        one.parameters.tensor(rotation)[..<(4 * width)],
        two.parameters.tensor(rotation)[..<(4 * width)]
      )
      let both = AdapterStack([.init(one), .init(two)])
      for (own, data) in [(one, "one.jsonl"), (two, "two.jsonl")] {
        let frozen = try loss(run, AdapterStack(), on: data)
        let alone = try loss(run, AdapterStack(own), on: data)
        let joined = try loss(run, both, on: data)
        #expect(alone < frozen - 0.5, "\(data): \(frozen) to \(alone)")
        // At least half of what was learnt is kept beside the other task.
        #expect(joined < (frozen + alone) / 2, "\(data): \(frozen), \(alone), together \(joined)")
      }
    }
  }
}
