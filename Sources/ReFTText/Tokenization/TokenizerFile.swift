// SPDX-License-Identifier: Apache-2.0
// `tokenizer.json`, as the tokenizers library writes it: its vocabulary and merges. What it says of
// cutting and normalising text is understood in TokenizerFile+Pipeline.swift.

package import ReFTTensor

/// Reads a `tokenizer.json` into the values that a tokenizer is built from.
struct TokenizerFile {
  /// The most bytes of such a file; Gemma's has 33 MB.
  private static let limit = 256 << 20

  let path: String
  let root: JSONNode
  private(set) var metadata = TokenizerMetadata()

  /// Reads a file.
  ///
  /// - Throws: `inputMissing`, `inputOutput`, or `badData` naming the place of what is no JSON, of
  ///   another type than expected, or not understood.
  init(path: String) throws(ReFTError) {
    self.path = path
    // Tokens that only differ in how a letter is composed are two keys: texts are compared as bytes.
    root = try JSONFile.read(path: path, limit: Self.limit, keys: .asBytes)
    let model = try member("model", of: root)
    try readModel(model)
    try readCuts()
    try readNormalizer()
    try readDecoder()
    try readFrame()
  }

  /// Reads what the kinds of models have in common, and what each has of its own.
  private mutating func readModel(_ model: JSONNode) throws(ReFTError) {
    let kind = try text("type", of: model) ?? (model["merges"] != nil ? "BPE" : "")
    let fallsBack = try flag("byte_fallback", of: model) ?? false
    metadata.addsBOS = false
    metadata.findsOwnTokensInText = true
    switch kind {
    case "BPE":
      if let node = model["dropout"], node.number ?? 0 != 0 {
        throw .tokenizerPart(path, node.place, "model.dropout", node.shown, "null")
      }
      let isByteLevel = try isByteLevel()
      metadata.model = isByteLevel ? "gpt2" : "llama"
      guard !isByteLevel || !fallsBack else {
        let expected = "false beside ByteLevel"
        throw .tokenizerPart(path, root.place, "model.byte_fallback", "true", expected)
      }
      metadata.fusesUnknown = try flag("fuse_unk", of: model) ?? false
      metadata.takesWholePieces = try flag("ignore_merges", of: model) ?? false
      let continuation = try text("continuing_subword_prefix", of: model) ?? ""
      metadata.affixes.continuation = Array(continuation.utf8)
      metadata.affixes.end = Array((try text("end_of_word_suffix", of: model) ?? "").utf8)
      if isByteLevel, !metadata.affixes.isEmpty {
        let expected = "null beside ByteLevel"
        throw .tokenizerPart(path, model.place, "model's affixes", "a text", expected)
      }
      try readMerges(model)
    case "Unigram": metadata.model = "t5"
    case "WordPiece", "WordLevel":
      metadata.model = "bert"
      let prefix = try text("continuing_subword_prefix", of: model) ?? "##"
      metadata.hasWholeWordsOnly = kind == "WordLevel"
      metadata.affixes.continuation = metadata.hasWholeWordsOnly ? [] : Array(prefix.utf8)
      if let most = model["max_input_chars_per_word"], let number = most.number {
        metadata.mostCharacters = Int(max(0, min(number, 1e9)))
      }
    default:
      throw .tokenizerPart(
        path,
        model.place,
        "model.type",
        "'\(kind.shown())'",
        "BPE, Unigram, WordPiece or WordLevel"
      )
    }
    try readVocabulary(model, fallsBack: fallsBack)
  }

  // MARK: Values

  func member(_ key: String, of node: JSONNode) throws(ReFTError) -> JSONNode {
    guard let member = node[key] else {
      throw .tokenizerPart(path, node.place, key, "nothing", "an object")
    }
    return member
  }

  func text(_ key: String, of node: JSONNode) throws(ReFTError) -> String? {
    guard let member = node[key] else { return nil }
    switch member.content {
    case .null: return nil
    case .text(let text): return text
    default: throw .tokenizerPart(path, member.place, key, member.shown, "a text")
    }
  }

  func flag(_ key: String, of node: JSONNode) throws(ReFTError) -> Bool? {
    guard let member = node[key] else { return nil }
    switch member.content {
    case .null: return nil
    case .flag(let flag): return flag
    default: throw .tokenizerPart(path, member.place, key, member.shown, "true or false")
    }
  }

  func list(_ key: String, of node: JSONNode) throws(ReFTError) -> [JSONNode] {
    guard let member = node[key] else { return [] }
    switch member.content {
    case .null: return []
    case .list(let items): return items
    default: throw .tokenizerPart(path, member.place, key, member.shown, "a list")
    }
  }

  // MARK: Vocabulary

  private mutating func readVocabulary(
    _ model: JSONNode,
    fallsBack: Bool
  ) throws(ReFTError) {
    var texts = try entries(try member("vocab", of: model), fallsBack: fallsBack)
    for entry in try list("added_tokens", of: root) {
      guard let content = try text("content", of: entry), let id = entry["id"] else {
        throw .tokenizerPart(path, entry.place, "added_tokens", entry.shown, "an id and a content")
      }
      let isSpecial = try flag("special", of: entry) ?? false
      let token = try tokenID(id, of: "added_tokens")
      var rule = MarkerRule()
      rule.takesLeft = try flag("lstrip", of: entry) ?? false
      rule.takesRight = try flag("rstrip", of: entry) ?? false
      rule.isSingleWord = try flag("single_word", of: entry) ?? false
      rule.isNormalized = try flag("normalized", of: entry) ?? !isSpecial
      metadata.markerRules[token] = rule
      if texts[token] == nil { metadata.addedOnly.insert(token) }
      texts[token] = (content, isSpecial ? .control : .userDefined)
    }
    if case .integer(let id)? = model["unk_id"]?.content, let token = texts[Int(clamping: id)] {
      texts[Int(id)] = (token.text, .unknown)
      metadata.roles["unknown"] = Int(id)
    }
    if let unknown = try text("unk_token", of: model) {
      for (id, token) in texts where token.text == unknown {
        texts[id]?.kind = .unknown
        metadata.roles["unknown"] = id
      }
    }
    try lay(texts)
  }

  /// The texts of `model.vocab` by their ids: an object, or the unigrams' list with scores.
  private mutating func entries(
    _ vocabulary: JSONNode,
    fallsBack: Bool
  ) throws(ReFTError) -> [Int: (text: String, kind: TokenKind)] {
    func kind(_ text: String) -> TokenKind {
      fallsBack && text.utf8.count == 6 && text.hasPrefix("<0x") ? .byte : .normal
    }
    var texts: [Int: (text: String, kind: TokenKind)] = [:]
    switch vocabulary.content {
    case .object(let members):
      texts.reserveCapacity(members.count)
      for member in members {
        let id = try tokenID(member.value, of: "model.vocab")
        guard texts.updateValue((member.key, kind(member.key)), forKey: id) == nil else {
          throw .tokenizerPart(path, member.place, "the id", "\(id) once more", "ids that differ")
        }
      }
    case .list(let items) where metadata.model == "t5" && items.count <= Vocabulary.limit:
      var scores: [Double] = []
      for (id, item) in items.enumerated() {
        guard case .list(let pair) = item.content, pair.count == 2,
          case .text(let text) = pair[0].content, let score = pair[1].number
        else {
          throw .tokenizerPart(path, item.place, "model.vocab", item.shown, "a text and a score")
        }
        texts[id] = (text, kind(text))
        scores.append(score)
      }
      metadata.exactScores = scores
    default:
      let expected = metadata.model == "t5" ? "a list" : "an object"
      throw .tokenizerPart(path, vocabulary.place, "model.vocab", vocabulary.shown, expected)
    }
    return texts
  }

  func tokenID(_ node: JSONNode, of place: String) throws(ReFTError) -> Int {
    guard case .integer(let id) = node.content, (0..<Int64(Vocabulary.limit)).contains(id) else {
      throw .tokenizerPart(
        path,
        node.place,
        "an id of \(place)",
        node.shown,
        "a whole number from 0 to \(Vocabulary.limit - 1)"
      )
    }
    return Int(id)
  }

  /// Lays the tokens in the order of their ids; an id that no token has gets a text of its own.
  private mutating func lay(_ texts: [Int: (text: String, kind: TokenKind)]) throws(ReFTError) {
    let count = (texts.keys.max() ?? -1) + 1
    guard count <= texts.count * 2 + 1024 else {
      throw .tokenizerPart(
        path,
        root.place,
        "the largest id",
        "\(count - 1) for \(texts.count) tokens",
        "ids without wide gaps"
      )
    }
    var table = StringTable()
    var kinds: [Int] = []
    for id in 0..<count {
      let token = texts[id] ?? ("<|no token \(id)|>", .unused)
      table.append(token.text.utf8)
      kinds.append(token.kind.rawValue)
    }
    metadata.tokens = table
    metadata.types = kinds
    if let exact = metadata.exactScores {
      metadata.exactScores = exact + [Double](repeating: 0, count: max(0, count - exact.count))
      metadata.scores = metadata.exactScores?.map { Float($0) }
    }
  }

  private mutating func readMerges(_ model: JSONNode) throws(ReFTError) {
    var table = StringTable()
    for merge in try list("merges", of: model) {
      switch merge.content {
      case .text(let line): table.append(line.utf8)
      case .list(let sides):
        guard sides.count == 2, case .text(let left) = sides[0].content,
          case .text(let right) = sides[1].content
        else {
          throw .tokenizerPart(path, merge.place, "a merge", merge.shown, "two texts")
        }
        table.append(Array(left.utf8) + [0] + Array(right.utf8))
      default: throw .tokenizerPart(path, merge.place, "a merge", merge.shown, "two texts")
      }
    }
    metadata.merges = table
  }

  mutating func set(_ change: (inout TokenizerMetadata) -> Void) { change(&metadata) }
}

extension Tokenizer {
  /// Builds the tokenizer that a `tokenizer.json` describes.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - settings: what `tokenizer_config.json` beside it says; nil where there is none.
  /// - Throws: `inputMissing`, `inputOutput`, or `badData` naming file and place.
  package convenience init(file path: String, settings: TokenizerSettings?) throws(ReFTError) {
    var metadata = try TokenizerFile(path: path).metadata
    if let settings { try settings.apply(to: &metadata) }
    try self.init(metadata, path: path)
  }
}
