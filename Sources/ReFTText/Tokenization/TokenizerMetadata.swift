// SPDX-License-Identifier: Apache-2.0
// What a model file says about its tokenizer, before any of it is checked.

/// The values of the `tokenizer.ggml.*` keys of a model file.
package struct TokenizerMetadata: Sendable {
  /// The kind of tokenizer: `gpt2` is byte-level BPE, `llama` SentencePiece's BPE.
  package var model: String?
  /// The name of the pre-tokenizer.
  package var preTokenizer: String?
  /// The texts of the tokens, in the order of their ids.
  package var tokens = StringTable()
  /// The kind of each token, as GGUF numbers them; nil where the file does not say.
  package var types: [Int]?
  /// The merges, each as two texts with a space between them.
  package var merges: StringTable?
  /// How early each token of SentencePiece's BPE is merged; higher goes first.
  package var scores: [Float]?
  /// Where SentencePiece puts a space of its own.
  package var prefix = SentencePiecePrefix.everyPart
  /// Whether tokens of the user's own kind are found in the text as it stands; nil is the model's way.
  package var findsOwnTokensInText: Bool?
  /// Whether a piece that is a token is taken whole; nil is the pre-tokenizer's way.
  package var takesWholePieces: Bool?
  /// Whether letters are composed first, to Unicode's form NFC.
  package var composes = false
  /// Further tokens that end a reply.
  package var ends: [Int] = []
  /// The ids with a meaning, by their key without `tokenizer.ggml.` and `_token_id`.
  package var roles: [String: Int] = [:]
  /// Whether texts start with the beginning-of-text token; nil where the file does not say.
  package var addsBOS: Bool?
  /// The tokens around one text and around two; nil: at most the beginning-of-text token.
  package var frame: TextFrame?

  /// Metadata without any value.
  package init() {}

  /// The kind of a tokenizer that is not there.
  static let absent = "absent"

  /// What stands for the tokenizer of a model that has none: ids without texts.
  package init(absentFor count: Int) {
    model = Self.absent
    tokens = StringTable((0..<max(1, count)).map { "<\($0)>" })
    types = [Int](repeating: 5, count: max(1, count))
  }
}

/// Where SentencePiece puts a space of its own in front of text.
package enum SentencePiecePrefix: Sendable {
  /// Nowhere.
  case never
  /// Before a text that does not begin with a marker.
  case first
  /// Before each part of a text between markers.
  case everyPart
}

/// The kind of a token, with GGUF's numbers.
enum TokenKind: Int, Sendable {
  case normal = 1
  case unknown = 2
  case control = 3
  case userDefined = 4
  case unused = 5
  case byte = 6

  /// Whether the token marks structure and is no part of the text.
  var isSpecial: Bool { self == .control || self == .unknown }
}
