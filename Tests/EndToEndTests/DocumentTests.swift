// SPDX-License-Identifier: Apache-2.0
// The JSON documents of the commands: exactly the promised keys, and values that agree.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("JSON documents")
struct DocumentTests {
  private func bench<Result>(_ body: (Workbench) throws -> Result) throws -> Result {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      return try body(bench)
    }
  }

  private func document(_ bench: Workbench, _ call: [String]) throws -> [String: Any] {
    let words = call.map { $0.replacing("$T", with: bench.folder) }
    let tool = try Tool.reft(words + ["--json"], folder: bench.folder)
    #expect(tool.status == 0, "\(tool.errors)")
    return try tool.json()
  }

  @Test(
    "have exactly the keys of the contract",
    arguments: [
      (
        ["model", "info", "$T/tiny.gguf"],
        "architecture parameters layers hidden_size heads kv_heads vocab_size context_length "
          + "file_type fingerprint components"
      ),
      (["tokenize", "--model", "$T/tiny.gguf", "--text", "one two"], "ids tokens"),
      (
        ["score", "--model", "$T/tiny.gguf", "--data", "$T/rows.jsonl"],
        "loss tokens perplexity rows"
      ),
      (
        ["generate", "--model", "$T/tiny.gguf", "--prompt", "one two", "--max-tokens", "4"],
        "text ids prompt_ids finish_reason timings"
      ),
      (
        [
          "generate", "--model", "$T/tiny.gguf", "--input", "$T/rows.jsonl", "--max-tokens", "4",
        ], "results"
      ),
      (
        ["train", "$T/run.yaml"],
        "steps loss best_loss best_metric seconds tokens_per_second peak_rss_bytes adapter trainable_parameters "
          + "plugin_shares changes"
      ),
      (["plugin", "list"], "plugins refused"),
      (
        ["plugin", "info", "loreft"],
        "name id version abi summary license path hash isolation trust check check_warnings "
          + "capabilities options parameters warnings"
      ),
    ]
  )
  func keys(_ call: [String], _ keys: String) throws {
    try bench { bench in
      let found = Set(try document(bench, call).keys)
      #expect(found == Set(keys.split(separator: " ").map(String.init)))
    }
  }

  @Test("of a training run name an adapter that scores and generates")
  func trainedAdapterWorks() throws {
    try bench { bench in
      let run = try document(bench, ["train", "$T/run.yaml", "--set", "train.epochs=3"])
      let adapter = try #require(run["adapter"] as? String)
      #expect(run["steps"] as? Int == 6)
      #expect(run["trainable_parameters"] as? Int == 2 * (2 * 2 * 64 + 2))
      let frozen = try document(
        bench,
        ["score", "--model", "$T/tiny.gguf", "--data", "$T/rows.jsonl"]
      )
      let edited = try document(
        bench,
        ["score", "--model", "$T/tiny.gguf", "--data", "$T/rows.jsonl", "--adapter", adapter]
      )
      #expect(edited["tokens"] as? Int == frozen["tokens"] as? Int)
      #expect(edited["loss"] as? Double != frozen["loss"] as? Double)
      let info = try document(bench, ["adapter", "info", adapter])
      #expect(
        Set(info.keys) == [
          "base_model", "interventions", "template", "training", "parameters", "tensors",
        ]
      )
      let reply = try document(
        bench,
        [
          "generate", "--model", "$T/tiny.gguf", "--adapter", adapter, "--prompt", "one two",
          "--max-tokens", "3",
        ]
      )
      #expect((reply["ids"] as? [Int])?.isEmpty == false)
      let shares = try #require(reply["plugin_shares"] as? [String: Double])
      #expect(shares.keys.sorted() == ["loreft"])
      #expect(shares.values.allSatisfy { $0 > 0 && $0 < 1 })
      let list = try document(bench, ["plugin", "list"])
      let plugins = try #require(list["plugins"] as? [[String: Any]])
      let keys = Set(plugins.flatMap(\.keys))
      #expect(keys.isSuperset(of: ["version", "abi", "hash", "trust", "check", "isolation"]))
    }
  }

  @Test("of gradients name every tensor of the adapter, and the file holds them")
  func gradients() throws {
    try bench { bench in
      try bench.writeAdapter()
      let score = try document(
        bench,
        [
          "score", "--model", "$T/tiny.gguf", "--adapter", "$T/adapter", "--data", "$T/rows.jsonl",
          "--gradients", "$T/gradients.safetensors",
        ]
      )
      let norms = try #require(score["grad_l2"] as? [String: Double])
      #expect(Set(norms.keys) == Set(Workbench.adapterTensors.map(\.name)))
      #expect(norms.values.allSatisfy { $0 > 0 })
      #expect(FileManager.default.fileExists(atPath: bench.path("gradients.safetensors")))
    }
  }

  @Test("do not change when the order of options does, and stderr holds no result")
  func isDeterministic() throws {
    try bench { bench in
      let call = ["generate", "--model", bench.path("tiny.gguf"), "--prompt", "red", "--seed", "3"]
      let more = ["--temperature", "0.9", "--max-tokens", "12"]
      let first = try Tool.reft(call + more)
      let second = try Tool.reft([call[0]] + more + call[1...])
      #expect(first.status == 0)
      #expect(first.output == second.output)
      #expect(first.errors.isEmpty)
    }
  }
}
