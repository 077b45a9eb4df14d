// SPDX-License-Identifier: Apache-2.0
// Models written to GGUF: they open again, and compute what they did up to rounding.

import Foundation
import ReFTModel
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite("Conversion to GGUF")
struct ConversionTests {
  private func logits(_ model: FrozenModel) throws -> [Float] {
    let runtime = ModelRuntime(model: model, precision: .float32)
    let cache = try runtime.makeCache(capacity: 20)
    return Array(try runtime.step([(cache, EngineFixture.tokens(19, seed: 1))], editor: nil))
  }

  /// The largest relative change of the logits that a format's rounding may make here.
  private static let errors: [TensorType: Double] = [
    .f32: 0, .f16: 2e-3, .bf16: 2e-2, .q8_0: 3e-2, .q6_K: 6e-2, .q5_K: 0.12, .q5_0: 0.15,
    .q5_1: 0.12, .q4_K: 0.25, .q4_0: 0.3, .q4_1: 0.25,
  ]

  @Test("a file in float32 becomes one of each format", arguments: ModelConversion.types)
  func formats(type: TensorType) throws {
    try withTemporaryDirectory { folder in
      var tiny = TinyModel(weightType: .q6_K)
      tiny.weightType = .f32
      tiny.embeddingType = .f32
      let path = try tiny.write(in: folder)
      let source = try GGUFFile(path: path)
      let conversion = try ModelConversion(source, as: type, text: [])
      #expect(conversion.replacements(of: type).isEmpty)
      var reports: [(Int, Int)] = []
      try conversion.write(to: folder + "/new.gguf") { reports.append(($0, $1)) }
      #expect(reports.last?.0 == conversion.byteCount && reports.last?.1 == conversion.byteCount)
      let file = try GGUFFile(path: folder + "/new.gguf")
      #expect(file.tensors.map(\.name) == source.tensors.map(\.name))
      #expect(file.tensor("blk.0.attn_q.weight")?.type == type)
      #expect(file.tensor("blk.0.attn_norm.weight")?.type == .f32)
      #expect(file.tensor("token_embd.weight")?.type == (type.blockSize > 1 ? .q8_0 : type))
      #expect(file.strings("tokenizer.ggml.tokens") == source.strings("tokenizer.ggml.tokens"))
      let models = try [path, folder + "/new.gguf"].map { try FrozenModel(path: $0) }
      #expect(models[1].configuration.hiddenSize == models[0].configuration.hiddenSize)
      let error = Self.errors[type] ?? 0
      expectCloseNorm(try logits(models[1]), try logits(models[0]), relative: error, "\(type)")
    }
  }

  @Test("rows that are no whole blocks take another format, and it is told")
  func replacements() throws {
    try withTemporaryDirectory { folder in
      var tiny = TinyModel()
      tiny.weightType = .f32
      tiny.hiddenSize = 64
      tiny.feedForwardSize = 160
      let source = try GGUFFile(path: try tiny.write(in: folder))
      let conversion = try ModelConversion(source, as: .q4_K, text: [])
      #expect(conversion.replacements(of: .q4_K).keys.map { $0 } == [.q8_0])
      try conversion.write(to: folder + "/new.gguf")
      #expect(throws: Never.self) { try FrozenModel(path: folder + "/new.gguf") }
    }
  }

  @Test("a quantised model, a format without encoder and a number too large are refused")
  func refused() throws {
    try withTemporaryDirectory { folder in
      let path = try TinyModel(weightType: .q8_0).write(in: folder)
      let quantised = #expect(throws: ReFTError.self) {
        try ModelConversion(GGUFFile(path: path), as: .q4_0, text: [])
      }
      #expect(quantised?.message.contains("is quantised already, to Q8_0") == true)
      var tiny = TinyModel()
      tiny.weightType = .f32
      let plain = try GGUFFile(path: try tiny.write(in: folder, name: "f32.gguf"))
      let unknown = #expect(throws: ReFTError.self) {
        try ModelConversion(plain, as: .iq4_xs, text: [])
      }
      #expect(unknown?.code == .usage)
      var spoiled = tiny.writer()
      spoiled.encodeTensors { name, dimensions in
        guard name == "blk.1.ffn_up.weight" else { return nil }
        var values = [Float](repeating: 0.1, count: dimensions.reduce(1, *))
        values[77] = 1e6
        return (.f32, Quantizer.encode(values, as: .f32))
      }
      try spoiled.write(to: folder + "/large.gguf")
      let target = folder + "/old.gguf"
      try AtomicFile.write("what was there", to: target)
      let large = #expect(throws: ReFTError.self) {
        try ModelConversion(GGUFFile(path: folder + "/large.gguf"), as: .f16, text: [])
          .write(to: target)
      }
      #expect(large?.message.contains("holds 1000000.0 at element 77, which F16 cannot") == true)
      #expect(try String(contentsOfFile: target, encoding: .utf8) == "what was there")
    }
  }

  @Test("a folder's tokenizer reads the same from the file", arguments: ["gpt2", "llama"])
  func tokenizers(kind: String) throws {
    try withTemporaryDirectory { folder in
      let place = folder + "/model"
      try FileManager.default.copyItem(atPath: Fixture.path("tiny/llama"), toPath: place)
      try AtomicFile.write(Self.tokenizer(kind), to: place + "/tokenizer.json")
      let source = try ModelFolder(path: place)
      let path = folder + "/model.gguf"
      let text = try ModelText.outputValues(of: source)
      try ModelConversion(source, as: .f16, text: text).write(to: path)
      let written = try ModelText(GGUFFile(path: path)).tokenizer
      let read = try ModelText(source).tokenizer
      #expect(written.vocabularySize == read.vocabularySize)
      #expect(written.addsBOS == read.addsBOS && written.eos == read.eos)
      for text in ["the the", " the  het", "th<|end|>e", "héé", ""] {
        #expect(written.encode(text) == read.encode(text), "'\(text)'")
      }
      #expect(throws: Never.self) { try FrozenModel(path: path) }
    }
  }

  /// A tokenizer.json of a few letters and merges, byte-level or with ▁ and bytes.
  private static func tokenizer(_ kind: String) throws -> String {
    var tokens: [String] = []
    var model: [String: Any] = ["type": "BPE"]
    var root: [String: Any] = [:]
    if kind == "gpt2" {
      let printable = (33...126).map { $0 } + (161...172).map { $0 } + (174...255).map { $0 }
      let others = (0..<256).filter { !printable.contains($0) }
      tokens = (0..<256).map { byte in
        let scalar = others.firstIndex(of: byte).map { 256 + $0 } ?? byte
        return String(Character(UnicodeScalar(UInt32(scalar)) ?? " "))
      }
      tokens += ["th", "the", "Ġthe"]
      model["merges"] = ["t h", "th e", "Ġ the"]
      root["pre_tokenizer"] = [
        "type": "ByteLevel", "add_prefix_space": false, "use_regex": true,
      ]
      root["decoder"] = ["type": "ByteLevel"]
    } else {
      tokens = ["<unk>"] + (0..<256).map { "<0x" + (String(format: "%02X", $0)) + ">" }
      tokens += ["▁", "t", "h", "e", "th", "the", "▁the"]
      model["merges"] = ["t h", "th e", "▁ the"]
      model["byte_fallback"] = true
      model["unk_token"] = "<unk>"
      root["normalizer"] = [
        "type": "Replace", "pattern": ["String": " "], "content": "▁",
      ]
      root["decoder"] = [
        "type": "Sequence",
        "decoders": [
          ["type": "Replace", "pattern": ["String": "▁"], "content": " "],
          ["type": "ByteFallback"], ["type": "Fuse"],
        ],
      ]
    }
    model["vocab"] = Dictionary(uniqueKeysWithValues: tokens.enumerated().map { ($1, $0) })
    root["model"] = model
    root["added_tokens"] = [
      [
        "id": tokens.count, "content": "<|end|>", "special": true, "lstrip": false, "rstrip": false,
        "single_word": false, "normalized": false,
      ]
    ]
    return String(decoding: try JSONSerialization.data(withJSONObject: root), as: UTF8.self)
  }
}
