// SPDX-License-Identifier: Apache-2.0
// `reft collect` and `reft adapter new`: what plugins tell as a file, and adapters that nothing trained.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Collect and adapter new")
struct CollectCommandTests {
  @Test("rows of chosen layers come as tensors, with the text and position of each")
  func collect() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let (data, output) = (bench.path("texts.jsonl"), bench.path("rows.safetensors"))
      try Data("{\"text\": \"the man\"}\n{\"text\": \"a man in the\"}\n".utf8)
        .write(to: URL(fileURLWithPath: data))
      let tool = try Tool.reft([
        "collect", "--model", bench.path("tiny.gguf"), "--plugin", "collect", "--layers", "0-1",
        "--positions", "all", "--data", data, "--output", output, "--json",
      ])
      #expect(tool.status == 0, "\(tool.errors)")
      let file = try Safetensors.read(path: output)
      #expect(file.names.count == 6 && tool.text.contains("interventions.0.layers.1"))
      let rows = try #require(file.tensor("interventions.0.layers.0"))
      let examples = try #require(file.tensor("interventions.0.layers.0.example"))
      #expect(rows.shape[0] == examples.shape[0] && examples.type == .i32)
      let list = examples.bytes.bindMemory(to: Int32.self)
      #expect(list.first == 0 && list.last == 1 && Array(list) == list.sorted())
      let both = try Tool.reft([
        "collect", "--model", bench.path("tiny.gguf"), "--data", data, "--output", output,
      ])
      #expect(both.status == 64 && both.errors.contains("--plugin or --adapter"))
    }
  }

  @Test("texts without a token at the positions are told, and are an error where that is all")
  func alone() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      try bench.write("{\"text\": \"a man in the\"}\n{\"text\": \"h\"}\n", to: "mix.jsonl")
      try bench.write("{\"text\": \"h\"}\n", to: "short.jsonl")
      func collect(_ data: String) throws -> Tool {
        try Tool.reft([
          "collect", "--model", bench.path("tiny.gguf"), "--plugin", "collect", "--layers", "0",
          "--positions", "f1+l1", "--data", bench.path(data), "--output",
          bench.path(data + ".safetensors"),
        ])
      }
      let some = try collect("mix.jsonl")
      #expect(some.status == 0, "\(some.errors)")
      #expect(some.errors.contains("1 of 2 rows have no token"), "\(some.errors)")
      let none = try collect("short.jsonl")
      #expect(none.status == 65 && none.errors.contains("'f1+l1'"), "\(none.errors)")
    }
  }

  @Test("an adapter without training steers, with its input inside")
  func adapter() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let (model, input) = (bench.path("tiny.gguf"), bench.path("sae.safetensors"))
      var values = [Float](repeating: 0, count: 2 * 64)
      for index in values.indices { values[index] = Float(index % 5) * 60 - 120 }
      try Safetensors.write(
        [NamedTensor(name: "w", shape: [2, 64], values: values)],
        metadata: [:],
        to: input
      )
      let made = try Tool.reft([
        "adapter", "new", "--plugin", "sae", "--layers", "1", "--positions", "all+decode",
        "--option",
        "encoder=\(input)#w", "--option", "decoder=\(input)#w", "--option", "mode=add", "--option",
        "value=50", "--model", model, "--output", bench.path("feature"), "--json",
      ])
      #expect(made.status == 0, "\(made.errors)")
      try FileManager.default.removeItem(atPath: input)
      let words = [
        "generate", "--model", model, "--prompt", "the man", "--max-tokens", "4", "--json",
      ]
      let plain = try Tool.reft(words)
      #expect(!made.errors.contains("changes nothing"))
      let steered = try Tool.reft(words + ["--adapter", bench.path("feature")])
      #expect(steered.status == 0 && steered.text != plain.text, "\(steered.errors)")
    }
  }

  @Test("an adapter that starts as no edit is told of, with what to do; one that edits is not")
  func startsAsNoEdit() throws {
    try withTemporaryDirectory { folder in
      try TinyModel().write(in: folder)
      func made(_ plugin: String) throws -> Tool {
        let words = ["adapter", "new", "--model", "tiny.gguf", "--output", plugin, "--plugin"]
        return try Tool.reft(words + [plugin], folder: folder)
      }
      let zero = try made("additive-steering")
      #expect(zero.status == 0)
      #expect(
        zero.errors.contains(
          "warning: 'additive-steering' changes nothing as it is: plugin 'additive-steering' starts as no "
            + "edit; train it (train.init_adapter), or fill its tensors"
        ),
        "\(zero.errors)"
      )
      for plugin in ["ablate", "collect", "lobireft"] {
        let tool = try made(plugin)
        #expect(tool.status == 0 && tool.errors.isEmpty, "\(tool.errors)")
      }
    }
  }
}
