// SPDX-License-Identifier: Apache-2.0
// Puts a tokenizer together: which model, normaliser and cuts a file's values ask for, where it says
// so itself and where its kind says so.

import ReFTTensor

/// The parts of a tokenizer.
struct TokenizerParts {
  /// The names of `tokenizer.ggml.model` that are understood.
  static let models = ["gpt2", "llama", "t5", "bert"]

  let vocabulary: Vocabulary
  let model: Tokenizer.Model
  let normalizer: Normalizer
  let cuts: PreTokenizer
  let addsBOSByDefault: Bool
  /// Whether the first token of a text begins with a space that the text does not have.
  let stripsFirstSpace: Bool
  private let kind: String
  private let addsEOS: Bool

  /// Reads what the values ask for.
  ///
  /// - Throws: `badData` naming the key, token or merge that is missing or does not fit.
  init(_ given: TokenizerMetadata, path: String) throws(ReFTError) {
    guard let kind = given.model else {
      throw .tokenizerKeyMissing("tokenizer.ggml.model", path: path)
    }
    self.kind = kind
    addsEOS = given.addsEOS
    var metadata = given
    let usual: Vocabulary.Writing =
      kind == "gpt2" ? .byteAlphabet : kind == "bert" ? .phantomSpaces : .sentencePiece
    guard kind == TokenizerMetadata.absent || Self.models.contains(kind) else {
      throw .tokenizerModelUnsupported(kind, path: path)
    }
    vocabulary = try Vocabulary(metadata, writing: metadata.writing ?? usual, path: path)
    if metadata.roles["unknown"] == nil {
      metadata.roles["unknown"] = vocabulary.kinds.firstIndex(of: .unknown)
    }
    switch kind {
    case "gpt2":
      cuts = try Self.cuts(metadata, path: path)
      normalizer = metadata.normalizer ?? Normalizer()
      model = .bytePairs(
        try BytePairModel(
          metadata,
          vocabulary: vocabulary,
          takesWholePieces: metadata.takesWholePieces ?? cuts.takesWholePieces,
          path: path
        )
      )
      (addsBOSByDefault, stripsFirstSpace) = (cuts.addsBOSByDefault, false)
    case "bert":
      cuts = metadata.cuts ?? .bert
      normalizer = metadata.normalizer ?? .bert
      model = .wordPieces(WordPieceModel(metadata, vocabulary: vocabulary))
      (addsBOSByDefault, stripsFirstSpace) = (false, true)
    case "llama", "t5":
      cuts = metadata.cuts ?? PreTokenizer(steps: [])
      if let given = metadata.normalizer {
        normalizer = given
      } else {
        normalizer = try Self.sentencePiece(metadata, vocabulary, path: path)
      }
      model =
        kind == "t5"
        ? .unigrams(try UnigramModel(metadata, vocabulary: vocabulary, path: path))
        : .sentencePieces(
          try SentencePieceModel(metadata, vocabulary: vocabulary, path: path)
        )
      (addsBOSByDefault, stripsFirstSpace) = (
        kind == "llama", metadata.prefix != .never || metadata.squeezesSpaces
      )
    default:
      (cuts, normalizer, model) = (PreTokenizer(steps: []), Normalizer(), .absent(path: path))
      (addsBOSByDefault, stripsFirstSpace) = (false, false)
    }
  }

  private static func cuts(
    _ metadata: TokenizerMetadata,
    path: String
  ) throws(ReFTError) -> PreTokenizer {
    if let cuts = metadata.cuts { return cuts }
    guard let name = metadata.preTokenizer else {
      throw .tokenizerKeyMissing("tokenizer.ggml.pre", path: path)
    }
    guard let cuts = PreTokenizer(named: name) else {
      throw .preTokenizerUnsupported(name, path: path)
    }
    return cuts
  }

  /// What SentencePiece does to a text: its table, fewer spaces where the model wants it, and ▁.
  private static func sentencePiece(
    _ metadata: TokenizerMetadata,
    _ vocabulary: Vocabulary,
    path: String
  ) throws(ReFTError) -> Normalizer {
    var steps: [Normalizer.Step] = []
    if let bytes = metadata.characterMap, !bytes.isEmpty {
      guard let map = CharacterMap(bytes) else { throw .characterMapMalformed(path: path) }
      var keeping = MarkerTrie()
      for (id, kind) in vocabulary.kinds.enumerated() where kind == .userDefined {
        keeping.insert(vocabulary.contents[id], token: Int32(id))
      }
      steps.append(.map(map, byGrapheme: false, keeping: keeping))
    }
    if metadata.squeezesSpaces { steps.append(.squeezeSpaces) }
    return Normalizer(steps + [.blocks(metadata.prefix)])
  }

  /// The tokens around texts where the file does not say.
  func frame(_ roles: [String: Int32], bos: Int32?) -> TextFrame {
    let separator = roles["seperator"] ?? (kind == "bert" ? vocabulary.id(ofText: "[SEP]") : nil)
    let cls = roles["cls"] ?? (kind == "bert" ? vocabulary.id(ofText: "[CLS]") ?? bos : nil)
    if let cls, let separator {
      return kind == "bert"
        ? .bert(cls: cls, separator: separator) : .roberta(cls: cls, separator: separator)
    }
    return .plain(bos: bos, eos: addsEOS ? roles["eos"] : nil)
  }

  /// The markers that are found in text; SentencePiece finds tokens of the user's own kind by
  /// itself, in the text as it writes it.
  func markers(_ metadata: TokenizerMetadata) -> (all: Markers, ownText: Markers) {
    var all = Markers()
    var ownText = Markers()
    let withOwn = metadata.findsOwnTokensInText ?? (kind == "gpt2" || kind == "bert")
    for (id, kind) in vocabulary.kinds.enumerated() {
      func insert(into markers: inout Markers) {
        let (text, rule) = (vocabulary.texts[id], metadata.markerRules[id])
        markers.insert(text, token: Int32(id), rule: rule, normalizer: normalizer)
      }
      switch kind {
      case .normal, .unused, .byte: continue
      case .userDefined:
        guard withOwn else { continue }
        insert(into: &ownText)
        insert(into: &all)
      case .control, .unknown: insert(into: &all)
      }
    }
    return (all, ownText)
  }
}

extension PreTokenizer {
  /// BERT's cuts: at white space, which goes, and around punctuation.
  static let bert = PreTokenizer(steps: [
    .cut(TextCut(finder: .scalars(ScalarClassTable(.space)), behavior: .removed)),
    .cut(TextCut(finder: .scalars(ScalarClassTable(.punctuation)), behavior: .isolated)),
  ])
}

extension Normalizer {
  /// What BERT without cases does to a text.
  static let bert = Normalizer([
    .clean, .spaceChinese, .form(.nfd), .stripMarks(onlyNonspacing: true), .lowercase,
  ])
}

extension ReFTError {
  static func characterMapMalformed(path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): the precompiled table of characters is no double array with texts behind it; expected "
        + "SentencePiece's; fetch the file again"
    )
  }
}
