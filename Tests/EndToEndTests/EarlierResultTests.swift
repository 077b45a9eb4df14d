// SPDX-License-Identifier: Apache-2.0
// Results that are there already, where a command is told to write another: they stay, and the command
// says so before it works.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Earlier results")
struct EarlierResultTests {
  private static let pairs = (0..<8).map { number in
    #"{"prompt":"item \#(number) of the list is","positive":" one of the best","negative":" not so"}"#
  }

  /// A folder with the tiny model, pairs, one pair, and two adapters.
  private func bench(_ body: (Workbench) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      try bench.write(Self.pairs.joined(separator: "\n"), to: "pairs.jsonl")
      try bench.write(Self.pairs[0], to: "pair.jsonl")
      try bench.writeAdapter()
      let files = FileManager.default
      try files.copyItem(atPath: bench.path("adapter"), toPath: bench.path("mine"))
      try files.copyItem(atPath: bench.path("tiny.gguf"), toPath: bench.path("mine.gguf"))
      try files.createDirectory(atPath: bench.path("run"), withIntermediateDirectories: true)
      try files.copyItem(atPath: bench.path("adapter"), toPath: bench.path("run/adapter"))
      try body(bench)
    }
  }

  private func content(_ bench: Workbench) throws -> [String: Data] {
    var result: [String: Data] = [:]
    let walk = try #require(FileManager.default.enumerator(atPath: bench.folder))
    for case let name as String in walk {
      result[name] = FileManager.default.contents(atPath: bench.path(name)) ?? Data()
    }
    return result
  }

  private static let imported = [
    "adapter", "import", "--format", "pyreft", Fixture.path("interchange/pyreft-direft"),
    "--positions", "l1", "--model", "tiny.gguf", "--output",
  ]
  private static let made = ["adapter", "new", "--output", "mine"]
  private static let extract = [
    "steer", "extract", "--model", "tiny.gguf", "--data", "pairs.jsonl", "--output",
  ]
  private static let sweep = [
    "steer", "sweep", "--model", "tiny.gguf", "--data", "pairs.jsonl", "--output", "run",
    "--adapter",
  ]

  /// A call, and what its refusal says.
  struct Call: Sendable, CustomTestStringConvertible {
    var words: [String]
    var says = "is there and not an empty folder; nothing of it is changed"
    var testDescription: String { words.joined(separator: " ") }
  }

  static let calls: [Call] = [
    Call(words: extract + ["mine"]),
    Call(words: extract + ["mine/"]),
    Call(words: ["adapter", "combine", "adapter:0.5", "--output", "mine"]),
    Call(words: imported + ["mine"]),
    Call(words: made + ["--plugin", "ablate", "--model", "tiny.gguf"]),
    // Before the plugin and the model are looked for.
    Call(words: made + ["--plugin", "none", "--model", "none"]),
    Call(
      words: ["model", "quantize", "tiny.gguf", "--type", "q8_0", "--output", "mine.gguf"],
      says: "--output 'mine.gguf' is there; choose another file, or remove it"
    ),
    Call(words: sweep + ["mine"], says: "'run/adapter', which is of no sweep there"),
    Call(words: sweep + ["mine", "--restart"], says: "'run/adapter', which is of no sweep there"),
    Call(words: sweep + ["run/adapter"], says: "holds the adapter that is swept"),
  ]

  @Test("are not replaced, and nothing is written", arguments: calls)
  func stay(_ call: Call) throws {
    try bench { bench in
      let before = try content(bench)
      let tool = try Tool.reft(call.words, folder: bench.folder)
      #expect(tool.status == 64 && tool.errors.contains(call.says), "\(tool.errors)")
      #expect(tool.errors.split(separator: "\n").count == 1)
      #expect(try content(bench) == before)
    }
  }

  @Test("leave an empty folder free for an adapter")
  func empty() throws {
    try bench { bench in
      try FileManager.default.createDirectory(
        atPath: bench.path("new"),
        withIntermediateDirectories: false
      )
      let tool = try Tool.reft(Self.extract + ["new"], folder: bench.folder)
      #expect(tool.status == 0, "\(tool.errors)")
      let again = try Tool.reft(Self.extract + ["new"], folder: bench.folder)
      #expect(again.status == 64 && again.errors.contains("not an empty folder"))
    }
  }

  @Test("of a sweep go with --restart, so that no adapter is left that the report does not tell of")
  func restart() throws {
    try bench { bench in
      let warm = try Tool.reft(Self.extract + ["warm"], folder: bench.folder)
      #expect(warm.status == 0, "\(warm.errors)")
      func sweep(_ data: String, _ more: [String]) throws -> Tool {
        let words = [
          "steer", "sweep", "--model", "tiny.gguf", "--adapter", "warm", "--data", data, "--output",
          "s", "--strengths", "-2,2", "--max-tokens", "4", "--json",
        ]
        return try Tool.reft(words + more, folder: bench.folder)
      }
      let first = try sweep("pairs.jsonl", [])
      #expect(try first.status == 0 && first.json()["adapter"] is String, "\(first.errors)")
      let other = try sweep("pair.jsonl", [])
      #expect(other.status == 64 && other.errors.contains("results of another sweep"))
      #expect(FileManager.default.fileExists(atPath: bench.path("s/adapter")))
      let second = try sweep("pair.jsonl", ["--restart"])
      #expect(second.status == 0, "\(second.errors)")
      #expect(second.errors.contains("warning: the effect is measured on a single pair"))
      let document = try second.json()
      #expect(document["adapter"] is NSNull && document["recommended"] is NSNull)
      let results = try #require(document["results"] as? [[String: Any]])
      #expect(results.count == 5 && results.allSatisfy { $0["effect_stderr"] is NSNull })
      #expect(!FileManager.default.fileExists(atPath: bench.path("s/adapter")))
    }
  }
}
