// SPDX-License-Identifier: Apache-2.0
// Rows with a source prompt: learnt from, scored, in other processes, and refused where they do not fit.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("Rows with a source prompt")
struct CounterpartTests {
  private func withRun(_ body: (TinyRun) throws -> Void) throws {
    try withTinyRun { run in
      var run = run
      run.intervention = "{plugin: das, layers: [1, 2], positions: f1+l1, options: {rank: 2}}"
      try run.write(text: Self.rows(12), to: "rows.jsonl")
      try body(run)
    }
  }

  private static func rows(_ count: Int, source: (Int) -> String = { "and the \($0) of" }) -> String
  {
    (0..<count).map { row in
      let prompt = String(repeating: "the \(row) ", count: 1 + row % 3)
      return
        #"{"prompt":"\#(prompt)in","completion":" and \#(row % 3)","source_prompt":"\#(source(row))"}"#
    }.joined(separator: "\n")
  }

  @Test("are learnt from, the same in a process of their own, in micro-batches and after a break")
  func training() throws {
    try withRun { run in
      try run.train("here")
      try run.train("apart", ["interventions.0.isolation=process"])
      _ = try? run.train("parts", endingAt: 3)
      try run.train("parts", mode: .resume)
      try run.train("cut", ["train.micro_batch_tokens=1"])
      try run.train("bare", ["train.cache_megabytes=0"])
      #expect(try run.tensors("here") == run.tensors("apart"))
      #expect(try run.tensors("here") == run.tensors("bare"))
      #expect(try run.tensors("here") == run.tensors("parts"))
      let records = try (run.records("here"), run.records("cut"))
      for (one, other) in zip(records.0, records.1) { #expect(abs(one.loss - other.loss) < 1e-4) }
      // Other source prompts, other losses.
      try run.write(text: Self.rows(12) { "in a \($0 % 5)" }, to: "rows.jsonl")
      try run.train("other")
      #expect(try run.records("other")[0].loss != records.0[0].loss)
    }
  }

  @Test("are read once while there is room for what the model makes of them")
  func kept() throws {
    try withRun { run in
      try run.train("out", ["train.max_steps=1"])
      let adapter = try Adapter.load(
        path: run.folder + "/out/adapter",
        model: run.model,
        catalog: run.catalog
      )
      // Two locations in two blocks, of 64 numbers each.
      let size = 2 * 2 * 64 * 4
      let room = CacheRoom(bytes: 2 * size)
      var runs: [[[Int32]]] = []
      func rows(_ cache: CounterpartCache, _ keys: [Int]) throws -> [CounterpartRows] {
        try cache.rows(keys: keys, prompts: keys.map { [Int32($0), 7, 9] }) { prompts in
          runs.append(prompts)
          return try CounterpartRows.compute(
            AdapterStack(adapter),
            prompts: prompts,
            runtime: ModelRuntime(model: run.model.frozen)
          )
        }
      }
      var cache = CounterpartCache(room: room)
      let first = try rows(cache, [1])
      #expect(first[0].byteCount == size)
      #expect(try rows(cache, [1, 2, 3])[0] === first[0])
      #expect(try rows(cache, [3, 2, 1]).count == 3)
      #expect(runs == [[[1, 7, 9]], [[2, 7, 9], [3, 7, 9]], [[3, 7, 9]]])
      // Another run in the same process has the room that the first one had.
      cache = CounterpartCache(room: room)
      _ = try rows(cache, [4, 5])
      _ = try rows(cache, [4, 5])
      #expect(runs.count == 4)
    }
  }

  @Test("have the gradient that differences of the score say")
  func gradient() throws {
    try withRun { run in
      try run.train("out", ["train.max_steps=1"])
      let adapter = try Adapter.load(
        path: run.folder + "/out/adapter",
        model: run.model,
        catalog: run.catalog
      )
      var options = DataSet.Options()
      options.readsSources = true
      let data = try DataSet(
        path: run.folder + "/rows.jsonl",
        options: options,
        coder: run.model.tokenizer,
        chatTemplate: nil
      )
      let scorer = Scorer(model: run.model, adapter: adapter)
      #expect(try scorer.check(data, tokenizer: run.model.tokenizer).isEmpty)
      let (_, gradients) = try scorer.scoreWithGradients(data)
      var random = SeededGenerator(seed: 5)
      for (index, tensor) in gradients.tensors.enumerated() {
        let direction = random.normals(tensor.values.count)
        let values = adapter.parameters.tensor(index)
        let start = Array(values)
        func moved(_ step: Float) throws -> Double {
          for place in start.indices { values[place] = start[place] + step * direction[place] }
          defer { for place in start.indices { values[place] = start[place] } }
          return try scorer.score(data).loss
        }
        let numeric = (try moved(1e-3) - moved(-1e-3)) / 2e-3
        let told = zip(tensor.values, direction).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        #expect(abs(told - numeric) < 2e-2 * max(0.05, abs(numeric)), "\(tensor.name)")
      }
    }
  }

  @Test("are refused by row where one is missing or has another number of locations")
  func refused() throws {
    try withRun { run in
      let lines = Self.rows(4).split(separator: "\n").map(String.init)
      let without = #"{"prompt":"the one in","completion":" a"}"#
      try run.write(text: (lines + [without]).joined(separator: "\n"), to: "rows.jsonl")
      let missing = #expect(throws: ReFTError.self) { try run.train("out") }
      #expect(missing?.code == .badData)
      #expect(missing?.message.contains("rows.jsonl:5") == true)
      #expect(missing?.message.contains("\"source_prompt\"") == true)
      try run.write(text: Self.rows(4), to: "rows.jsonl")
      let unequal = #expect(throws: ReFTError.self) {
        try run.train("out", ["interventions.0.positions=all"])
      }
      #expect(unequal?.message.contains("rows.jsonl:1") == true)
      #expect(unequal?.message.contains("of the prompt and") == true)
      // A plugin that takes none says so of rows that have one.
      run.plain { warnings in #expect(warnings.contains { $0.contains("source_prompt") }) }
    }
  }
}

extension TinyRun {
  /// Trains LoReFT and hands out the warnings.
  fileprivate func plain(_ check: ([String]) -> Void) {
    var copy = self
    copy.intervention = "{plugin: loreft, layers: 1, options: {rank: 2}}"
    var warnings: [String] = []
    _ = try? copy.train("plain", ["train.max_steps=1"]) { event in
      if case .warning(let text) = event { warnings.append(text) }
    }
    check(warnings)
  }
}
