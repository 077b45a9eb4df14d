// SPDX-License-Identifier: Apache-2.0
// Vocabularies made in the test: every byte, some merges, some markers.

import ReFTText

/// Builds the metadata of a tokenizer.
struct SmallVocabulary {
  /// The characters that stand for the bytes, as GPT-2 chose them.
  static let alphabet: [Character] = {
    var next: UInt32 = 256
    return (UInt32(0)..<256).compactMap { byte in
      let isPrintable =
        (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
      defer { if !isPrintable { next += 1 } }
      return Unicode.Scalar(isPrintable ? byte : next).map(Character.init)
    }
  }()

  var preTokenizer = "gpt-2"
  var tokens = alphabet.map { String($0) }
  var kinds = [Int](repeating: 1, count: 256)
  var merges: [String] = []
  var roles: [String: Int] = [:]
  var addsBOS: Bool?

  /// Adds a merge and the token that it makes; the first ids are the bytes.
  mutating func merge(_ left: String, _ right: String) {
    merges.append("\(left) \(right)")
    if !tokens.contains(left + right) { add(left + right, kind: 1) }
  }

  /// Adds a token and returns its id.
  @discardableResult
  mutating func add(_ text: String, kind: Int) -> Int32 {
    tokens.append(text)
    kinds.append(kind)
    return Int32(tokens.count - 1)
  }

  var metadata: TokenizerMetadata {
    var metadata = TokenizerMetadata()
    metadata.model = "gpt2"
    metadata.preTokenizer = preTokenizer
    metadata.tokens = StringTable(tokens)
    metadata.types = kinds
    metadata.merges = StringTable(merges)
    metadata.roles = roles
    metadata.addsBOS = addsBOS
    return metadata
  }

  func tokenizer() throws -> Tokenizer { try Tokenizer(metadata, path: "small.gguf") }

  func id(_ text: String) -> Int32 { Int32(tokens.firstIndex(of: text) ?? -1) }

  /// Words with their merges, markers of every kind, and an end token.
  static func english() -> SmallVocabulary {
    var vocabulary = SmallVocabulary()
    for (left, right) in [
      ("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "w"), ("Ġw", "o"), ("r", "l"),
      ("rl", "d"), ("Ġ", "Ġ"), ("ĠĠ", "ĠĠ"), ("a", "a"), ("aa", "aa"), ("Ã", "©"), ("l", "o"),
    ] { vocabulary.merge(left, right) }
    for text in ["<|end|>", "<|end|>more", "<|start|>"] { vocabulary.add(text, kind: 3) }
    vocabulary.add("<own>", kind: 4)
    vocabulary.add("<unk>", kind: 2)
    vocabulary.roles = [
      "eos": Int(vocabulary.id("<|end|>")), "bos": Int(vocabulary.id("<|start|>")),
    ]
    return vocabulary
  }
}
