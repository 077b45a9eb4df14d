// SPDX-License-Identifier: Apache-2.0
// Tokenizer files: tokenizer.json in every kind, and SentencePiece's tokenizer.model.

import Foundation
import ReFTTensor
import ReFTText

/// Makes `tokenizer.json` files, and encodes texts with them.
public struct TokenizerFuzz: FuzzReader {
  /// The name on the command line.
  public static let name = "tokenizer"

  private let file = FuzzFolder()

  /// Makes a reader.
  public init() {}

  private static let keys = [
    "type", "vocab", "merges", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
    "single", "pair", "byte_fallback", "pattern", "Regex", "id", "content", "special", "unk_token",
    "unk_id", "lstrip", "single_word", "behavior", "invert", "precompiled_charsmap", "decoder",
    "prepend_scheme", "continuing_subword_prefix", "max_input_chars_per_word", "sep", "cls",
  ]

  private static let models = [
    #""BPE", "byte_fallback": true, "unk_token": "<u>", "vocab": {"<u>": 0, "a": 1, "b": 2, "ab": 3, "<0x41>": 4}, "merges": ["a b"]"#,
    #""BPE", "unk_token": "<u>", "continuing_subword_prefix": "@", "end_of_word_suffix": "$", "vocab": {"<u>": 0, "a": 1, "@b": 2, "ab": 3, "@b$": 4, "ab$": 6}, "merges": ["a @b", "a @b$"]"#,
    #""Unigram", "unk_id": 0, "vocab": [["<u>", 0], ["a", -1.5], ["b", -2], ["ab", -2.5], ["▁", -3.0]]"#,
    ###""WordPiece", "unk_token": "<u>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 5, "vocab": {"<u>": 0, "a": 1, "##b": 2, "ab": 3, "##ab": 4}"###,
    #""WordLevel", "unk_token": "<u>", "vocab": {"<u>": 0, "a": 1, "b": 2, "ab": 3}"#,
  ]
  private static let normalizers = [
    "null", #"{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}"#,
    #"{"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}, {"type": "StripAccents"}]}"#,
    #"{"type": "BertNormalizer", "clean_text": true, "lowercase": true}"#,
    #"{"type": "Replace", "pattern": {"Regex": "a*|(b+){2}"}, "content": "ab"}"#,
    #"{"type": "Precompiled", "precompiled_charsmap": "CAAAAAAEAAAAAQAAYQA="}"#,
    #"{"type": "Prepend", "prepend": "▁"}"#,
  ]
  private static let cuts = [
    "null", #"{"type": "BertPreTokenizer"}"#, #"{"type": "Metaspace", "prepend_scheme": "first"}"#,
    #"{"type": "ByteLevel", "add_prefix_space": true, "use_regex": true}"#,
    #"{"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "Punctuation"}, {"type": "Whitespace"}]}"#,
  ]
  private static let expressions = [
    #"(?i:'s|'t)|[^\\r\\n\\p{L}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"#, "(a*)*b", "(a|a){2,9}$",
    #"[^(\\s|[.,])]+"#, #"\\d{1,3}(?=(?:\\d{3})*\\b)"#, "((a?){3,}){5}|.", #"[a-c&&[^b]]++"#,
    "(?>a+)b|^x",
  ]
  private static let behaviors = [
    "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous",
  ]

  /// Makes one file.
  public func makeInput(_ random: inout FuzzRandom) -> [UInt8] {
    var cut = random.pick(Self.cuts)
    if random.once(in: 2) {
      var expression = random.pick(Self.expressions)
      if random.once(in: 3) {
        let bytes = FuzzMutation.mutate([UInt8](expression.utf8), &random)
        expression = String(decoding: bytes, as: UTF8.self)
          .replacingOccurrences(of: "\"", with: "")
      }
      cut =
        #"{"type": "Split", "pattern": {"Regex": "\#(expression)"}, "behavior": "#
        + #""\#(random.pick(Self.behaviors))", "invert": \#(random.once(in: 4))}"#
    }
    var text = """
      {"added_tokens": [{"id": 5, "content": "<s>", "special": true, "lstrip": \(random.once(in: 2)),
        "single_word": \(random.once(in: 3)), "normalized": \(random.once(in: 2))}],
       "normalizer": \(random.pick(Self.normalizers)),
       "pre_tokenizer": \(cut),
       "post_processor": {"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
         "pair": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "B", "type_id": 1}}]},
       "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
       "model": {"type": \(random.pick(Self.models))}}
      """
    if random.once(in: 2) { JSONFuzz.change(&text, keys: Self.keys, &random) }
    let bytes = [UInt8](text.utf8)
    return random.once(in: 3) ? FuzzMutation.mutate(bytes, &random) : bytes
  }

  /// Reads the file, and texts with it.
  public func read(_ input: [UInt8]) throws {
    let path = try file.write(input, to: "tokenizer.json")
    TokenizerUse.run(try Tokenizer(file: path, settings: nil))
  }
}

/// Makes `tokenizer.model` files, and encodes texts with them.
public struct SentencePieceFuzz: FuzzReader {
  /// The name on the command line.
  public static let name = "sentencepiece"

  private let file = FuzzFolder()

  /// Makes a reader.
  public init() {}

  /// Makes one file.
  public func makeInput(_ random: inout FuzzRandom) -> [UInt8] {
    var bytes: [UInt8] = []
    let pieces = ["<unk>", "<s>", "</s>", "▁", "a", "b", "ab", "▁ab", "<0x41>", "<own>", "é"]
    for (id, piece) in pieces.enumerated() {
      let score = Self.fixed(random.once(in: 60) ? .nan : Float(-id))
      var type = id == 0 ? 2 : id < 3 ? 3 : piece == "<0x41>" ? 6 : piece == "<own>" ? 4 : 1
      if random.once(in: 80) { type = random.below(9) }
      let text = random.once(in: 80) ? "a" : piece
      bytes += Self.field(
        1,
        Self.field(1, [UInt8](text.utf8)) + [0x15] + score + [0x18, UInt8(type)]
      )
    }
    let trainer = [
      [0x18, UInt8(1 + random.below(2))], [0xC0, 0x02, UInt8(random.pick([0, 0, 0, 4, 127]))],
    ]
    bytes += Self.field(2, trainer.flatMap { $0 })
    let map: [UInt8] = [8, 0, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0, 0x61, 0]
    let table =
      random.once(in: 2) ? [] : random.once(in: 2) ? map : FuzzMutation.mutate(map, &random)
    bytes += Self.field(
      3,
      Self.field(2, table) + [0x18, UInt8(random.below(2)), 0x20, UInt8(random.below(2))]
    )
    return random.once(in: 2) ? FuzzMutation.mutate(bytes, &random) : bytes
  }

  private static func fixed(_ value: Float) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * UInt32($0))) }
  }

  private static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
    var (length, count) = ([UInt8](), bytes.count)
    repeat {
      length.append(UInt8(count & 0x7F) | (count > 0x7F ? 0x80 : 0))
      count >>= 7
    } while count > 0
    return [number << 3 | 2] + length + bytes
  }

  /// Reads the file, and texts with it.
  public func read(_ input: [UInt8]) throws {
    let path = try file.write(input, to: "tokenizer.model")
    TokenizerUse.run(try Tokenizer(sentencePiece: path, settings: nil))
  }
}

/// What every tokenizer that could be read must stand.
private enum TokenizerUse {
  private static let texts = [
    "", "ab <s> Aé", " abab  ab\n\n123 4567 <own> it's e\u{301}",
    String(repeating: "ab a", count: 200),
    String(repeating: "\u{301}\u{316}", count: 200),
  ]

  static func run(_ tokenizer: Tokenizer) {
    for text in texts {
      let ids = tokenizer.encode(text)
      _ = tokenizer.decode(ids)
      var decoder = Tokenizer.Decoder(tokenizer)
      for id in ids { _ = decoder.feed(id) }
      _ = decoder.finish()
      _ = tokenizer.encode(text, pair: "ab", limit: 5)
    }
    _ = tokenizer.encode(bytes: [0xFF, 0x61, 0xE2, 0x96, 0x20, 0xC3], parseSpecial: false)
  }
}
