// SPDX-License-Identifier: Apache-2.0
// `reft steer` as processes: from pairs to an adapter, a sweep, and a text.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Steering")
struct SteerTests {
  private static let pairs = (0..<8).map { number in
    #"{"prompt":"item \#(number) of the list is","positive":" one of the best","negative":" not so"}"#
  }.joined(separator: "\n")

  private func bench<Result>(_ body: (Workbench) throws -> Result) throws -> Result {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      try bench.write(Self.pairs, to: "pairs.jsonl")
      try bench.write("The sea and the land are there, and the wind is in the trees.", to: "n.txt")
      return try body(bench)
    }
  }

  private func run(_ bench: Workbench, _ words: [String]) throws -> Tool {
    let model = ["--model", bench.path("tiny.gguf")]
    return try Tool.reft(["steer"] + words + model, folder: bench.folder)
  }

  @Test("goes from pairs to a vector, a setting and a text, with the documents of the contract")
  func whole() throws {
    try bench { bench in
      let extract = try run(
        bench,
        ["extract", "--data", "pairs.jsonl", "--output", "warm", "--strength", "-0.3", "--json"]
      )
      #expect(extract.status == 0, "\(extract.errors)")
      let found = try extract.json()
      let keys =
        "output method component position unit strength paired texts held_out tokens seconds "
        + "tokens_per_second best_layer layers"
      #expect(Set(found.keys) == Set(keys.split(separator: " ").map(String.init)))
      #expect(found["texts"] as? Int == 12 && found["held_out"] as? Int == 4)
      let words = [
        "sweep", "--adapter", "warm", "--data", "pairs.jsonl", "--neutral", "n.txt", "--output",
        "s", "--strengths", "-2,2", "--prompt-baseline", "Praise it.", "--max-tokens", "4",
        "--max-perplexity-increase", "1e6",
      ]
      let sweep = try run(bench, words + ["--json"])
      #expect(sweep.status == 0, "\(sweep.errors)")
      let document = try sweep.json()
      #expect(
        Set(document.keys)
          == ["output", "report", "adapter", "effect", "results", "recommended", "seconds"]
      )
      #expect((document["results"] as? [Any])?.count == 6)
      #expect(document["effect"] as? String == "log-probability")
      // Done already: the same again is read, and shown as tables.
      let again = try run(bench, words)
      #expect(again.errors.contains("6 settings are there already") && again.status == 0)
      #expect(again.text.contains("recommended: layer") && again.text.contains("prompted"))
      let text = try Tool.reft(
        [
          "generate", "--model", bench.path("tiny.gguf"), "--adapter", "s/adapter", "--prompt",
          "one", "--max-tokens", "3",
        ],
        folder: bench.folder
      )
      #expect(text.status == 0, "\(text.errors)")
    }
  }

  @Test("shares its strength among the layers unless one is given, and reads no token by weight")
  func defaults() throws {
    try bench { bench in
      let extract = try run(bench, ["extract", "--data", "pairs.jsonl", "--output", "a", "--json"])
      let found = try extract.json()
      let strength = try #require(found["strength"] as? Double)
      let layers = try #require(found["layers"] as? [Any])
      #expect(layers.count > 1 && abs(strength * Double(layers.count) - 0.2) < 1e-6)
      let weighted = try run(
        bench,
        ["extract", "--data", "pairs.jsonl", "--output", "b", "--position", "l2*0.5"]
      )
      #expect(weighted.status == 64)
      #expect(weighted.errors.contains("'l2*0.5' has a weight"), "\(weighted.errors)")
    }
  }

  @Test("writes a control vector, which comes back as an adapter")
  func controlVector() throws {
    try bench { bench in
      let extract = try run(bench, ["extract", "--data", "pairs.jsonl", "--output", "v.gguf"])
      #expect(extract.status == 0, "\(extract.errors)")
      let words = [
        "adapter", "import", "--format", "control-vector", "v.gguf", "--model",
        bench.path("tiny.gguf"), "--output", "back", "--json",
      ]
      let back = try Tool.reft(words, folder: bench.folder)
      #expect(back.status == 0 && back.text.contains("\"layers\" : ["), "\(back.errors)")
    }
  }

  @Test(
    "refuses what cannot be, in one line with the place and the remedy",
    arguments: [
      (["--data", "bad.jsonl"], 65, "bad.jsonl:2: expected {\"positive\""),
      (["--data", "none.jsonl"], 66, "none.jsonl"),
      (["--data", "pairs.jsonl", "--layers", "1-7"], 64, "blocks are 0 to 1"),
      (["--data", "pairs.jsonl", "--position", "[99]"], 65, "pairs.jsonl:"),
      (["--data", "pairs.jsonl", "--plugin", "loreft"], 78, "alpha"),
      (["--data", "pairs.jsonl", "--suffixes", "x.json"], 64, "found 2"),
      (["--suffixes", "pairs.jsonl", "--template", "Be kind."], 64, "no {} where a word goes"),
    ]
  )
  func wrong(_ words: [String], _ status: Int, _ message: String) throws {
    try bench { bench in
      try bench.write(
        Self.pairs.split(separator: "\n")[0] + "\n{\"text\":\"a\"}\n",
        to: "bad.jsonl"
      )
      let tool = try run(bench, ["extract", "--output", "warm"] + words)
      #expect(tool.status == Int32(status), "\(tool.errors)")
      #expect(tool.errors.contains(message), "\(tool.errors)")
      #expect(tool.errors.split(separator: "\n").count == 1)
      #expect(!FileManager.default.fileExists(atPath: bench.path("warm")))
    }
  }
}
