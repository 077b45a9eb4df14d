// SPDX-License-Identifier: Apache-2.0
// A tokenizer's values as the keys of a GGUF file, as far as the format has keys for them.

import ReFTTensor

extension TokenizerMetadata {
  /// The keys of a GGUF file.
  ///
  /// What comes out is read again, and must give the tokens that the tokenizer gives for some texts.
  ///
  /// - Throws: `badData` for a kind, or cuts, that are not written.
  func outputValues(
    _ tokenizer: Tokenizer,
    path: String
  ) throws(ReFTError) -> [(key: String, value: GGUFOutputValue)] {
    let written = try written(tokenizer, path: path)
    let again = try Tokenizer(written, path: path)
    for text in Self.probes where again.encode(text) != tokenizer.encode(text) {
      throw .wordsNotWritten(text, path: path)
    }
    return written.values(addsBOS: tokenizer.addsBOS)
  }

  /// What a file will say: the same tokenizer by the means that GGUF has.
  private func written(
    _ tokenizer: Tokenizer,
    path: String
  ) throws(ReFTError) -> TokenizerMetadata {
    guard let model, ["gpt2", "llama", "bert"].contains(model), !hasWholeWordsOnly else {
      throw .tokenizerNotWritten(model ?? "none", path: path)
    }
    var file = TokenizerMetadata()
    file.model = model
    file.tokens = tokens
    file.types = types ?? [Int](repeating: TokenKind.normal.rawValue, count: tokens.count)
    file.roundsScores = true
    file.roles = allRoles(tokenizer)
    if let end = ends.first(where: { $0 != roles["eos"] }), roles["eot"] == nil {
      file.roles["eot"] = end
    }
    file.addsBOS = tokenizer.addsBOS
    switch model {
    case "llama":
      file.scores = scoresOfMerges(tokenizer)
      if !addsPrefix(tokenizer) { file.prefix = .never }
      (file.squeezesSpaces, file.characterMap) = (squeezesSpaces, characterMap)
    case "bert":
      if let fault = wordPieceFault { throw .wordPiecesNotWritten(fault, path: path) }
      file.tokens = StringTable(bytes: phantomTexts)
    default:
      file.merges = merges.map { StringTable(bytes: $0.texts.map(Self.spaced)) }
      let whole = takesWholePieces ?? false
      file.preTokenizer = cuts?.name(takesWholePieces: whole) ?? (cuts == nil ? preTokenizer : nil)
      guard file.preTokenizer != nil else { throw .cutsNotWritten(path: path) }
    }
    return file
  }

  /// Texts in which the common ways of cutting and normalising differ.
  ///
  /// Letters with marks of their own are missing: byte-level models that compose them (NFC), as Qwen's,
  /// have no key that says so, and their files are read without it everywhere.
  private static let probes = [
    "Hello, world!  It's 12345 o'clock; I'LL see.", " leading\n\n\ttabs \r\n and  spaces   ",
    "ÄÖ ünïcode 中文字 日本語 한국어 Русский العربية हिन्दी",
    "a_b-c++ {x: [1.5e-3]} #42 @me https://a.b/c?d=e",
    "camelCase HTTPServer x1y22z333w4444 5,000", "emoji 😀👍🏽 ½ ² Ⅷ ٣ \u{A0}nbsp\u{3000}wide", "", " ",
    "a",
  ]

  /// The keys of a file that says this.
  private func values(addsBOS: Bool) -> [(key: String, value: GGUFOutputValue)] {
    var values: [(key: String, value: GGUFOutputValue)] = []
    func add(_ key: String, _ value: GGUFOutputValue?) {
      if let value { values.append(("tokenizer.ggml." + key, value)) }
    }
    add("model", model.map { .string($0) })
    add("pre", preTokenizer.map { .string($0) })
    add("tokens", .texts(tokens.texts))
    add("token_type", types.map { .int32s($0.map(Int32.init(clamping:))) })
    add("scores", scores.map { .float32s($0) })
    if model == "llama" {
      add("add_space_prefix", .bool(prefix != .never))
      if squeezesSpaces { add("remove_extra_whitespaces", .bool(true)) }
      if let map = characterMap, !map.isEmpty { add("precompiled_charsmap", .bytes(map)) }
    }
    add("merges", merges.map { .texts($0.texts) })
    for (role, id) in roles.sorted(by: { $0.key < $1.key }) {
      add("\(role)_token_id", .uint32(UInt32(clamping: id)))
    }
    add("add_bos_token", .bool(addsBOS))
    return values
  }

  /// The tokens with a meaning, among them those that stand around a text.
  private func allRoles(_ tokenizer: Tokenizer) -> [String: Int] {
    let parts = tokenizer.frame.single
    let frame = model == "bert" ? TextFrame.bert : TextFrame.roberta
    guard parts.count == 3, case .token(let cls, _) = parts[0],
      case .token(let separator, _) = parts[2],
      tokenizer.frame == frame(cls, separator)
    else { return roles }
    return roles.merging(["cls": Int(cls), "seperator": Int(separator)]) { $1 }
  }

  /// What of a WordPiece tokenizer GGUF cannot say; nil where it says all.
  private var wordPieceFault: String? {
    guard affixes.continuation == Array("##".utf8) else { return "continuing_subword_prefix" }
    // Letters with marks, Chinese ones and control characters show each step of BERT's normaliser.
    let probe = "AÉ e\u{301}中ß\u{1}\u{A0}x"
    func read(_ normalizer: Normalizer) -> [UInt8] {
      Array(probe.utf8).withUnsafeBufferPointer { normalizer.apply($0, isFirst: true) }
    }
    return read(normalizer ?? .bert) == read(.bert) ? nil : "normalizer"
  }

  /// The texts of WordPiece as GGUF has them: ▁ before what begins a word, nothing before what goes on.
  private var phantomTexts: [[UInt8]] {
    tokens.texts.enumerated().map { id, text in
      if types?[id] ?? TokenKind.normal.rawValue != TokenKind.normal.rawValue { return text }
      let mark = affixes.continuation
      guard text.starts(with: mark), text.count > mark.count else {
        return SentencePieceText.space + text
      }
      return Array(text.dropFirst(mark.count))
    }
  }

  /// Whether a text without a space before it is read as with one, by what the tokenizer does.
  private func addsPrefix(_ tokenizer: Tokenizer) -> Bool {
    guard let first = tokenizer.encode("a", parseSpecial: false, addBOS: false).first,
      Int(first) < tokens.count
    else { return false }
    return tokens.texts[Int(first)].starts(with: "▁".utf8)
  }

  /// A merge of two texts with a space between them, in place of the zero byte of tokenizer.json.
  private static func spaced(_ merge: [UInt8]) -> [UInt8] { merge.map { $0 == 0 ? 0x20 : $0 } }

  /// Scores that order pieces as the merges that make them: those of a later merge are lower, and
  /// pieces that no merge makes are lowest.
  private func scoresOfMerges(_ tokenizer: Tokenizer) -> [Float] {
    if let scores { return scores }
    let lines = merges?.texts ?? []
    var scores = [Float](repeating: -Float(lines.count + 1), count: tokens.count)
    var isSet = [Bool](repeating: false, count: tokens.count)
    for (rank, line) in lines.enumerated() {
      guard let cut = line.firstIndex(of: 0) ?? line.firstIndex(of: 0x20) else { continue }
      let whole = Array(line[..<cut] + line[(cut + 1)...])
      let id = whole.withUnsafeBufferPointer {
        tokenizer.vocabulary.index.id(of: $0, in: tokenizer.vocabulary.texts)
      }
      guard id >= 0, !isSet[Int(id)] else { continue }
      scores[Int(id)] = -Float(rank)
      isSet[Int(id)] = true
    }
    return scores
  }
}

extension StringTable {
  /// All texts, as bytes.
  fileprivate var texts: [[UInt8]] { (0..<count).map { Array(bytes[range($0)]) } }

  /// A table of texts that are bytes.
  fileprivate init(bytes texts: [[UInt8]]) {
    self.init()
    for text in texts { append(text) }
  }
}

extension ReFTError {
  fileprivate static func tokenizerNotWritten(_ kind: String, path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Tokenizer '\(path)' is of the kind '\(kind)', which this version does not write to GGUF; it "
        + "writes byte-level BPE, SentencePiece's BPE and WordPiece. Use the folder as it is."
    )
  }

  fileprivate static func cutsNotWritten(path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Tokenizer '\(path)' cuts texts in a way that has no name in GGUF (tokenizer.ggml.pre); use the "
        + "folder as it is."
    )
  }

  fileprivate static func wordsNotWritten(_ text: String, path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Tokenizer '\(path)' reads '\(text.shown(60))' otherwise than a GGUF file of its words would; use "
        + "the folder as it is."
    )
  }

  fileprivate static func wordPiecesNotWritten(_ part: String, path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): '\(part)' is not that of BERT without cases, the only WordPiece that GGUF knows; use "
        + "the folder as it is"
    )
  }
}
