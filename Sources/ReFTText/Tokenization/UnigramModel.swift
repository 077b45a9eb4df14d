// SPDX-License-Identifier: Apache-2.0
// SentencePiece's unigram model (Kudo, arXiv 1804.10959): of all ways to write a text in pieces of the
// vocabulary, the one whose scores have the largest sum.

import ReFTTensor

/// The part of a unigram tokenizer that turns plain text into tokens.
struct UnigramModel: Sendable {
  private let pieces: MarkerTrie
  private let scores: [Double]
  /// The score of a character that is no piece.
  private let unknownScore: Double
  private let unknown: Int32?
  private let fusesUnknown: Bool
  /// The tokens of single bytes, −1 where there is none.
  private let byteTokens: [Int32]
  private let roundsScores: Bool

  /// Checks the scores of a file.
  ///
  /// - Throws: `badData` naming the key or token that does not fit.
  init(_ metadata: TokenizerMetadata, vocabulary: Vocabulary, path: String) throws(ReFTError) {
    var scores = try SentencePieceModel.scores(metadata.scores, count: vocabulary.count, path: path)
      .map { Double($0) }
    if let exact = metadata.exactScores, exact.count == scores.count { scores = exact }
    var pieces = MarkerTrie()
    var byteTokens = [Int32](repeating: -1, count: 256)
    var (lowest, highest) = (Double.infinity, -Double.infinity)
    for (id, kind) in vocabulary.kinds.enumerated() {
      let text = vocabulary.texts[id]
      switch kind {
      case .byte:
        let byte = text.withUnsafeBufferPointer(SentencePieceText.byte(of:))
        if let byte { byteTokens[Int(byte)] = Int32(id) }
      case .normal, .userDefined:
        if metadata.addedOnly.contains(id) { continue }
        pieces.insert(text, token: Int32(id))
        guard kind == .normal else { continue }
        (lowest, highest) = (min(lowest, scores[id]), max(highest, scores[id]))
      case .control, .unknown, .unused: continue
      }
    }
    if highest < lowest { (lowest, highest) = (0, 0) }
    // A piece of the user's own wins over every way to write it in others.
    let isOwnFirst = metadata.exactScores == nil
    for (id, kind) in vocabulary.kinds.enumerated() where isOwnFirst && kind == .userDefined {
      scores[id] = Double(vocabulary.texts[id].count) * highest - 0.1
    }
    self.pieces = pieces
    self.byteTokens = byteTokens
    self.scores = scores
    unknownScore = lowest - 10
    unknown = metadata.roles["unknown"].map(Int32.init(truncatingIfNeeded:))
    fusesUnknown = metadata.fusesUnknown
    roundsScores = metadata.roundsScores
  }

  /// The best way to a place in the text.
  private struct Way {
    var score: Double
    /// Where its last piece begins; −1 where no way is known.
    var start: Int
    /// The last piece; −1 for a character that is none.
    var token: Int32
  }

  /// Appends the tokens of a piece of text as the vocabulary writes it.
  func encode(_ text: ByteText, _ range: Range<Int>, into output: inout [Int32]) {
    let base = range.lowerBound
    var ways = [Way](repeating: Way(score: 0, start: -1, token: -1), count: range.count + 1)
    ways[0].start = 0
    var index = base
    while index < range.upperBound {
      let length = text.scalar(at: index, end: range.upperBound).length
      let before = ways[index - base].score
      var isCharacterKnown = false
      func consider(_ token: Int32, _ score: Double, _ length: Int) {
        let end = index - base + length
        let sum = roundsScores ? Double(Float(before + score)) : before + score
        if ways[end].start < 0 || sum > ways[end].score {
          ways[end] = Way(score: sum, start: index - base, token: token)
        }
      }
      pieces.forEachMatch(in: text, at: index, end: range.upperBound) { token, matched in
        consider(token, scores[Int(token)], matched)
        if matched == length { isCharacterKnown = true }
      }
      if !isCharacterKnown { consider(-1, unknownScore, length) }
      index += length
    }
    var path: [(token: Int32, range: Range<Int>)] = []
    var end = range.count
    while end > 0 {
      path.append((ways[end].token, (base + ways[end].start)..<(base + end)))
      end = ways[end].start
    }
    append(path.reversed(), of: text, to: &output)
  }

  private func append(
    _ path: [(token: Int32, range: Range<Int>)],
    of text: ByteText,
    to output: inout [Int32]
  ) {
    var isBehindUnknown = false
    for (token, range) in path {
      if token >= 0 {
        output.append(token)
        isBehindUnknown = false
        continue
      }
      let bytes = text.bytes[range]
      if bytes.allSatisfy({ byteTokens[Int($0)] >= 0 }) {
        for byte in bytes { output.append(byteTokens[Int(byte)]) }
      } else if let unknown, !isBehindUnknown || !fusesUnknown {
        output.append(unknown)
        isBehindUnknown = true
      }
    }
  }

  /// The bytes that no token stands for where no character does.
  var missingBytes: [UInt8] { byteTokens.indices.filter { byteTokens[$0] < 0 }.map { UInt8($0) } }
}
