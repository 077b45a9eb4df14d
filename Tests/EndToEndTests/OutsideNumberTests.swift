// SPDX-License-Identifier: Apache-2.0
// Numbers from outside at the edge of what can be, and memory that is not there: an error each, never
// a trap.

import Foundation
import Testing
import _ReFTTestSupport

@Suite("Numbers from outside")
struct OutsideNumberTests {
  /// A call and how it must end.
  struct Case: Sendable, CustomTestStringConvertible {
    var call: String
    var status: Int32
    var says: String
    var testDescription: String { call }
  }

  private static let largest = String(Int.max)

  static let cases = [
    Case(
      call: "score --model tiny.gguf --data rows.jsonl --micro-batch-tokens \(largest)",
      status: 64,
      says: "--micro-batch-tokens is \(largest); it must be from 1 to 1048576"
    ),
    Case(
      call: "score --model tiny.gguf --data rows.jsonl --micro-batch-tokens 0",
      status: 64,
      says: "--micro-batch-tokens is 0; it must be from 1 to 1048576"
    ),
    Case(
      call: "train run.yaml --set train.micro_batch_tokens=\(largest)",
      status: 78,
      says: "'train.micro_batch_tokens' is '\(largest)', which cannot be"
    ),
    Case(
      call: "generate --model tiny.gguf --prompt one --max-tokens \(largest)",
      status: 64,
      says: "\(largest) more may follow, but the model's context holds 512"
    ),
    Case(
      call: "generate --model tiny.gguf --prompt one --max-tokens=-1",
      status: 64,
      says: "max-tokens is -1; expected 1 or more"
    ),
    Case(
      call: "generate --model tiny.gguf --prompt one --top-k=-\(largest)",
      status: 64,
      says: "expected 0 (no limit) or more"
    ),
    Case(
      call: "generate --model tiny.gguf --prompt one --seed=-1",
      status: 64,
      says: "The value '-1' is invalid for '--seed <seed>'"
    ),
    Case(
      call: "generate --model tiny.gguf --prompt one --repetition-penalty 1e-300",
      status: 64,
      says: "repetition-penalty is 1e-300; expected 0.001 to 1000"
    ),
    Case(
      call: "generate --model tiny.gguf --prompt one --temperature 1e999",
      status: 64,
      says: "temperature"
    ),
    Case(
      call: "bench decode --model tiny.gguf --tokens \(largest)",
      status: 64,
      says: "--tokens"
    ),
    Case(
      call: "bench prefill --model tiny.gguf --tokens \(largest)",
      status: 64,
      says: "--tokens"
    ),
    Case(
      call: "bench train --model tiny.gguf --batch \(largest) --tokens \(largest)",
      status: 64,
      says: "--batch"
    ),
    Case(
      call: "bench precision --model tiny.gguf --text run.yaml --tokens \(largest)",
      status: 64,
      says: "--tokens"
    ),
    Case(
      call: "bench abi --model tiny.gguf --turns \(largest)",
      status: 64,
      says: "--turns"
    ),
    Case(
      call: "bench decode --model tiny.gguf --threads \(largest)",
      status: 64,
      says: "--threads is \(largest); it must be from 1 to 256"
    ),
    Case(
      call: "bench scaling --model tiny.gguf --threads 1,\(largest)",
      status: 64,
      says: "must be numbers from 1 to 256"
    ),
    Case(
      call: "plugin info loreft --width \(largest)",
      status: 64,
      says: "--width is \(largest); it must be from 1 to 1048576"
    ),
    Case(
      call: "plugin info loreft --width=-1",
      status: 64,
      says: "--width is -1; it must be from 1 to 1048576"
    ),
    Case(
      call: "train run.yaml --set train.seed=18446744073709551615",
      status: 78,
      says: "'train.seed'"
    ),
  ]

  @Test("at the edge are errors that name them", arguments: cases)
  func edges(_ item: Case) throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let tool = try Tool.reft(item.call.split(separator: " ").map(String.init), folder: folder)
      #expect(tool.status == item.status, "\(tool.errors)")
      #expect(tool.errors.contains(item.says), "\(tool.errors)")
      #expect(tool.errors.split(separator: "\n").count == 1)
    }
  }

  @Test(
    "that are large and possible change nothing",
    arguments: ["--top-k \(largest)", "--seed 18446744073709551615", "--batch-size \(largest)"]
  )
  func possible(_ option: String) throws {
    try withTemporaryDirectory { folder in
      try Workbench(folder: folder).writeRun()
      let call = "generate --model tiny.gguf --input rows.jsonl --max-tokens 2 "
      let words = (call + option).split(separator: " ").map(String.init)
      let tool = try Tool.reft(words, folder: folder)
      #expect(tool.status == 0, "\(tool.errors)")
      #expect(tool.text.split(separator: "\n").count >= 4)
    }
  }

  @Test(
    "in state.json are checked before they are used",
    arguments: [
      ("tokens", "9223372036854775807"), ("tokens", "-1"), ("seconds", "-5"), ("seconds", "1e300"),
      ("epochLabels", "9223372036854775800"), ("epochLossSum", "1e200"),
    ]
  )
  func checkpointState(_ key: String, _ value: String) throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let first = try Tool.reft(["train", "run.yaml"], folder: folder)
      #expect(first.status == 0, "\(first.errors)")
      let state = "run/checkpoints/step-00000002/state.json"
      let text = String(decoding: try bench.read(state), as: UTF8.self)
      let lines = text.split(separator: "\n").map { line in
        line.contains("\"\(key)\"") ? "  \"\(key)\" : \(value)," : String(line)
      }
      try bench.write(lines.joined(separator: "\n"), to: state)
      let tool = try Tool.reft(["train", "run.yaml", "--resume"], folder: folder)
      #expect(tool.status == 65, "\(tool.errors)")
      #expect(tool.errors.contains("its state.json says '\(key)' is "), "\(tool.errors)")
    }
  }

  @Test("of bytes that the system has not are told with the remedy")
  func memory() throws {
    try withTemporaryDirectory { folder in
      var shape = TinyModel()
      shape.contextLength = 1 << 26
      try shape.write(in: folder)
      let script =
        "ulimit -v 4000000; \"\(Tool.products)/reft\" generate --model tiny.gguf --prompt one "
        + "--max-tokens 60000000"
      let tool = try Tool.run("/bin/bash", ["-c", script], folder: folder)
      #expect(tool.status == 74, "\(tool.errors)")
      #expect(
        tool.errors.hasPrefix(
          "error: no memory for the keys and values of 60000002 tokens: 15360016384 bytes were asked "
            + "for and the system has not so many; ask for fewer tokens, or for fewer texts at once, "
            + "or free memory"
        ),
        "\(tool.errors)"
      )
    }
  }
}
