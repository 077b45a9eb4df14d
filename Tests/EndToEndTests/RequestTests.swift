// SPDX-License-Identifier: Apache-2.0
// What `reft generate` and `reft chat` refuse of a request, where they say it stands, and what goes on.

import Foundation
import Testing
import _ReFTTestSupport

@Suite("Requests")
struct RequestTests {
  private func withBench(_ body: (Workbench) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      try body(bench)
    }
  }

  @Test("a message that the context does not hold is refused, and the conversation stays open")
  func fullContext() throws {
    try withBench { bench in
      let long = String(repeating: "one two three ", count: 400)
      let tool = try Tool.reft(
        ["chat", "--model", bench.path("tiny.gguf"), "--max-tokens", "2"],
        input: Data("one\n\(long)\ntwo\n/reset\nthree\n".utf8)
      )
      #expect(tool.status == 0, "\(tool.errors)")
      #expect(tool.errors.contains("512") && tool.errors.contains("/reset"), "\(tool.errors)")
      let alone = try Tool.reft(
        ["chat", "--model", bench.path("tiny.gguf"), "--max-tokens", "2"],
        input: Data("one\ntwo\n/reset\nthree\n".utf8)
      )
      #expect(tool.text == alone.text)
    }
  }

  @Test(
    "a row of a file that cannot be answered is named by file and line",
    arguments: [
      (#"{"ids": [1, 99999]}"#, "token 1 of the prompt is 99999"),
      (#"{"prompt": "\#(String(repeating: "one two three ", count: 400))"}"#, "holds 512"),
    ]
  )
  func row(_ row: String, _ message: String) throws {
    try withBench { bench in
      try bench.write("{\"prompt\": \"one\"}\n\(row)\n", to: "prompts.jsonl")
      let tool = try Tool.reft([
        "generate", "--model", bench.path("tiny.gguf"), "--input", bench.path("prompts.jsonl"),
      ])
      #expect(tool.status == 65 && tool.text.isEmpty)
      #expect(tool.errors.contains("prompts.jsonl:2: ") && tool.errors.contains(message))
    }
  }

  @Test("a subspace that nothing edits in, or that the plugin does not list, is an error")
  func subspace() throws {
    try withBench { bench in
      let model = bench.path("tiny.gguf")
      let frozen = try Tool.reft([
        "generate", "--model", model, "--prompt", "one", "--subspace", "0",
      ])
      #expect(frozen.status == 64 && frozen.errors.contains("--adapter"), "\(frozen.errors)")
      let trained = try Tool.reft(
        ["train", "run.yaml", "--set", "interventions.0.options.subspaces=0;1"],
        folder: bench.folder
      )
      #expect(trained.status == 0, "\(trained.errors)")
      func generate(_ subspace: String) throws -> Tool {
        try Tool.reft([
          "generate", "--model", model, "--adapter", bench.path("run/adapter"), "--prompt",
          "one two three four", "--max-tokens", "2", "--subspace", subspace,
        ])
      }
      #expect(try generate("1").status == 0)
      let unknown = try generate("2")
      #expect(unknown.status == 65 && unknown.errors.contains("'subspaces'"), "\(unknown.errors)")
    }
  }

  @Test("--threads says how many threads compute, and changes no text")
  func threads() throws {
    try withBench { bench in
      let texts = try ["1", "3"].map { count in
        let tool = try Tool.reft([
          "generate", "--model", bench.path("tiny.gguf"), "--prompt", "one two", "--max-tokens",
          "8", "--threads", count,
        ])
        #expect(tool.status == 0, "\(tool.errors)")
        return tool.text
      }
      #expect(texts[0] == texts[1])
    }
  }
}
