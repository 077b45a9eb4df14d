// SPDX-License-Identifier: Apache-2.0
// What a model file says about its tokenizer, before any of it is checked.

/// The values of the `tokenizer.ggml.*` keys of a model file.
package struct TokenizerMetadata: Sendable {
  /// The kind of tokenizer: `gpt2` is byte-level BPE, `llama` BPE over characters, `t5` unigrams,
  /// `bert` WordPiece.
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
  /// The scores in 64 bits, where the file has them so.
  package var exactScores: [Double]?
  /// Where SentencePiece puts a space of its own.
  package var prefix = SentencePiecePrefix.everyPart
  /// Whether SentencePiece writes one space for several, and none at the ends.
  package var squeezesSpaces = false
  /// SentencePiece's compiled table of characters.
  package var characterMap: [UInt8]?
  /// Whether sums of scores are rounded to 32 bits, as SentencePiece does.
  package var roundsScores = false
  /// What is done to a text before it is cut; nil is the model's way.
  package var normalizer: Normalizer?
  /// How a text is cut; nil is what `preTokenizer` names, or the model's way.
  package var cuts: PreTokenizer?
  /// How the texts of tokens stand for text; nil is the model's way.
  var writing: Vocabulary.Writing?
  /// Whether neighbours that are unknown become one token.
  package var fusesUnknown = true
  /// What the texts of a word's parts begin and end with.
  package var affixes = WordAffixes()
  /// The most characters of a word of WordPiece; longer ones are unknown.
  package var mostCharacters = 100
  /// Whether words have no parts: a word is a token, or unknown.
  package var hasWholeWordsOnly = false
  /// The tokens that the model itself does not have, and that markers alone give.
  package var addedOnly: Set<Int> = []
  /// How some markers are found in text, by their ids.
  package var markerRules: [Int: MarkerRule] = [:]
  /// Whether the first of the texts that tokens stand for loses a space that was put there.
  package var stripsFirstSpace: Bool?
  /// Whether tokens of the user's own kind are found in the text as it stands; nil is the model's way.
  package var findsOwnTokensInText: Bool?
  /// Whether a piece that is a token is taken whole; nil is the pre-tokenizer's way.
  package var takesWholePieces: Bool?
  /// Further tokens that end a reply.
  package var ends: [Int] = []
  /// The ids with a meaning, by their key without `tokenizer.ggml.` and `_token_id`.
  package var roles: [String: Int] = [:]
  /// Whether texts start with the beginning-of-text token; nil where the file does not say.
  package var addsBOS: Bool?
  /// Whether the end token stands behind each text that is framed.
  package var addsEOS = false
  /// The tokens around one text and around two; nil: at most the beginning-of-text token.
  package var frame: TextFrame?

  /// Metadata without any value.
  package init() {}

  /// The kind of a tokenizer that is not there.
  static let absent = "absent"
  /// What `tokenizer.ggml.model` says in files without words; the first is what is written.
  static let noneInGGUF = ["none", "no_vocab"]

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

/// What the texts of tokens say of their place in a word.
package struct WordAffixes: Sendable {
  /// What the texts of parts that do not begin a word begin with, such as `##`.
  package var continuation: [UInt8] = []
  /// What the texts of parts that end a word end with, such as `</w>`.
  package var end: [UInt8] = []

  /// No affixes.
  package init() {}

  /// Whether there are none.
  var isEmpty: Bool { continuation.isEmpty && end.isEmpty }
}

/// How a marker is found in text.
package struct MarkerRule: Sendable {
  /// Whether it takes the white space before it.
  package var takesLeft = false
  /// Whether it takes the white space behind it.
  package var takesRight = false
  /// Whether it is only found where no letter stands beside it.
  package var isSingleWord = false
  /// Whether it is looked for in the normalised text.
  package var isNormalized = false

  /// A marker that is found as it stands, anywhere.
  package init() {}
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
