// SPDX-License-Identifier: Apache-2.0
// SentencePiece's byte-pair encoding (Kudo and Richardson, arXiv 1808.06226): the characters of a text
// merge into the piece with the highest score, and what is no piece becomes single bytes.

import ReFTTensor

/// How SentencePiece writes text: a space stands as ▁, a byte as `<0x41>`.
enum SentencePieceText {
  /// The UTF-8 of ▁ (U+2581), which stands for a space.
  static let space: [UInt8] = [0xE2, 0x96, 0x81]

  /// The text with spaces written as ▁, with one more in front where `addsPrefix` is set.
  static func written(_ bytes: some Sequence<UInt8>, addsPrefix: Bool) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.underestimatedCount * 5 / 4 + 3)
    if addsPrefix { result += space }
    for byte in bytes {
      if byte == 0x20 { result += space } else { result.append(byte) }
    }
    return result
  }

  /// The byte that a token such as `<0x0A>` stands for, or nil.
  static func byte(of text: UnsafeBufferPointer<UInt8>) -> UInt8? {
    guard text.count == 6, text[0] == 0x3C, text[1] == 0x30, text[2] == 0x78, text[5] == 0x3E,
      let high = digit(text[3]), let low = digit(text[4])
    else { return nil }
    return high << 4 | low
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x41 + 10
    case 0x61...0x66: byte - 0x61 + 10
    default: nil
    }
  }

  /// What the tokens of a vocabulary stand for.
  static func contents(of texts: StringTable, kinds: [TokenKind]) -> StringTable {
    var contents = StringTable()
    contents.reserve(strings: texts.count, bytes: texts.bytes.count)
    texts.bytes.withUnsafeBufferPointer { bytes in
      for id in 0..<texts.count {
        let text = UnsafeBufferPointer(rebasing: bytes[texts.range(id)])
        switch kinds[id] {
        case .unknown, .control: contents.append(text)
        case .byte:
          guard let byte = byte(of: text) else { fallthrough }
          contents.append(CollectionOfOne(byte))
        case .normal, .unused, .userDefined: appendRead(text, to: &contents)
        }
      }
    }
    return contents
  }

  private static func appendRead(_ text: UnsafeBufferPointer<UInt8>, to table: inout StringTable) {
    var index = 0
    while index < text.count {
      if text[index] == space[0], index + 2 < text.count, text[index + 1] == space[1],
        text[index + 2] == space[2]
      {
        table.appendByte(0x20)
        index += 3
      } else {
        table.appendByte(text[index])
        index += 1
      }
    }
    table.endString()
  }
}

/// The part of a SentencePiece BPE tokenizer that turns plain text into tokens.
struct SentencePieceModel: Sendable {
  /// In which order neighbours merge.
  private enum Order: Sendable {
    /// The rank of each token, lower ones first: the order of falling scores.
    case ranks([UInt32])
    /// The merges by pairs of tokens.
    case merges(MergeTable)
  }

  /// Where a space of its own is put.
  private let prefix: SentencePiecePrefix
  private let order: Order
  /// The tokens of single bytes, −1 where there is none.
  private let byteTokens: [Int32]
  /// The token of what the vocabulary cannot express.
  private let unknown: Int32?
  /// Pieces that are taken as they stand, before anything merges.
  private let wholePieces: MarkerTrie

  /// Checks the scores of a file.
  ///
  /// - Throws: `badData` naming the key or token that does not fit.
  init(
    _ metadata: TokenizerMetadata,
    vocabulary: Vocabulary,
    path: String
  ) throws(ReFTError) {
    prefix = metadata.prefix
    if metadata.scores == nil, let lines = metadata.merges {
      order = .merges(try MergeTable(lines, vocabulary: vocabulary, path: path))
    } else {
      order = .ranks(try Self.ranks(metadata.scores, count: vocabulary.count, path: path))
    }
    unknown = metadata.roles["unknown"].map(Int32.init(truncatingIfNeeded:))
    var byteTokens = [Int32](repeating: -1, count: 256)
    var wholePieces = MarkerTrie()
    vocabulary.texts.bytes.withUnsafeBufferPointer { bytes in
      for (id, kind) in vocabulary.kinds.enumerated() {
        let text = UnsafeBufferPointer(rebasing: bytes[vocabulary.texts.range(id)])
        if kind == .byte, let byte = SentencePieceText.byte(of: text) {
          byteTokens[Int(byte)] = Int32(id)
        }
        // GGUF files write the spaces of such pieces as spaces.
        if kind == .userDefined, metadata.findsOwnTokensInText != true {
          let written = SentencePieceText.written(text, addsPrefix: false)
          wholePieces.insert(written, token: Int32(id))
        }
      }
    }
    self.byteTokens = byteTokens
    self.wholePieces = wholePieces
  }

  /// The bytes that no token stands for where no character does.
  var missingBytes: [UInt8] { byteTokens.indices.filter { byteTokens[$0] < 0 }.map { UInt8($0) } }

  private static func ranks(
    _ scores: [Float]?,
    count: Int,
    path: String
  ) throws(ReFTError) -> [UInt32] {
    guard let scores else {
      throw .tokenizerKeyMissing("tokenizer.ggml.scores", path: path)
    }
    guard scores.count == count else {
      throw .tokenizerCountMismatch(
        "tokenizer.ggml.scores",
        count: scores.count,
        tokens: count,
        path: path
      )
    }
    if let id = scores.firstIndex(where: { !$0.isFinite }) {
      throw .tokenScoreNotFinite(scores[id], id: id, path: path)
    }
    return scores.map(rank)
  }

  /// A number that is lower for a higher score.
  private static func rank(_ score: Float) -> UInt32 {
    // Of the bits of a float, flipped so that they order as the numbers do.
    let bits = (score == 0 ? 0 : score).bitPattern
    return ~(bits & 0x8000_0000 != 0 ? ~bits : bits | 0x8000_0000)
  }

  /// Appends the tokens of some text that holds no marker.
  ///
  /// - Parameters:
  ///   - plain: the text.
  ///   - isFirst: whether nothing stands before it.
  ///   - vocabulary: the tokens.
  ///   - merger: scratch memory.
  ///   - output: receives the tokens at its end.
  func encode(
    _ plain: UnsafeBufferPointer<UInt8>,
    isFirst: Bool,
    vocabulary: Vocabulary,
    merger: inout PairMerger,
    into output: inout [Int32]
  ) {
    guard !plain.isEmpty else { return }
    let addsPrefix = prefix == .everyPart || prefix == .first && isFirst
    let written = SentencePieceText.written(plain, addsPrefix: addsPrefix)
    written.withUnsafeBufferPointer { bytes in
      let text = ByteText(bytes: bytes)
      var start = 0
      var index = 0
      while !wholePieces.isEmpty, index < bytes.count {
        guard let match = wholePieces.longestMatch(in: text, at: index, end: bytes.count) else {
          index += text.scalar(at: index, end: bytes.count).length
          continue
        }
        encodePiece(text, start..<index, vocabulary, &merger, &output)
        output.append(match.token)
        index += match.length
        start = index
      }
      encodePiece(text, start..<bytes.count, vocabulary, &merger, &output)
    }
  }

  private func encodePiece(
    _ text: ByteText,
    _ range: Range<Int>,
    _ vocabulary: Vocabulary,
    _ merger: inout PairMerger,
    _ output: inout [Int32]
  ) {
    guard !range.isEmpty else { return }
    merger.begin()
    var index = range.lowerBound
    while index < range.upperBound {
      let length = text.scalar(at: index, end: range.upperBound).length
      let id = Self.token(index..<(index + length), of: text, vocabulary)
      merger.append(id, start: index)
      index += length
    }
    switch order {
    case .ranks(let ranks):
      let rule = Scores(ranks: ranks, vocabulary: vocabulary, text: text)
      merger.merge(end: range.upperBound, by: rule)
    case .merges(let table): merger.merge(end: range.upperBound, by: table)
    }
    for (place, id) in merger.ids.enumerated() {
      if id >= 0 {
        output.append(id)
      } else {
        appendBytes(UnsafeBufferPointer(rebasing: text.bytes[merger.bytes(place)]), to: &output)
      }
    }
  }

  /// Writes a character without a token byte by byte; neighbours that are unknown become one token.
  private func appendBytes(_ bytes: UnsafeBufferPointer<UInt8>, to output: inout [Int32]) {
    if bytes.allSatisfy({ byteTokens[Int($0)] >= 0 }) {
      for byte in bytes { output.append(byteTokens[Int(byte)]) }
    } else if let unknown, output.last != unknown {
      output.append(unknown)
    }
  }

  /// The token of a place in the text that is a piece of text, or −1.
  private static func token(
    _ range: Range<Int>,
    of text: ByteText,
    _ vocabulary: Vocabulary
  ) -> Int32 {
    let piece = UnsafeBufferPointer(rebasing: text.bytes[range])
    let id = vocabulary.index.id(of: piece, in: vocabulary.texts)
    guard id >= 0 else { return -1 }
    switch vocabulary.kinds[Int(id)] {
    case .normal, .userDefined: return id
    case .unknown, .control, .unused, .byte: return -1
    }
  }

  /// Two neighbours merge where their text is a token that text may become.
  private struct Scores: MergeRule {
    let ranks: [UInt32]
    let vocabulary: Vocabulary
    let text: ByteText

    func merge(_ left: Int32, _ right: Int32, bytes: Range<Int>) -> UInt64 {
      let id = SentencePieceModel.token(bytes, of: text, vocabulary)
      guard id >= 0 else { return MergeTable.none }
      return UInt64(ranks[Int(id)]) << 32 | UInt64(UInt32(bitPattern: id))
    }
  }
}
