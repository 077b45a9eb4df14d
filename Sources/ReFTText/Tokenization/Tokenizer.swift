// SPDX-License-Identifier: Apache-2.0
// Text to token ids and back. Markers are found first (Markers.swift); what lies between them is
// normalised (Normalizer.swift), cut (PreTokenizer.swift) and encoded piece by piece by one of the
// models. Tokenizer+Building.swift puts them together.

public import ReFTTensor

/// A tokenizer as its model file describes it: byte-level BPE, SentencePiece's BPE or unigrams, or
/// WordPiece.
///
/// Every text has one sequence of ids, and `decode` gives the text back, but for what normalising
/// changed. A few vocabularies lack the
/// tokens of some control characters and of bytes that UTF-8 never uses (`inexpressibleBytes`); such
/// bytes leave no token, or that of the unknown, as in the tokenizers that those models were trained
/// with.
public final class Tokenizer: Sendable {
  /// What turns pieces of text into tokens.
  enum Model: Sendable {
    /// A folder without a tokenizer: ids have no texts, and texts no ids.
    case absent(path: String)
    case bytePairs(BytePairModel)
    case sentencePieces(SentencePieceModel)
    case unigrams(UnigramModel)
    case wordPieces(WordPieceModel)
  }

  let vocabulary: Vocabulary
  private let model: Model
  private let normalizer: Normalizer
  private let cuts: PreTokenizer
  /// The markers found in text: all of them, and those found even when markers are plain text.
  private let markers: Markers
  private let ownTextMarkers: Markers
  /// Whether a text does not have the space with which its first token begins.
  let stripsFirstSpace: Bool

  /// The token before the first of a text, where the model names one.
  public let bos: Int32?
  /// The token that ends a text, where the model names one.
  public let eos: Int32?
  /// The token that fills up batches, where the model names one; it has no meaning of its own.
  public let padding: Int32?
  /// The tokens that end a reply: end of text, end of turn, and their kin.
  public let stopIds: Set<Int32>
  /// Whether the model wants `bos` before each text.
  public let addsBOS: Bool
  /// The tokens around one text and around two.
  let frame: TextFrame

  /// Builds a tokenizer from the values of a model file.
  ///
  /// - Throws: `badData` naming the key, token or merge that is missing or does not fit.
  package init(_ metadata: TokenizerMetadata, path: String) throws(ReFTError) {
    let parts = try TokenizerParts(metadata, path: path)
    (vocabulary, model) = (parts.vocabulary, parts.model)
    (normalizer, cuts) = (parts.normalizer, parts.cuts)
    let roles = try Self.roles(metadata, vocabulary, path: path)
    bos = roles["bos"]
    eos = roles["eos"]
    padding = roles["padding"]
    addsBOS = metadata.addsBOS ?? (parts.addsBOSByDefault && bos != nil)
    if addsBOS, bos == nil {
      throw .tokenizerKeyMissing("tokenizer.ggml.bos_token_id", path: path)
    }
    frame = metadata.frame ?? parts.frame(roles, bos: addsBOS ? bos : nil)
    if let id = frame.ids.first(where: { [count = vocabulary.count] in !(0..<count ~= Int($0)) }) {
      throw .tokenIdOutOfRange(
        "a token around the text",
        id: Int(id),
        tokens: vocabulary.count,
        path: path
      )
    }
    stopIds = Self.stopIds(vocabulary, roles)
      .union(metadata.ends.filter { [count = vocabulary.count] in 0..<count ~= $0 }.map(Int32.init))
    (markers, ownTextMarkers) = parts.markers(metadata)
    stripsFirstSpace = metadata.stripsFirstSpace ?? parts.stripsFirstSpace
  }

  /// Makes sure that texts can be turned into tokens.
  ///
  /// - Throws: `inputMissing` for a model folder without a tokenizer, which has ids alone.
  public func requirePresent() throws(ReFTError) {
    if case .absent(let path) = model { throw .tokenizerAbsent(path) }
  }

  /// How many tokens there are; ids run from 0 to one less.
  public var vocabularySize: Int { vocabulary.count }

  /// Whether texts can be encoded: not where a folder came without a tokenizer.
  public var hasTexts: Bool {
    if case .absent = model { false } else { true }
  }

  /// The bytes that no token stands for, ascending; empty for most vocabularies.
  public var inexpressibleBytes: [UInt8] {
    switch model {
    case .absent: []
    case .bytePairs(let model):
      model.byteTokens.indices.filter { model.byteTokens[$0] < 0 }.map { UInt8($0) }
    case .sentencePieces(let model): model.missingBytes
    case .unigrams(let model): model.missingBytes
    case .wordPieces: []
    }
  }

  /// The id of the token whose text in the vocabulary is `text`, or nil.
  public func id(of text: String) -> Int32? { vocabulary.id(ofText: text) }

  /// Whether a token marks structure, as `<|im_end|>` does, and is no part of the text.
  public func isSpecial(_ id: Int32) -> Bool {
    contains(id) && vocabulary.kinds[Int(id)].isSpecial
  }

  /// Whether the vocabulary has a token of this id.
  public func contains(_ id: Int32) -> Bool { id >= 0 && Int(id) < vocabulary.count }

  // MARK: Text to ids

  /// Turns text into token ids.
  ///
  /// - Parameters:
  ///   - text: any text.
  ///   - parseSpecial: whether the texts of special tokens stand for these tokens; else they are
  ///     read like any other text.
  ///   - addBOS: whether to begin with `bos`; nil does what the model says.
  /// - Returns: the ids; empty for an empty text without `bos`.
  /// - Complexity: O(n log n) in the worst case, O(n) for words of usual length.
  public func encode(
    _ text: String,
    parseSpecial: Bool = true,
    addBOS: Bool? = nil
  ) -> [Int32] {
    encode(text, parseSpecial: parseSpecial, addBOS: addBOS, limit: .max)
  }

  /// Turns the beginning of a text into token ids.
  ///
  /// - Parameters:
  ///   - text: any text.
  ///   - parseSpecial: as for a whole text.
  ///   - addBOS: as for a whole text.
  ///   - limit: how many tokens are enough.
  /// - Returns: all ids of the text when there are at most `limit`; else its first ids, more than
  ///   `limit` of them.
  /// - Complexity: of a text of many words, that of the words that are needed.
  public func encode(
    _ text: String,
    parseSpecial: Bool,
    addBOS: Bool?,
    limit: Int
  ) -> [Int32] {
    var text = text
    return text.withUTF8 {
      encode($0, parseSpecial: parseSpecial, addBOS: addBOS ?? addsBOS, limit: limit)
    }
  }

  /// Turns bytes into token ids, byte for byte, also where they are no UTF-8.
  ///
  /// - Parameters:
  ///   - bytes: any bytes.
  ///   - parseSpecial: as for text.
  ///   - addBOS: as for text.
  /// - Returns: the ids.
  public func encode(
    bytes: some Sequence<UInt8>,
    parseSpecial: Bool = true,
    addBOS: Bool? = nil
  ) -> [Int32] {
    let addBOS = addBOS ?? addsBOS
    return Array(bytes).withUnsafeBufferPointer {
      encode($0, parseSpecial: parseSpecial, addBOS: addBOS)
    }
  }

  private func encode(
    _ bytes: UnsafeBufferPointer<UInt8>,
    parseSpecial: Bool,
    addBOS: Bool,
    limit: Int = .max
  ) -> [Int32] {
    var ids: [Int32] = []
    var merger = PairMerger()
    ids.reserveCapacity(min(limit, bytes.count / 3) + 8)
    if addBOS, let bos { ids.append(bos) }
    let text = ByteText(bytes: bytes)
    let found = parseSpecial ? markers : ownTextMarkers
    found.forEachPart(found.plain, of: text, in: 0..<bytes.count) { part, token in
      if ids.count > limit { return }
      if let token { return ids.append(token) }
      guard !normalizer.isEmpty else {
        return encodePieces(text, part, isFirst: part.lowerBound == 0, limit, &merger, &ids)
      }
      let plain = UnsafeBufferPointer(rebasing: bytes[part])
      normalizer.apply(plain, isFirst: part.lowerBound == 0).withUnsafeBufferPointer { written in
        let text = ByteText(bytes: written)
        found.forEachPart(found.normalized, of: text, in: 0..<written.count) { inner, token in
          if ids.count > limit { return }
          if let token { return ids.append(token) }
          let isFirst = part.lowerBound == 0 && inner.lowerBound == 0
          encodePieces(text, inner, isFirst: isFirst, limit, &merger, &ids)
        }
      }
    }
    return ids
  }

  /// Encodes normalised text without a marker.
  private func encodePieces(
    _ text: ByteText,
    _ range: Range<Int>,
    isFirst: Bool,
    _ limit: Int,
    _ merger: inout PairMerger,
    _ ids: inout [Int32]
  ) {
    cuts.forEachPiece(
      of: text,
      from: range.lowerBound,
      to: range.upperBound,
      isFirst: isFirst
    ) { text, start, end in
      if ids.count > limit { return }
      switch model {
      case .absent: return
      case .bytePairs(let model):
        model.encode(
          text,
          from: start,
          to: end,
          vocabulary: vocabulary,
          merger: &merger,
          into: &ids
        )
      case .sentencePieces(let model):
        model.encode(text, start..<end, vocabulary: vocabulary, merger: &merger, into: &ids)
      case .unigrams(let model): model.encode(text, start..<end, into: &ids)
      case .wordPieces(let model): model.encode(text, start..<end, into: &ids)
      }
    }
  }

  // MARK: Ids to text

  /// The bytes that a token stands for; empty for an id outside the vocabulary.
  public func bytes(of id: Int32) -> [UInt8] {
    contains(id) ? Array(vocabulary.contents[Int(id)]) : []
  }

  /// The text of a token as the vocabulary writes it, such as "Ġworld"; empty outside of it.
  public func piece(_ id: Int32) -> String {
    contains(id) ? vocabulary.texts.text(Int(id)) : ""
  }

  /// Turns the ids of a text into bytes, exactly.
  ///
  /// - Parameters:
  ///   - ids: token ids; those outside the vocabulary give nothing.
  ///   - skipSpecial: whether to leave out the texts of special tokens.
  /// - Returns: the bytes of all tokens, in order; without a space that the tokenizer puts in front
  ///   of every text.
  public func decodeBytes(_ ids: some Sequence<Int32>, skipSpecial: Bool = false) -> [UInt8] {
    var bytes: [UInt8] = []
    var isFirst = stripsFirstSpace
    for id in ids where contains(id) && !(skipSpecial && vocabulary.kinds[Int(id)].isSpecial) {
      let content = vocabulary.contents[Int(id)]
      bytes.append(contentsOf: isFirst && content.first == 0x20 ? content.dropFirst() : content)
      isFirst = isFirst && isBeforeText(id)
    }
    return bytes
  }

  /// Whether a token stands before the text that it begins, and takes no space from it.
  func isBeforeText(_ id: Int32) -> Bool {
    isSpecial(id) && vocabulary.contents[Int(id)].first != 0x20
  }

  /// Turns ids into text; bytes that are no UTF-8 come out as U+FFFD.
  ///
  /// - Parameters:
  ///   - ids: token ids; those outside the vocabulary give nothing.
  ///   - skipSpecial: whether to leave out the texts of special tokens.
  /// - Returns: the text.
  public func decode(_ ids: [Int32], skipSpecial: Bool = false) -> String {
    String(decoding: decodeBytes(ids, skipSpecial: skipSpecial), as: UTF8.self)
  }

  // MARK: Roles

  /// The texts of tokens that end a reply in the chat formats in use.
  private static let endTexts = [
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>",
    "<end_of_turn>", "<|return|>", "<EOT>",
  ]

  private static func roles(
    _ metadata: TokenizerMetadata,
    _ vocabulary: Vocabulary,
    path: String
  ) throws(ReFTError) -> [String: Int32] {
    var roles: [String: Int32] = [:]
    for (role, id) in metadata.roles {
      guard id >= 0, id < vocabulary.count else {
        throw .tokenIdOutOfRange(
          "tokenizer.ggml.\(role)_token_id",
          id: id,
          tokens: vocabulary.count,
          path: path
        )
      }
      roles[role] = Int32(id)
    }
    return roles
  }

  private static func stopIds(_ vocabulary: Vocabulary, _ roles: [String: Int32]) -> Set<Int32> {
    var ids = Set(["eos", "eot", "eom"].compactMap { roles[$0] })
    for text in endTexts {
      if let id = vocabulary.id(ofText: text), vocabulary.kinds[Int(id)] == .control {
        ids.insert(id)
      }
    }
    return ids
  }
}
