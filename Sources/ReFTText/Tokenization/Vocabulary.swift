// SPDX-License-Identifier: Apache-2.0
// The checked vocabulary: tokens, their kinds, and what bytes they stand for. How text becomes tokens
// is in BytePairModel.swift and SentencePieceModel.swift.

import ReFTTensor

/// The tokens of a tokenizer.
struct Vocabulary: Sendable {
  /// How the texts of normal tokens stand for bytes.
  enum Writing: Sendable {
    /// In GPT-2's alphabet of printable characters, one for each byte.
    case byteAlphabet
    /// As text in which ▁ is a space, with tokens `<0x00>` to `<0xFF>` for single bytes.
    case sentencePiece
    /// As words, but for those parts that begin with a mark such as `##`; with `cleans`, no space
    /// stands before a stop and its kin.
    case words(continuation: [UInt8], cleans: Bool)
    /// As parts of words, with ▁ before those that begin one: GGUF's way for WordPiece.
    case phantomSpaces
    /// As parts of words, with a mark such as `</w>` behind those that end one.
    case wordEnds([UInt8])

    /// Whether texts are GGUF's way of WordPiece.
    var isPhantom: Bool { if case .phantomSpaces = self { true } else { false } }
  }

  /// More tokens than any vocabulary has; keeps ids and ranks within 32 bits.
  static let limit = 1 << 24

  /// How the tokens' texts stand for bytes.
  let writing: Writing
  /// The tokens' texts as the file writes them.
  let texts: StringTable
  /// The bytes that the tokens stand for.
  let contents: StringTable
  /// The kind of each token.
  let kinds: [TokenKind]
  /// Finds tokens by text.
  let index: TextIndex

  /// Checks and indexes the vocabulary of a file.
  ///
  /// - Throws: `badData` naming the token that does not fit.
  init(_ metadata: TokenizerMetadata, writing: Writing, path: String) throws(ReFTError) {
    self.writing = writing
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
    contents =
      switch writing {
      case .byteAlphabet: Self.alphabetContents(of: texts, kinds: kinds)
      case .sentencePiece: SentencePieceText.contents(of: texts, kinds: kinds)
      case .words, .phantomSpaces, .wordEnds: WordText.contents(of: texts, writing)
      }
  }

  /// How many tokens there are.
  var count: Int { texts.count }

  /// The id of a token's text, or nil.
  func id(ofText text: String) -> Int32? {
    let bytes = Array(text.utf8)
    let id = bytes.withUnsafeBufferPointer { index.id(of: $0, in: texts) }
    return id >= 0 ? id : nil
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
  private static func alphabetContents(
    of texts: StringTable,
    kinds: [TokenKind]
  ) -> StringTable {
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
}
