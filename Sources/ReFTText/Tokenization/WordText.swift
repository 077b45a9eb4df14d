// SPDX-License-Identifier: Apache-2.0
// What tokens stand for where they are words and parts of words.

/// The text of tokens that are words or parts of them: a word begins with a space, which the first
/// word of a text loses.
enum WordText {
  /// What words lose before punctuation and in contractions, in this order.
  private static let cleaned = [
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
    (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
  ].map { (Array($0.utf8), Array($1.utf8)) }

  /// What the tokens of a vocabulary stand for behind other tokens.
  static func contents(of texts: StringTable, _ writing: Vocabulary.Writing) -> StringTable {
    var contents = StringTable()
    contents.reserve(strings: texts.count, bytes: texts.bytes.count + texts.count)
    for id in 0..<texts.count { contents.append(content(texts[id], writing)) }
    return contents
  }

  private static func content(
    _ text: ArraySlice<UInt8>,
    _ writing: Vocabulary.Writing
  ) -> [UInt8] {
    switch writing {
    case .words(let continuation, let cleans):
      if !continuation.isEmpty, text.starts(with: continuation) {
        return Array(text.dropFirst(continuation.count))
      }
      return cleans ? clean([0x20] + text) : [0x20] + text
    case .phantomSpaces:
      if text.starts(with: SentencePieceText.space) {
        return clean([0x20] + text.dropFirst(SentencePieceText.space.count))
      }
      // Markers such as [CLS] are written without the mark of a word.
      return text.first == 0x5B && text.last == 0x5D && text.count > 1 ? [0x20] + text : Array(text)
    case .wordEnds(let end):
      let isEnd =
        !end.isEmpty && text.count >= end.count && text.suffix(end.count).elementsEqual(end)
      return isEnd ? text.dropLast(end.count) + [0x20] : Array(text)
    case .byteAlphabet, .sentencePiece: return Array(text)
    }
  }

  private static func clean(_ text: [UInt8]) -> [UInt8] {
    // Longer ones are no words, and would take long.
    guard text.count <= 256 else { return text }
    var text = text
    for (found, written) in cleaned where text.count >= found.count {
      var index = 0
      while index + found.count <= text.count {
        if text[index..<(index + found.count)].elementsEqual(found) {
          text.replaceSubrange(index..<(index + found.count), with: written)
          index += written.count
        } else {
          index += 1
        }
      }
    }
    return text
  }
}
