// SPDX-License-Identifier: Apache-2.0
// Where and which: places of every kind and several adapters, from training to the traced reply.

import Foundation
import Testing
import _ReFTTestSupport

@Suite("Places and compositions")
struct PlacesTests {
  private func document(_ bench: Workbench, _ words: [String]) throws -> [String: Any] {
    let tool = try Tool.reft(
      words.map { $0.replacingOccurrences(of: "$T", with: bench.folder) } + ["--json"]
    )
    try #require(tool.status == 0, "\(tool.errors)")
    return try tool.json()
  }

  private static let config = """
    model: tiny.gguf
    data: {train: rows.jsonl, max_length: 64}
    interventions:
      - plugin: loreft
        layers: [0, 1]
        component: attention_value_output
        heads: [1, 3]
        tie: layers
        share_weights: none
        positions: "f1*0.5+[-1]+decode"
      - {plugin: red, layers: [1], positions: "random:2@5"}
    train: {epochs: 1, batch_size: 2, learning_rate: 1.0e-3}
    output: run

    """

  private let score = ["score", "--model", "$T/tiny.gguf", "--data", "$T/rows.jsonl"]

  @Test("train, score, generate and trace heads, ties, untied and drawn positions")
  func trains() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun(config: Self.config)
      let run = try document(bench, ["train", "$T/run.yaml"])
      // Two heads and two positions of rank 4 over 16 numbers, and two vectors of 64.
      #expect(run["trainable_parameters"] as? Int == 4 * (2 * 4 * 16 + 4) + 2 * 64)
      let changes = try #require(run["changes"] as? [[String: Any]])
      #expect(
        changes.compactMap { $0["component"] as? String } == [
          "attention_value_output", "attention_value_output", "block_output",
        ]
      )
      let adapter = try #require(run["adapter"] as? String)
      let info = try document(bench, ["adapter", "info", adapter])
      let first = try #require((info["interventions"] as? [[String: Any]])?.first)
      #expect(first["heads"] as? [Int] == [1, 3] && first["tie"] as? [String] == ["layers"])
      #expect(first["share_weights"] as? String == "none")
      #expect(first["positions"] as? String == "f1*0.5+[-1]+decode")
      let scored = try document(bench, score + ["--adapter", adapter, "--trace"])
      let frozen = try document(bench, score)
      #expect(scored["loss"] as? Double != frozen["loss"] as? Double)
      let trace = try #require(scored["trace"] as? [[String: Any]])
      #expect(Set(trace.compactMap { $0["text"] as? Int }) == [0, 1, 2, 3])
      let tool = try Tool.reft([
        "generate", "--model", bench.path("tiny.gguf"), "--adapter", adapter, "--prompt",
        "one two three", "--max-tokens", "3", "--trace", "--trace-file", bench.path("t.json"),
      ])
      #expect(tool.status == 0 && tool.errors.contains("‖Δh‖/‖h‖ by token and block"))
      #expect(tool.errors.contains("attention_value_output:\n"))
      let file = try Data(contentsOf: URL(fileURLWithPath: bench.path("t.json")))
      #expect(String(decoding: file, as: UTF8.self).contains("\"ratio\""))
      try bench.write("{\"text\": \"one two\"}\n{\"text\": \"three four\"}\n", to: "texts.jsonl")
      let embed = ["embed", "--model", "$T/tiny.gguf", "--data", "$T/texts.jsonl"]
      let vectors = try document(bench, embed + ["--adapter", adapter, "--trace"])
      let places = try #require(vectors["trace"] as? [[String: Any]])
      #expect(Set(places.compactMap { $0["text"] as? Int }) == [0, 1])
      let plain = try document(bench, embed + ["--adapter", adapter])
      #expect(vectors["embeddings"] as? [[Double]] == plain["embeddings"] as? [[Double]])
      let chat = try Tool.reft(
        ["chat", "--model", bench.path("tiny.gguf"), "--adapter", adapter, "--trace"],
        input: Data("one\n".utf8)
      )
      #expect(chat.status == 0 && chat.errors.contains("‖Δh‖/‖h‖"), "\(chat.errors)")
    }
  }

  @Test("compose adapters by strength and rule, and combine them into one of the same loss")
  func composes() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      try bench.writeAdapter()
      func loss(_ more: [String]) throws -> Double {
        try #require(try document(bench, score + more)["loss"] as? Double)
      }
      let (one, half) = (["--adapter", "$T/adapter"], ["--adapter", "$T/adapter:0.5"])
      let (frozen, whole) = (try loss([]), try loss(one))
      #expect(try loss(["--adapter", "$T/adapter:0"]) == frozen)
      #expect(try loss(["--adapter", "$T/adapter:1"]) == whole && whole != frozen)
      #expect(try abs(loss(half + half) - whole) < 1e-5)
      #expect(try loss(half + half + ["--compose", "sequential"]) != loss(half + half))
      let refused = try Tool.reft(
        (score + one + half + ["--compose", "error"]).map {
          $0.replacingOccurrences(of: "$T", with: folder)
        }
      )
      #expect(refused.status == 64)
      #expect(refused.errors.contains("both edit the block_output of block 0"))
      let made = try document(
        bench,
        ["adapter", "combine", "$T/adapter:0.5", "$T/adapter:0.25", "--output", "$T/both"]
      )
      #expect(made["parameters"] as? Int == 2 * 2 * 64 + 2)
      let composed = try loss(half + ["--adapter", "$T/adapter:0.25"])
      #expect(try abs(loss(["--adapter", "$T/both"]) - composed) < 1e-5)
      let taken = try Tool.reft([
        "adapter", "combine", bench.path("adapter"), "--output", bench.path("adapter"),
      ])
      #expect(taken.status == 64 && taken.errors.contains("is one of the adapters itself"))
    }
  }
}
