// SPDX-License-Identifier: Apache-2.0
// Text to token ids and back: markers are found here, what lies between them is encoded by
// BytePairModel.swift or SentencePieceModel.swift; Tokenizer+GGUF.swift reads the model file.

import Foundation
public import ReFTTensor

/// A tokenizer as its model file describes it: byte-level BPE, or SentencePiece's BPE.
///
/// Every text has one sequence of ids, and `decode` gives the text back. A few vocabularies lack the
/// tokens of some control characters and of bytes that UTF-8 never uses (`inexpressibleBytes`); such
/// bytes leave no token, or that of the unknown, as in the tokenizers that those models were trained
/// with.
public final class Tokenizer: Sendable {
  /// What turns the text between markers into tokens.
  private enum Model: Sendable {
    /// A folder without a tokenizer: ids have no texts, and texts no ids.
    case absent(path: String)
    case bytePairs(BytePairModel)
    case sentencePieces(SentencePieceModel)
  }

  let vocabulary: Vocabulary
  private let model: Model
  /// Whether letters are composed first, to Unicode's form NFC.
  private let composes: Bool
  /// The markers found in text: all of them, and those found even when markers are plain text.
  private let markers: MarkerTrie
  private let ownTextMarkers: MarkerTrie

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
    guard let model = metadata.model else {
      throw .tokenizerKeyMissing("tokenizer.ggml.model", path: path)
    }
    let addsBOSByDefault: Bool
    switch model {
    case TokenizerMetadata.absent:
      vocabulary = try Vocabulary(metadata, writing: .sentencePiece, path: path)
      self.model = .absent(path: path)
      addsBOSByDefault = false
    case "gpt2":
      vocabulary = try Vocabulary(metadata, writing: .byteAlphabet, path: path)
      let pairs = try BytePairModel(metadata, vocabulary: vocabulary, path: path)
      self.model = .bytePairs(pairs)
      addsBOSByDefault = pairs.preTokenizer.addsBOSByDefault
    case "llama":
      vocabulary = try Vocabulary(metadata, writing: .sentencePiece, path: path)
      let pieces = try SentencePieceModel(metadata, vocabulary: vocabulary, path: path)
      self.model = .sentencePieces(pieces)
      addsBOSByDefault = true
    default: throw .tokenizerModelUnsupported(model, path: path)
    }
    let roles = try Self.roles(metadata, vocabulary, path: path)
    bos = roles["bos"]
    eos = roles["eos"]
    padding = roles["padding"]
    addsBOS = metadata.addsBOS ?? (addsBOSByDefault && bos != nil)
    if addsBOS, bos == nil {
      throw .tokenizerKeyMissing("tokenizer.ggml.bos_token_id", path: path)
    }
    frame = metadata.frame ?? .plain(bos: addsBOS ? bos : nil)
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
    (markers, ownTextMarkers) = Self.markers(
      vocabulary,
      withOwn: metadata.findsOwnTokensInText ?? (model == "gpt2")
    )
    composes = metadata.composes
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
    let markers = parseSpecial ? markers : ownTextMarkers
    var start = 0
    var index = 0
    while !markers.isEmpty, index < bytes.count {
      guard let match = markers.longestMatch(in: text, at: index, end: bytes.count) else {
        index += 1
        continue
      }
      encodePlain(text, from: start, to: index, limit, &merger, &ids)
      if ids.count > limit { return ids }
      ids.append(match.token)
      index += match.length
      start = index
    }
    encodePlain(text, from: start, to: bytes.count, limit, &merger, &ids)
    return ids
  }

  private func encodePlain(
    _ text: ByteText,
    from start: Int,
    to end: Int,
    _ limit: Int,
    _ merger: inout PairMerger,
    _ ids: inout [Int32]
  ) {
    let plain = UnsafeBufferPointer(rebasing: text.bytes[start..<end])
    if composes, plain.contains(where: { $0 >= 0x80 }),
      let string = String(validating: plain, as: UTF8.self)
    {
      var composed = CanonicalComposition.composed(string)
      return composed.withUTF8 {
        encodeComposed(ByteText(bytes: $0), 0..<$0.count, isFirst: start == 0, limit, &merger, &ids)
      }
    }
    encodeComposed(text, start..<end, isFirst: start == 0, limit, &merger, &ids)
  }

  private func encodeComposed(
    _ text: ByteText,
    _ range: Range<Int>,
    isFirst: Bool,
    _ limit: Int,
    _ merger: inout PairMerger,
    _ ids: inout [Int32]
  ) {
    switch model {
    case .absent: return
    case .bytePairs(let model):
      model.encode(
        text,
        from: range.lowerBound,
        to: range.upperBound,
        limit: limit,
        vocabulary: vocabulary,
        merger: &merger,
        into: &ids
      )
    case .sentencePieces(let model):
      model.encode(
        UnsafeBufferPointer(rebasing: text.bytes[range]),
        isFirst: isFirst,
        vocabulary: vocabulary,
        merger: &merger,
        into: &ids
      )
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

  /// Turns ids into bytes, exactly.
  ///
  /// - Parameters:
  ///   - ids: token ids; those outside the vocabulary give nothing.
  ///   - skipSpecial: whether to leave out the texts of special tokens.
  /// - Returns: the bytes of all tokens, in order.
  public func decodeBytes(_ ids: some Sequence<Int32>, skipSpecial: Bool = false) -> [UInt8] {
    var bytes: [UInt8] = []
    for id in ids where contains(id) && !(skipSpecial && vocabulary.kinds[Int(id)].isSpecial) {
      bytes.append(contentsOf: vocabulary.contents[Int(id)])
    }
    return bytes
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

  /// The markers of a vocabulary; SentencePiece finds tokens of the user's own kind by itself, in
  /// the text as it writes it.
  private static func markers(
    _ vocabulary: Vocabulary,
    withOwn: Bool
  ) -> (all: MarkerTrie, ownText: MarkerTrie) {
    var all = MarkerTrie()
    var ownText = MarkerTrie()
    for (id, kind) in vocabulary.kinds.enumerated() {
      switch kind {
      case .normal, .unused, .byte: continue
      case .userDefined:
        guard withOwn else { continue }
        ownText.insert(vocabulary.texts[id], token: Int32(id))
        fallthrough
      case .control, .unknown:
        all.insert(vocabulary.texts[id], token: Int32(id))
      }
    }
    return (all, ownText)
  }
}
