// SPDX-License-Identifier: Apache-2.0
// The checked vocabulary: tokens, what bytes they stand for, and merges. All checks of what a file
// says about its tokenizer are here.

import ReFTTensor

/// The tokens and merges of a byte-level BPE tokenizer.
struct Vocabulary: Sendable {
  /// More tokens than any vocabulary has; keeps ids and ranks within 32 bits.
  private static let limit = 1 << 24

  /// The tokens' texts as the file writes them.
  let texts: StringTable
  /// The bytes that the tokens stand for.
  let contents: StringTable
  /// The kind of each token.
  let kinds: [TokenKind]
  /// Finds tokens by text.
  let index: TextIndex
  /// The character that stands for each byte in the texts, as UTF-8.
  private let byteCharacters: [[UInt8]]
  /// The token of each single byte, −1 where the vocabulary has none.
  let byteTokens: [Int32]
  /// The merges by pairs of tokens.
  let merges: MergeTable

  /// Checks and indexes the vocabulary of a file.
  ///
  /// - Throws: `badData` naming the token or merge that does not fit.
  init(_ metadata: TokenizerMetadata, path: String) throws(ReFTError) {
    texts = metadata.tokens
    guard texts.count > 0 else {
      throw .tokenizerKeyMissing("tokenizer.ggml.tokens", path: path)
    }
    guard texts.count <= Self.limit else {
      throw .tokenizerTooLarge("tokens", count: texts.count, limit: Self.limit, path: path)
    }
    kinds = try Self.kinds(metadata, path: path)
    do {
      index = try TextIndex(texts)
    } catch {
      throw .tokenDuplicated(
        texts.text(error.first),
        first: error.first,
        second: error.second,
        path: path
      )
    }
    contents = Self.contents(of: texts, kinds: kinds)
    byteCharacters = ByteAlphabet.characters()
    byteTokens = Self.byteTokens(byteCharacters, texts, index)
    guard let lines = metadata.merges else {
      throw .tokenizerKeyMissing("tokenizer.ggml.merges", path: path)
    }
    merges = try Self.merges(lines, texts, index, path: path)
  }

  /// How many tokens there are.
  var count: Int { texts.count }

  /// The id of a token's text, or nil.
  func id(ofText text: String) -> Int32? {
    let bytes = Array(text.utf8)
    let id = bytes.withUnsafeBufferPointer { index.id(of: $0, in: texts) }
    return id >= 0 ? id : nil
  }

  /// The id of the token of normal kind that stands for `bytes`, or nil.
  func id(ofContent bytes: UnsafeBufferPointer<UInt8>) -> Int32? {
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count * 2)
    for byte in bytes { text.append(contentsOf: byteCharacters[Int(byte)]) }
    let id = text.withUnsafeBufferPointer { index.id(of: $0, in: texts) }
    return id >= 0 && kinds[Int(id)] == .normal ? id : nil
  }

  private static func kinds(
    _ metadata: TokenizerMetadata,
    path: String
  ) throws(ReFTError) -> [TokenKind] {
    let count = metadata.tokens.count
    guard let types = metadata.types else {
      return [TokenKind](repeating: .normal, count: count)
    }
    guard types.count == count else {
      throw .tokenizerCountMismatch(
        "tokenizer.ggml.token_type",
        count: types.count,
        tokens: count,
        path: path
      )
    }
    var kinds: [TokenKind] = []
    kinds.reserveCapacity(count)
    for (id, type) in types.enumerated() {
      guard let kind = TokenKind(rawValue: type) else {
        throw .tokenKindUnknown(type, id: id, path: path)
      }
      kinds.append(kind)
    }
    return kinds
  }

  /// Turns texts into bytes: the byte alphabet for parts of text, as it stands for markers.
  private static func contents(of texts: StringTable, kinds: [TokenKind]) -> StringTable {
    let alphabet = ByteAlphabet.bytes
    var contents = StringTable()
    contents.reserve(strings: texts.count, bytes: texts.bytes.count)
    texts.bytes.withUnsafeBufferPointer { bytes in
      for id in 0..<texts.count {
        let text = UnsafeBufferPointer(rebasing: bytes[texts.range(id)])
        switch kinds[id] {
        case .normal, .unused, .byte: ByteAlphabet.decode(text, into: &contents, alphabet: alphabet)
        case .unknown, .control, .userDefined: contents.append(text)
        }
      }
    }
    return contents
  }

  private static func byteTokens(
    _ characters: [[UInt8]],
    _ texts: StringTable,
    _ index: TextIndex
  ) -> [Int32] {
    characters.map { character in
      character.withUnsafeBufferPointer { index.id(of: $0, in: texts) }
    }
  }

  private static func merges(
    _ lines: StringTable,
    _ texts: StringTable,
    _ index: TextIndex,
    path: String
  ) throws(ReFTError) -> MergeTable {
    guard lines.count <= limit else {
      throw .tokenizerTooLarge("merges", count: lines.count, limit: limit, path: path)
    }
    var table = MergeTable(capacity: lines.count)
    var joined: [UInt8] = []
    var fault: ReFTError?
    lines.bytes.withUnsafeBufferPointer { bytes in
      for rank in 0..<lines.count {
        let range = lines.range(rank)
        let line = UnsafeBufferPointer(rebasing: bytes[range])
        guard let space = line.dropFirst().firstIndex(of: 0x20), space + 1 < line.count else {
          fault = .mergeMalformed(lines.text(rank), index: rank, path: path)
          return
        }
        joined.removeAll(keepingCapacity: true)
        joined.append(contentsOf: line[..<space])
        joined.append(contentsOf: line[(space + 1)...])
        let ids = joined.withUnsafeBufferPointer { joined in
          (
            left: index.id(of: UnsafeBufferPointer(rebasing: joined[..<space]), in: texts),
            right: index.id(of: UnsafeBufferPointer(rebasing: joined[space...]), in: texts),
            result: index.id(of: joined, in: texts)
          )
        }
        guard ids.left >= 0, ids.right >= 0, ids.result >= 0 else {
          let unknown =
            ids.left < 0 ? joined[..<space] : ids.right < 0 ? joined[space...] : joined[...]
          fault = .mergeOfUnknownToken(
            String(decoding: unknown, as: UTF8.self),
            merge: lines.text(rank),
            index: rank,
            path: path
          )
          return
        }
        table.add(left: ids.left, right: ids.right, rank: rank, result: ids.result)
      }
    }
    if let fault { throw fault }
    return table
  }
}
