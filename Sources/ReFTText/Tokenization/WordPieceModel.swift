// SPDX-License-Identifier: Apache-2.0
// WordPiece (Schuster and Nakajima, 2012): of each word the longest token it begins with, then the
// longest that goes on, until nothing is left; a word for which that fails is unknown as a whole.

import ReFTTensor

/// The part of a WordPiece tokenizer that turns words into tokens.
struct WordPieceModel: Sendable {
  private let beginnings: MarkerTrie
  private let continuations: MarkerTrie
  private let unknown: Int32?
  private let mostCharacters: Int
  private let hasWholeWordsOnly: Bool

  /// Indexes a vocabulary.
  init(_ metadata: TokenizerMetadata, vocabulary: Vocabulary) {
    var (beginnings, continuations) = (MarkerTrie(), MarkerTrie())
    let isPhantom = vocabulary.writing.isPhantom
    let mark = isPhantom ? SentencePieceText.space : metadata.affixes.continuation
    for (id, kind) in vocabulary.kinds.enumerated() {
      guard kind == .normal || kind == .userDefined, !metadata.addedOnly.contains(id) else {
        continue
      }
      let text = vocabulary.texts[id]
      let isMarked = !mark.isEmpty && text.starts(with: mark)
      if isPhantom {
        if isMarked {
          beginnings.insert(text.dropFirst(mark.count), token: Int32(id))
        } else {
          continuations.insert(text, token: Int32(id))
        }
      } else {
        beginnings.insert(text, token: Int32(id))
        if isMarked || mark.isEmpty {
          continuations.insert(text.dropFirst(mark.count), token: Int32(id))
        }
      }
    }
    self.beginnings = beginnings
    self.continuations = continuations
    unknown = metadata.roles["unknown"].map(Int32.init(truncatingIfNeeded:))
    mostCharacters = metadata.mostCharacters
    hasWholeWordsOnly = metadata.hasWholeWordsOnly
  }

  /// Appends the tokens of a word.
  func encode(_ text: ByteText, _ word: Range<Int>, into output: inout [Int32]) {
    let count = output.count
    var characters = 0
    for index in word where text.bytes[index] & 0xC0 != 0x80 { characters += 1 }
    var index = word.lowerBound
    while index < word.upperBound, hasWholeWordsOnly || characters <= mostCharacters {
      let trie = index == word.lowerBound ? beginnings : continuations
      guard let match = trie.longestMatch(in: text, at: index, end: word.upperBound) else { break }
      output.append(match.token)
      index += match.length
      if hasWholeWordsOnly { break }
    }
    guard index < word.upperBound else { return }
    output.removeLast(output.count - count)
    if let unknown { output.append(unknown) }
  }
}
