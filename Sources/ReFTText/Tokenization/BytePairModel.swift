// SPDX-License-Identifier: Apache-2.0
// Byte-level byte-pair encoding: text is cut into pieces, and in each piece bytes merge as the
// vocabulary's list of merges says.

import ReFTTensor

/// The part of a byte-level BPE tokenizer that turns plain text into tokens.
struct BytePairModel: Sendable {
  /// Whether a piece that is itself a token is taken whole, whatever the merges say.
  private let takesWholePieces: Bool
  /// The token of each single byte, −1 where the vocabulary has none.
  let byteTokens: [Int32]
  /// The character that stands for each byte in the texts, as UTF-8.
  private let byteCharacters: [[UInt8]]
  /// The merges by pairs of tokens.
  private let merges: MergeTable

  /// Checks and indexes the merges of a file.
  ///
  /// - Throws: `badData` naming the key or merge that does not fit.
  init(
    _ metadata: TokenizerMetadata,
    vocabulary: Vocabulary,
    takesWholePieces: Bool,
    path: String
  ) throws(ReFTError) {
    byteCharacters = ByteAlphabet.written
    byteTokens = byteCharacters.map { character in
      character.withUnsafeBufferPointer { vocabulary.index.id(of: $0, in: vocabulary.texts) }
    }
    guard let lines = metadata.merges else {
      throw .tokenizerKeyMissing("tokenizer.ggml.merges", path: path)
    }
    merges = try MergeTable(lines, vocabulary: vocabulary, path: path)
    self.takesWholePieces = takesWholePieces
  }

  /// Appends the tokens of the piece `text[start..<end]`; a byte without a token gives none.
  func encode(
    _ text: ByteText,
    from start: Int,
    to end: Int,
    vocabulary: Vocabulary,
    merger: inout PairMerger,
    into output: inout [Int32]
  ) {
    if takesWholePieces {
      let piece = UnsafeBufferPointer(rebasing: text.bytes[start..<end])
      if let id = wholeToken(piece, vocabulary) { return output.append(id) }
    }
    if end - start == 1 {
      let id = byteTokens[Int(text.bytes[start])]
      if id >= 0 { output.append(id) }
      return
    }
    merger.begin()
    for index in start..<end {
      merger.append(byteTokens[Int(text.bytes[index])], start: index)
    }
    merger.merge(end: end, by: merges)
    for id in merger.ids where id >= 0 { output.append(id) }
  }

  /// The id of the token of normal kind that stands for `bytes`, or nil.
  private func wholeToken(
    _ bytes: UnsafeBufferPointer<UInt8>,
    _ vocabulary: Vocabulary
  ) -> Int32? {
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count * 2)
    for byte in bytes { text.append(contentsOf: byteCharacters[Int(byte)]) }
    let id = text.withUnsafeBufferPointer { vocabulary.index.id(of: $0, in: vocabulary.texts) }
    return id >= 0 && vocabulary.kinds[Int(id)] == .normal ? id : nil
  }
}
