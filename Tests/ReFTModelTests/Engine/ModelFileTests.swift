// SPDX-License-Identifier: Apache-2.0
// Well-formed GGUF files that are no sound models: an error that names the fault, never a trap.

import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Model files that lie")
struct ModelFileTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let id: String
    /// What the message must say.
    let says: String
    let change: @Sendable (inout GGUFWriter) -> Void
    var testDescription: String { id }

    init(_ id: String, says: String, _ change: @escaping @Sendable (inout GGUFWriter) -> Void) {
      self.id = id
      self.says = says
      self.change = change
    }

    /// One metadata value replaced.
    init(_ key: String, _ value: GGUFWriter.Value, says: String) {
      self.init("\(key) = \(value)", says: says) { $0.replace(key, value) }
    }

    /// One tensor replaced by zeros of another shape.
    init(_ tensor: String, dimensions: [Int], type: TensorType = .f32, says: String) {
      self.init("\(tensor) as \(type) \(dimensions)", says: says) { file in
        file.removeTensor(tensor)
        file.add(
          tensor,
          type: type.rawValue,
          dimensions: dimensions.map { UInt64($0) },
          data: [UInt8](
            repeating: 0,
            count: dimensions.reduce(1, *) / type.blockSize * type.blockByteCount
          )
        )
      }
    }
  }

  static let missing =
    [
      "general.architecture", "llama.block_count", "llama.embedding_length",
      "llama.attention.head_count", "llama.feed_forward_length", "llama.context_length",
      "llama.attention.layer_norm_rms_epsilon",
    ].map { key in Case("without \(key)", says: key) { $0.remove(key) } }
    + [
      "token_embd", "output_norm", "blk.0.attn_norm", "blk.1.attn_q", "blk.0.attn_k",
      "blk.1.attn_v", "blk.0.attn_output", "blk.1.ffn_norm", "blk.0.ffn_gate", "blk.1.ffn_up",
      "blk.0.ffn_down",
    ].map { name in Case("without \(name)", says: name) { $0.removeTensor(name + ".weight") } }

  static let metadata: [Case] = [
    Case("general.architecture", .string("gpt5"), says: "'gpt5'"),
    Case("general.architecture", .uint32(3), says: "general.architecture"),
    Case("llama.block_count", .uint32(0), says: "block_count = 0"),
    Case("llama.block_count", .uint32(3), says: "blk.2."),
    Case("llama.block_count", .uint32(.max), says: "block_count = 4294967295"),
    Case("llama.block_count", .uint64(.max), says: "block_count"),
    Case("llama.block_count", .string("two"), says: "block_count"),
    Case("llama.embedding_length", .uint32(0), says: "embedding_length = 0"),
    Case("llama.embedding_length", .int32(-64), says: "embedding_length = -64"),
    Case("llama.embedding_length", .uint64(1 << 62), says: "embedding_length"),
    Case("llama.embedding_length", .uint32(32), says: "rotates 16 of 8"),
    Case("llama.attention.head_count", .uint32(0), says: "head_count = 0"),
    Case("llama.attention.head_count", .uint32(3), says: "3 query heads"),
    Case("llama.attention.head_count", .uint32(64), says: "head"),
    Case("llama.attention.head_count", .uint32(4096), says: "head"),
    Case("llama.attention.head_count_kv", .uint32(0), says: "head_count_kv = 0"),
    Case("llama.attention.head_count_kv", .uint32(3), says: "3 key-value heads"),
    Case("llama.attention.head_count_kv", .uint32(8), says: "head_count_kv = 8"),
    Case("llama.attention.head_count_kv", .int32s([2, 2]), says: "head_count_kv"),
    Case("llama.attention.key_length", .uint32(15), says: "head size 15"),
    Case("llama.attention.key_length", .uint32(32), says: "'blk.0.attn_q.weight'"),
    Case("llama.attention.key_length", .uint32(1 << 30), says: "key_length = 1073741824"),
    Case("llama.feed_forward_length", .uint32(0), says: "feed_forward_length = 0"),
    Case("llama.feed_forward_length", .uint32(161), says: "161"),
    Case("llama.feed_forward_length", .uint64(1 << 63), says: "feed_forward_length"),
    Case("llama.context_length", .uint32(0), says: "context_length = 0"),
    Case("llama.context_length", .uint64(1 << 60), says: "context_length"),
    Case("llama.rope.dimension_count", .uint32(17), says: "rotates 17 of 16"),
    Case("llama.rope.scaling.type", .string("yarn"), says: "'yarn'"),
    Case("llama.rope.scaling.factor", .float32(0), says: "scaling.factor"),
    Case("llama.rope.freq_base", .float32(-1), says: "freq_base"),
    Case("llama.rope.freq_base", .float32(.nan), says: "freq_base"),
    Case("llama.rope.freq_base", .float32(.infinity), says: "freq_base"),
    Case("llama.rope.freq_base", .string("10000"), says: "freq_base"),
    Case("llama.attention.layer_norm_rms_epsilon", .float32(-1), says: "rms_epsilon"),
    Case("llama.attention.layer_norm_rms_epsilon", .float32(.nan), says: "rms_epsilon"),
  ]

  /// Whatever the engine does not compute is named, with the value found and what to do.
  static let contents: [Case] = [
    Case("split.count", .uint32(2), says: "is one part of 2 of a split model"),
    Case("llama.expert_count", .uint32(8), says: "is a mixture of 8 experts"),
    Case("general.type", .string("adapter"), says: "general.type 'adapter', expected 'model'"),
    Case("llama.rope.scaling.type", .string("longrope"), says: "'longrope'"),
    Case("llama.logit_scale", .float32(0.5), says: "llama.logit_scale = 0.5,"),
    Case("llama.attention.causal", .bool(false), says: "llama.attention.causal = false,"),
    Case("llama.attention.sliding_window", .int32(-1), says: "sliding_window = -1"),
    Case("llama.attention.value_length", .uint32(8), says: "value heads of size 8"),
    Case("llama.mystery", .uint32(1), says: "llama.mystery = 1,"),
    Case("a bias of another size", says: "'blk.0.attn_q.bias' of model") {
      $0.add("blk.0.attn_q.bias", .f32, dimensions: [2], values: [1, 1])
    },
    Case("a bias of a norm", says: "'blk.0.attn_norm.bias'") {
      $0.add("blk.0.attn_norm.bias", .f32, dimensions: [2], values: [1, 1])
    },
    Case("a block too many", says: "'blk.2.attn_norm.weight'") {
      $0.add("blk.2.attn_norm.weight", .f32, dimensions: [1], values: [1])
    },
    Case("six tensors too many", says: "'t3' and 2 more") { file in
      for index in 0..<6 { file.add("t\(index)", .f32, dimensions: [1], values: [1]) }
    },
    Case("more tokens than rows", says: "has 300 tokens but 299 embedding rows") { file in
      file.removeTensor("token_embd.weight")
      file.add(
        "token_embd.weight",
        .f32,
        dimensions: [64, 299],
        values: [Float](repeating: 0.1, count: 64 * 299)
      )
    },
  ]

  @Test("says harmless things and opens")
  func harmless() throws {
    try withTemporaryDirectory { folder in
      var writer = TinyModel().writer()
      writer.set("split.count", .uint32(1))
      writer.set("llama.expert_count", .uint32(0))
      writer.set("llama.attention.causal", .bool(true))
      writer.set("llama.logit_scale", .float32(1))
      writer.add(
        "blk.0.attn_rot_embd.weight",
        .f32,
        dimensions: [8],
        values: [1, 1, 1, 1, 1, 1, 1, 1]
      )
      try writer.write(to: folder + "/model.gguf")
      #expect(throws: Never.self) { try FrozenModel(path: folder + "/model.gguf") }
    }
  }

  struct Rotation: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let scale: Double
    let values: [(key: String, value: GGUFWriter.Value)]
  }

  static let rotations = [
    Rotation(
      testDescription: "none with a factor is unscaled",
      scale: 1,
      values: [
        ("llama.rope.scaling.type", .string("none")), ("llama.rope.scaling.factor", .float32(4)),
      ]
    ),
    Rotation(
      testDescription: "linear",
      scale: 4,
      values: [
        ("llama.rope.scaling.type", .string("linear")), ("llama.rope.scaling.factor", .float32(4)),
      ]
    ),
    Rotation(
      testDescription: "a factor without a type is linear",
      scale: 4,
      values: [
        ("llama.rope.scaling.factor", .float32(4))
      ]
    ),
    Rotation(
      testDescription: "the older key",
      scale: 4,
      values: [
        ("llama.rope.scale_linear", .float32(4))
      ]
    ),
    Rotation(
      testDescription: "the older key beside the newer",
      scale: 2,
      values: [
        ("llama.rope.scaling.factor", .float32(2)), ("llama.rope.scale_linear", .float32(4)),
      ]
    ),
  ]

  @Test("positions are divided as the file says", arguments: rotations)
  func rotation(item: Rotation) throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/model.gguf"
      var writer = TinyModel().writer()
      for (key, value) in item.values { writer.set(key, value) }
      try writer.write(to: path)
      let ids = EngineFixture.tokens(20, seed: 1)
      let batch = EngineFixture.batch([ids], labelled: 1)
      let losses = try ModelRuntime(model: FrozenModel(path: path)).loss(batch, editor: nil)
      let logits = try DoubleModel(path: path, ropeScale: item.scale).run(ids).logits
      let expected = (1..<20).map { Float(DoubleModel.loss(logits[$0 - 1], label: ids[$0])) }
      expectClose(losses, expected, tolerance: 2e-5)
    }
  }

  static let shapes: [Case] = [
    Case("token_embd.weight", dimensions: [64], says: "token_embd.weight"),
    Case("token_embd.weight", dimensions: [32, 300], says: "[32, 300]"),
    Case("token_embd.weight", dimensions: [64, 300, 2], says: "token_embd.weight"),
    Case("output_norm.weight", dimensions: [63], says: "[63]"),
    Case("output_norm.weight", dimensions: [64, 1], says: "[64, 1]"),
    Case("output.weight", dimensions: [64, 7], says: "[64, 7]"),
    Case("blk.0.attn_q.weight", dimensions: [64, 60], says: "[64, 60]"),
    Case("blk.0.attn_k.weight", dimensions: [64, 64], says: "[64, 64]"),
    Case("blk.0.attn_v.weight", dimensions: [32, 64], says: "[32, 64]"),
    Case("blk.0.ffn_down.weight", dimensions: [64, 160], says: "[64, 160]"),
    Case("blk.0.ffn_gate.weight", dimensions: [10240], says: "[10240]"),
    Case("blk.1.ffn_norm.weight", dimensions: [128], says: "[128]"),
    Case("rope_freqs.weight", dimensions: [7], says: "[7]"),
    Case("rope_freqs.weight", dimensions: [8], says: "rope_freqs.weight"),
  ]

  @Test(
    "is refused with a sentence that names the fault",
    arguments: missing + metadata + contents + shapes
  )
  func refused(item: Case) throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/model.gguf"
      var writer = TinyModel().writer()
      item.change(&writer)
      try writer.write(to: path)
      let error = #expect(throws: ReFTError.self) { try FrozenModel(path: path) }
      #expect(error?.code == .badData)
      #expect(error?.message.contains(item.says) == true, "\(error?.message ?? "")")
    }
  }

  @Test("a shape that the model states in full opens, with heads of their own width")
  func ownHeadWidth() throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/model.gguf"
      var writer = TinyModel().writer()
      writer.replace("llama.attention.key_length", .uint32(32))
      writer.replace("llama.rope.dimension_count", .uint32(32))
      writer.remove("llama.rope.freq_base")
      for block in 0..<2 {
        let sizes = [
          ("attn_q", 64, 128), ("attn_k", 64, 64), ("attn_v", 64, 64),
          ("attn_output", 128, 64),
        ]
        for (name, columns, rows) in sizes {
          var random = SeededGenerator(seed: UInt64(rows + block))
          writer.removeTensor("blk.\(block).\(name).weight")
          writer.add(
            "blk.\(block).\(name).weight",
            .f32,
            dimensions: [columns, rows],
            values: random.normals(columns * rows, scale: 0.1)
          )
        }
      }
      try writer.write(to: path)
      let model = try FrozenModel(path: path)
      #expect(model.width(of: .queryOutput) == 128)
      #expect(model.width(of: .keyOutput) == 64)
      let ids = EngineFixture.tokens(20, seed: 1)
      let losses = try ModelRuntime(model: model).loss(
        EngineFixture.batch([ids], labelled: 1),
        editor: nil
      )
      let logits = try DoubleModel(path: path).run(ids).logits
      let expected = (1..<20).map { Float(DoubleModel.loss(logits[$0 - 1], label: ids[$0])) }
      expectClose(losses, expected, tolerance: 2e-5)
    }
  }
}
