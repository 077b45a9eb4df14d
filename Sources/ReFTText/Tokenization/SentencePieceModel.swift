// SPDX-License-Identifier: Apache-2.0
// SentencePiece's byte-pair encoding (Kudo and Richardson, arXiv 1808.06226): the characters of a text
// merge into the piece with the highest score, and what is no piece becomes single bytes.

import ReFTTensor

/// The part of a BPE tokenizer over characters that turns plain text into tokens.
struct SentencePieceModel: Sendable {
  /// In which order neighbours merge.
  private enum Order: Sendable {
    /// The rank of each token, lower ones first: the order of falling scores.
    case ranks([UInt32])
    /// The merges by pairs of tokens.
    case merges(MergeTable)
  }

  private let order: Order
  /// The tokens of single bytes, −1 where there is none.
  private let byteTokens: [Int32]
  /// The token of what the vocabulary cannot express.
  private let unknown: Int32?
  /// Whether neighbours that are unknown become one token.
  private let fusesUnknown: Bool
  /// What the texts of symbols within a word begin with, and those at its end end with.
  private let affixes: WordAffixes
  /// Whether a piece that is itself a token is taken whole.
  private let takesWholePieces: Bool
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
    affixes = metadata.affixes
    fusesUnknown = metadata.fusesUnknown
    takesWholePieces = metadata.takesWholePieces ?? false
    if metadata.scores == nil, let lines = metadata.merges {
      let table = try MergeTable(
        lines,
        vocabulary: vocabulary,
        continuation: affixes.continuation.count,
        path: path
      )
      order = .merges(table)
    } else {
      let scores = try Self.scores(metadata.scores, count: vocabulary.count, path: path)
      order = .ranks(scores.map(Self.rank))
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

  /// The scores of all tokens.
  ///
  /// - Throws: `badData` where they are missing, too few, or no numbers.
  static func scores(
    _ scores: [Float]?,
    count: Int,
    path: String
  ) throws(ReFTError) -> [Float] {
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
    return scores
  }

  /// A number that is lower for a higher score.
  private static func rank(_ score: Float) -> UInt32 {
    // Of the bits of a float, flipped so that they order as the numbers do.
    let bits = (score == 0 ? 0 : score).bitPattern
    return ~(bits & 0x8000_0000 != 0 ? ~bits : bits | 0x8000_0000)
  }

  /// Appends the tokens of a piece of text as the vocabulary writes it.
  ///
  /// - Parameters:
  ///   - text: the text.
  ///   - range: the place of the piece.
  ///   - vocabulary: the tokens.
  ///   - merger: scratch memory.
  ///   - output: receives the tokens at its end.
  func encode(
    _ text: ByteText,
    _ range: Range<Int>,
    vocabulary: Vocabulary,
    merger: inout PairMerger,
    into output: inout [Int32]
  ) {
    if takesWholePieces {
      let id = Self.token(range, of: text, vocabulary)
      if id >= 0 { return output.append(id) }
    }
    var start = range.lowerBound
    var index = start
    while !wholePieces.isEmpty, index < range.upperBound {
      guard let match = wholePieces.longestMatch(in: text, at: index, end: range.upperBound) else {
        index += text.scalar(at: index, end: range.upperBound).length
        continue
      }
      encodePiece(text, start..<index, vocabulary, &merger, &output)
      output.append(match.token)
      index += match.length
      start = index
    }
    encodePiece(text, start..<range.upperBound, vocabulary, &merger, &output)
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
      let symbol = index..<(index + length)
      let id =
        affixes.isEmpty
        ? Self.token(symbol, of: text, vocabulary)
        : affixed(symbol, of: text, in: range, vocabulary)
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
    } else if let unknown, !fusesUnknown || output.last != unknown {
      output.append(unknown)
    }
  }

  /// The token of a symbol with what its place in the word adds to it, or −1.
  private func affixed(
    _ symbol: Range<Int>,
    of text: ByteText,
    in word: Range<Int>,
    _ vocabulary: Vocabulary
  ) -> Int32 {
    var written = symbol.lowerBound == word.lowerBound ? [] : affixes.continuation
    written += text.bytes[symbol]
    if symbol.upperBound == word.upperBound { written += affixes.end }
    return written.withUnsafeBufferPointer {
      Self.token(0..<$0.count, of: ByteText(bytes: $0), vocabulary)
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
