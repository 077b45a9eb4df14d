// SPDX-License-Identifier: Apache-2.0
// What conversion to GGUF keeps of encoders' words, and what it refuses because the format cannot say it.

import Foundation
import ReFTModel
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite("What GGUF can say")
struct ConversionLimitTests {
  /// A copy of a tiny folder in which some text of its config.json is another.
  private func folder(
    _ name: String,
    in place: String,
    _ changes: KeyValuePairs<String, String>
  ) throws -> ModelFolder {
    let copy = place + "/" + name
    try FileManager.default.copyItem(atPath: Fixture.path("tiny/\(name)"), toPath: copy)
    var text = try String(contentsOfFile: copy + "/config.json", encoding: .utf8)
    for (old, new) in changes {
      #expect(text.contains(old), "\(old)")
      text = text.replacingOccurrences(of: old, with: new)
    }
    try AtomicFile.write(text, to: copy + "/config.json")
    return try ModelFolder(path: copy)
  }

  @Test("what a family's file has no key for is refused by name")
  func refused() throws {
    try withTemporaryDirectory { place in
      let gelu = try folder("llama", in: place, ["\"silu\"": "\"gelu\""])
      let activation = #expect(throws: ReFTError.self) {
        try ModelConversion(gelu, as: .f16, text: [])
      }
      #expect(activation?.code == .badData)
      #expect(
        activation?.message.hasPrefix(
          "GGUF files of the family 'llama' cannot say the activation 'gelu' in block 0 of model"
        ) == true
      )
      let windowed = try folder(
        "qwen2",
        in: place,
        [
          "\"use_sliding_window\": false": "\"use_sliding_window\": true",
          "\"max_window_layers\": 28": "\"max_window_layers\": 1",
          "\"sliding_window\": 4096": "\"sliding_window\": 8",
        ]
      )
      let window = #expect(throws: ReFTError.self) {
        try ModelConversion(windowed, as: .f16, text: [])
      }
      #expect(window?.message.contains("cannot say the window of keys in block 1") == true)
    }
  }

  @Test("a llama's file names Mistral's window, and a note says who reads it")
  func window() throws {
    let folder = try ModelFolder(path: Fixture.path("tiny/mistral-window"))
    let conversion = try ModelConversion(folder, as: .f16, text: [])
    #expect(conversion.notes.count == 1)
    #expect(conversion.notes.first?.contains("programs that do not know windows") == true)
    try withTemporaryDirectory { place in
      try conversion.write(to: place + "/m.gguf")
      let masks = try FrozenModel(path: place + "/m.gguf").plan.blocks.map(\.attention.mask)
      #expect(try masks == FrozenModel(source: folder).plan.blocks.map(\.attention.mask))
      #expect(masks.allSatisfy { $0 != .causal })
    }
  }

  @Test("rows of positions and types stay in float32, and nobody is warned of it")
  func addedRows() throws {
    try withTemporaryDirectory { place in
      let source = try ModelFolder(path: Fixture.path("tiny/bert"))
      let conversion = try ModelConversion(source, as: .bf16, text: [])
      #expect(conversion.replacements(of: .bf16).isEmpty)
      try conversion.write(to: place + "/m.gguf")
      let file = try GGUFFile(path: place + "/m.gguf")
      #expect(file.tensor("position_embd.weight")?.type == .f32)
      #expect(file.tensor("token_types.weight")?.type == .f32)
      #expect(file.tensor("token_embd.weight")?.type == .bf16)
    }
  }

  @Test(
    "texts and pairs are framed from the file as from the folder",
    arguments: ["bert", "roberta"]
  )
  func frames(kind: String) throws {
    try withTemporaryDirectory { place in
      let source = try folder(kind, in: place, [:])
      let tokenizer = try JSONSerialization.data(withJSONObject: Self.tokenizer(kind))
      try tokenizer.write(to: URL(fileURLWithPath: source.path + "/tokenizer.json"))
      let text = try ModelText.outputValues(of: source)
      try ModelConversion(source, as: .f32, text: text).write(to: place + "/m.gguf")
      let readers = try [
        ModelText(source).tokenizer, ModelText(GGUFFile(path: place + "/m.gguf")).tokenizer,
      ]
      let rows: [(String, String?)] = [
        ("the hut", nil), ("The  hét", "hut the"), ("heth ##e [SEP] the", "h"), ("", "the"),
      ]
      for (first, second) in rows {
        let pairs = readers.map {
          $0.encode(first, pair: second, limit: 50, parseSpecial: true)
        }
        #expect(pairs[0] == pairs[1], "'\(first)', '\(second ?? "")'")
        #expect(pairs[0].ids.count >= 2)
      }
    }
  }

  @Test("WordPiece with cases is refused: GGUF knows the one without")
  func cased() throws {
    try withTemporaryDirectory { place in
      let source = try folder("bert", in: place, [:])
      var root = Self.tokenizer("bert")
      root["normalizer"] = ["type": "BertNormalizer", "lowercase": false]
      let data = try JSONSerialization.data(withJSONObject: root)
      try data.write(to: URL(fileURLWithPath: source.path + "/tokenizer.json"))
      let error = #expect(throws: ReFTError.self) { try ModelText.outputValues(of: source) }
      #expect(error?.message.contains("'normalizer' is not that of BERT without cases") == true)
    }
  }

  /// A tokenizer.json of a few words.
  private static func tokenizer(_ kind: String) -> [String: Any] {
    var root: [String: Any] = [:]
    var model: [String: Any] = [:]
    var specials: [String]
    var tokens: [String]
    if kind == "bert" {
      specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
      tokens = specials + ["the", "t", "h", "e", "##h", "##e", "##t", "##u", "#", "hut"]
      model["type"] = "WordPiece"
      model["unk_token"] = "[UNK]"
      root["normalizer"] = ["type": "BertNormalizer", "lowercase": true]
      root["pre_tokenizer"] = ["type": "BertPreTokenizer"]
      root["post_processor"] = [
        "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2],
      ]
      root["decoder"] = ["type": "WordPiece", "prefix": "##", "cleanup": true]
    } else {
      specials = ["<s>", "<pad>", "</s>"]
      let printable = (33...126).map { $0 } + (161...172).map { $0 } + (174...255).map { $0 }
      let others = (0..<256).filter { !printable.contains($0) }
      tokens = specials
      tokens += (0..<256).map { byte in
        let scalar = others.firstIndex(of: byte).map { 256 + $0 } ?? byte
        return String(Character(UnicodeScalar(UInt32(scalar)) ?? " "))
      }
      tokens += ["th", "the", "Ġthe"]
      model["type"] = "BPE"
      model["merges"] = ["t h", "th e", "Ġ the"]
      root["pre_tokenizer"] = ["type": "ByteLevel", "add_prefix_space": false, "use_regex": true]
      root["post_processor"] = [
        "type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0],
      ]
      root["decoder"] = ["type": "ByteLevel"]
    }
    model["vocab"] = Dictionary(uniqueKeysWithValues: tokens.enumerated().map { ($1, $0) })
    root["model"] = model
    root["added_tokens"] = specials.enumerated().map { id, text in
      [
        "id": id, "content": text, "special": true, "lstrip": false, "rstrip": false,
        "single_word": false, "normalized": false,
      ]
    }
    return root
  }
}
