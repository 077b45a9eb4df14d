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
    try run.write(text: rows(prompt: prompt, answer: answer).joined(separator: "\n"), to: name)
  }

  private func rows(prompt: String, answer: String, subspace: Int? = nil) -> [String] {
    let named = subspace.map { ",\"subspace\":\($0)" } ?? ""
    return (0..<8).map { row in
      #"{"prompt":"\#(prompt) \#(row) \#(prompt)","completion":" \#(answer)"\#(named)}"#
    }
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

  @Test("trained at once, each row in its own, one adapter answers one prompt in two ways")
  func byRow() throws {
    try withTinyRun { run in
      let prompt = "the man"
      let both = ["in", "and"].enumerated().map { index, answer in
        rows(prompt: prompt, answer: answer, subspace: index)
      }
      for (index, rows) in both.enumerated() {
        try run.write(text: rows.joined(separator: "\n"), to: "\(index).jsonl")
      }
      try run.write(text: both.joined().joined(separator: "\n"), to: "both.jsonl")
      try run.train(
        "joint",
        [
          "data.train=both.jsonl", "interventions.0.options.rank=8",
          "interventions.0.options.init=identity",
          #"interventions.0.options.subspaces="0-3;4-7""#, "train.epochs=30", "train.batch_size=8",
        ]
      )
      let joint = AdapterStack(
        try Adapter.load(
          path: run.folder + "/joint/adapter",
          model: run.model,
          catalog: run.catalog
        )
      )
      try write(run, "0-anywhere.jsonl", prompt: prompt, answer: "in")
      for name in ["0.jsonl", "1.jsonl"] {
        let frozen = try loss(run, AdapterStack(), on: name)
        let own = try loss(run, joint, on: name)
        #expect(own < frozen - 0.5, "\(name): \(frozen) to \(own)")
      }
      // What names no subspace is edited in both, and the same prompt can have one answer only.
      let own = try loss(run, joint, on: "0.jsonl")
      let anywhere = try loss(run, joint, on: "0-anywhere.jsonl")
      #expect(anywhere > own + 0.1, "\(own), \(anywhere)")
    }
  }

  @Test(
    "that are no numbers from 0 are errors of the row",
    arguments: ["-1", "1.5", "\"a\"", "[0]"]
  )
  func wrong(_ value: String) throws {
    try withTinyRun { run in
      let row = #"{"prompt":"the man","completion":" in","subspace":\#(value)}"#
      try run.write(text: row, to: "rows.jsonl")
      let error = #expect(throws: ReFTError.self) {
        try loss(run, AdapterStack(), on: "rows.jsonl")
      }
      #expect(error?.code == .badData)
      #expect(error?.message.contains("rows.jsonl:1:51: \"subspace\" must be a whole") == true)
    }
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
