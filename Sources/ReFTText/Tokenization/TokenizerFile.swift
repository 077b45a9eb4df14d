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
    let type = try text("type", of: model) ?? (model["merges"] != nil ? "BPE" : "")
    guard type == "BPE" else {
      throw .tokenizerPart(path, model.place, "model.type", "'\(type.shown())'", "BPE")
    }
    for key in ["continuing_subword_prefix", "end_of_word_suffix", "dropout"] {
      if let node = model[key], !node.isEmpty {
        throw .tokenizerPart(path, node.place, "model.\(key)", node.shown, "null")
      }
    }
    let fallsBack = try flag("byte_fallback", of: model) ?? false
    try readVocabulary(model, fallsBack: fallsBack)
    try readMerges(model)
    try readPipeline(root, fallsBack: fallsBack, wholePieces: flag("ignore_merges", of: model))
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
    let vocabulary = try member("vocab", of: model)
    guard case .object(let members) = vocabulary.content else {
      throw .tokenizerPart(path, vocabulary.place, "model.vocab", vocabulary.shown, "an object")
    }
    let added = try list("added_tokens", of: root)
    var texts: [Int: (text: String, kind: TokenKind)] = [:]
    texts.reserveCapacity(members.count + added.count)
    for member in members {
      let id = try tokenID(member.value, of: "model.vocab")
      let isByte = fallsBack && member.key.utf8.count == 6 && member.key.hasPrefix("<0x")
      guard texts.updateValue((member.key, isByte ? .byte : .normal), forKey: id) == nil else {
        throw .tokenizerPart(path, member.place, "the id", "\(id) once more", "ids that differ")
      }
    }
    for entry in added {
      guard let content = try text("content", of: entry), let id = entry["id"] else {
        throw .tokenizerPart(path, entry.place, "added_tokens", entry.shown, "an id and a content")
      }
      let isSpecial = try flag("special", of: entry) ?? false
      for key in ["lstrip", "rstrip", "single_word"] where try flag(key, of: entry) ?? false {
        throw .tokenizerPart(path, entry.place, "added_tokens.\(key)", "true", "false")
      }
      texts[try tokenID(id, of: "added_tokens")] = (content, isSpecial ? .control : .userDefined)
    }
    if let unknown = try text("unk_token", of: model) {
      for (id, token) in texts where token.text == unknown {
        texts[id]?.kind = .unknown
        metadata.roles["unknown"] = id
      }
    }
    try lay(texts)
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
