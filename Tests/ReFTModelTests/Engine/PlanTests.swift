// SPDX-License-Identifier: Apache-2.0
// What is read out of files, as values and as text; and what is refused of folders.

import Foundation
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Plans")
struct PlanTests {
  @Test("of a llama file names its tensors and constants")
  func llama() throws {
    let plan = try EngineFixture.model().plan
    let first = try #require(plan.blocks.first)
    #expect(plan.isTied)
    #expect(plan.embedding.scale == 1)
    let norm = try #require(first.attentionNorm)
    #expect(norm.tensor == "blk.0.attn_norm.weight" && norm.size == 64)
    #expect(norm.epsilon == 1e-5 && norm.offset == 0)
    let key = first.attention.key
    #expect(key.tensor == "blk.0.attn_k.weight" && key.rows == 32 && key.columns == 64)
    #expect(key.bias == nil)
    #expect(first.attention.mask == .causal && first.attention.scale == 0.25)
    let rotation = try #require(first.attention.rotation)
    #expect(rotation.pairs == .neighbours && rotation.base == 10_000)
    #expect(rotation.scaling == .none)
    #expect(plan == (try EngineFixture.model().plan))
  }

  @Test("of a llama file reads as text")
  func description() throws {
    #expect(
      try EngineFixture.model().plan.description == """
        llama 'Tiny', 2 blocks, context 512
        embedding 300×64
        blocks 0 to 1
          x + attention(rms(ε 1e-05)(x))
            query 64×64, key 32×64, value 32×64, output 64×64
            4 heads of 16 over 2, causal, × 0.25, rotated in pairs, base 10000.0
          x + mlp(rms(ε 1e-05)(x))
            gate 160×64, up 160×64, down 64×160, silu
        final rms(ε 1e-05)
        head = embedding
        """
    )
  }

  @Test("of gemma3 alternates masks and rotations")
  func gemma() throws {
    let plan = try FrozenModel(path: FamilyFixture("gemma3").folder).plan
    #expect(plan.blocks.map(\.attention.mask) == [.window(8), .causal, .window(8)])
    #expect(plan.blocks.map(\.attention.rotation?.base) == [10_000, 1_000_000, 10_000])
    #expect(plan.blocks.allSatisfy { $0.attention.queryNorm?.offset == 1 })
    #expect(plan.blocks.allSatisfy { $0.mlp.activation == .geluTanh && $0.mlpPostNorm != nil })
    #expect(plan.isTied && plan.embedding.scale == Float(48).squareRoot())
    #expect(plan.description.contains("the last 8 keys"))
  }

  @Test("of llama3's rotation and of biases say so")
  func variants() throws {
    let scaled = try FrozenModel(path: FamilyFixture("llama3-rope").folder).plan
    #expect(
      scaled.blocks[0].attention.rotation?.scaling
        == .llama3(factor: 8, low: 1, high: 4, original: 32)
    )
    let biased = try FrozenModel(path: FamilyFixture("llama-bias").folder).plan
    #expect(biased.blocks[2].mlp.down.bias == "model.layers.2.mlp.down_proj.bias")
    #expect(biased.description.contains("query 48×48 + bias"))
  }

  @Test(
    "of each family say what is special of it",
    arguments: [
      ("mistral-window", ["the last 8 keys"]),
      ("qwen2", ["query 48×48 + bias", "output 48×48\n"]),
      ("qwen3", ["queries and keys rms("]),
      ("gemma", ["× 6.928", "gelu_tanh", "weight + 1.0", "head = embedding"]),
      (
        "gemma2", ["soft cap 50.0", "head = embedding, soft cap 30.0", "the last 8 keys", "causal"]
      ),
      ("phi3", ["query 48×48 of 96 rows", "gate 80×48 of 160 rows"]),
      ("olmo2", ["rms(ε 1e-05)(attention(x))", "all queries and all keys rms("]),
      (
        "gpt2", ["+ positions 128×48", "stored transposed", "layer(ε 1e-05)", "down 48×192 + bias"]
      ),
      ("gpt-neox", ["mlp of the block's input", "the first 6", "gelu"]),
      ("gpt-neox-sequential", ["x + mlp(layer(", "the first 4"]),
      (
        "bert",
        ["+ types 2×48", "layer(ε 1e-12)(x + attention(x))", "all keys", "of classes: 48×48"]
      ),
      ("roberta", ["+ positions 130×48 from 1", "context 129", "+ types 1×48"]),
      ("distilbert", ["of classes: 48×48 + bias, relu, 3×48 + bias"]),
    ]
  )
  func special(name: String, words: [String]) throws {
    let text = try FrozenModel(path: Fixture.path("tiny/\(name)")).plan.description
    for word in words { #expect(text.contains(word), "\(word) in:\n\(text)") }
  }

  struct Fault: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let code: ReFTError.Code
    let says: String
    /// Changes files of a copy of the tiny llama's folder.
    let change: @Sendable (_ folder: String) throws -> Void
  }

  private static func configuration(
    _ id: String,
    says: String,
    _ replacement: @escaping @Sendable (String) -> String
  ) -> Fault {
    Fault(testDescription: id, code: .badData, says: says) { folder in
      let path = folder + "/config.json"
      let text = try String(contentsOfFile: path, encoding: .utf8)
      let changed = replacement(text)
      #expect(changed != text)
      try changed.write(toFile: path, atomically: true, encoding: .utf8)
    }
  }

  static let faults: [Fault] = [
    Fault(testDescription: "no config.json", code: .inputMissing, says: "has no config.json") {
      try FileManager.default.removeItem(atPath: $0 + "/config.json")
    },
    Fault(testDescription: "no tensors", code: .inputMissing, says: "neither model.safetensors") {
      try FileManager.default.removeItem(atPath: $0 + "/model.safetensors")
    },
    configuration(
      "another family",
      says: "has architecture 'rwkv'; this version runs 'bert', 'distilbert', 'gemma', "
    ) {
      $0.replacingOccurrences(of: "\"model_type\": \"llama\"", with: "\"model_type\": \"rwkv\"")
    },
    configuration("an unknown key", says: "says mystery = 3,") {
      $0.replacingOccurrences(of: "\"rope_theta\"", with: "\"mystery\": 3, \"rope_theta\"")
    },
    configuration("an unknown activation", says: "says hidden_act = 'relu',") {
      $0.replacingOccurrences(of: "\"silu\"", with: "\"relu\"")
    },
    configuration("an unknown scaling", says: "'yarn'") {
      $0.replacingOccurrences(
        of: "\"rope_scaling\": null",
        with: "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0}"
      )
    },
    configuration("no epsilon", says: "'rms_norm_eps'") {
      $0.replacingOccurrences(of: "\"rms_norm_eps\"", with: "\"_attn_implementation_autoset\"")
    },
    configuration("other sizes", says: "model.layers.0.mlp.gate_proj.weight") {
      $0.replacingOccurrences(of: "\"intermediate_size\": 80", with: "\"intermediate_size\": 96")
    },
    configuration("a block too many", says: "'model.layers.2.input_layernorm.weight'") {
      $0.replacingOccurrences(of: "\"num_hidden_layers\": 3", with: "\"num_hidden_layers\": 2")
    },
    configuration("quantised by a library", says: "has a 'quantization_config'") {
      $0.replacingOccurrences(
        of: "\"rope_theta\"",
        with: "\"quantization_config\": {\"bits\": 4}, \"rope_theta\""
      )
    },
    Fault(testDescription: "an index without its file", code: .inputMissing, says: "part2") {
      try #"{"weight_map": {"a": "part2.safetensors"}}"#.write(
        toFile: $0 + "/model.safetensors.index.json",
        atomically: true,
        encoding: .utf8
      )
    },
    Fault(testDescription: "an index that leaves the folder", code: .badData, says: "no file of") {
      try #"{"weight_map": {"a": "../model.safetensors"}}"#.write(
        toFile: $0 + "/model.safetensors.index.json",
        atomically: true,
        encoding: .utf8
      )
    },
    Fault(testDescription: "an index of other tensors", code: .badData, says: "the tensor 'a'") {
      try #"{"weight_map": {"a": "model.safetensors"}}"#.write(
        toFile: $0 + "/model.safetensors.index.json",
        atomically: true,
        encoding: .utf8
      )
    },
  ]

  @Test("are refused with a sentence that names the fault", arguments: faults)
  func refused(fault: Fault) throws {
    try withTemporaryDirectory { folder in
      for name in ["config.json", "model.safetensors"] {
        try FileManager.default.copyItem(
          atPath: Fixture.path("tiny/llama/\(name)"),
          toPath: folder + "/" + name
        )
      }
      try fault.change(folder)
      let error = #expect(throws: ReFTError.self) { try FrozenModel(path: folder) }
      #expect(error?.code == fault.code)
      #expect(error?.message.contains(fault.says) == true, "\(error?.message ?? "")")
    }
  }

  @Test("come out the same of one file, of shards, and of half precision rounded once")
  func shards() throws {
    try withTemporaryDirectory { folder in
      let source = try ModelFolder(path: Fixture.path("tiny/llama"))
      try FileManager.default.copyItem(
        atPath: Fixture.path("tiny/llama/config.json"),
        toPath: folder + "/config.json"
      )
      let tensors = source.tensors.map {
        NamedTensor(name: $0.name, shape: $0.shape, values: $0.floats())
      }
      var map: [String] = []
      for (number, part) in [tensors[..<9], tensors[9...]].enumerated() {
        let name = "part\(number).safetensors"
        try Safetensors.write(Array(part), metadata: [:], to: folder + "/" + name)
        map += part.map { "\"\($0.name)\": \"\(name)\"" }
      }
      try "{\"weight_map\": {\(map.joined(separator: ","))}}".write(
        toFile: folder + "/model.safetensors.index.json",
        atomically: true,
        encoding: .utf8
      )
      let batch = try FamilyFixture("llama").batch
      let whole = try ModelRuntime(model: FrozenModel(source: source)).loss(batch, editor: nil)
      let sharded = try ModelRuntime(model: FrozenModel(path: folder)).loss(batch, editor: nil)
      expectIdentical(sharded, whole)
      #expect(try FrozenModel(path: folder).fingerprint != FrozenModel(source: source).fingerprint)
    }
  }
}
