// SPDX-License-Identifier: Apache-2.0
// Pairs that differ in one word of the prompt: a template with the word and its opposite, before
// many beginnings of replies, as repeng and RepE make their data.

public import ReFTTensor
public import ReFTText

/// A template, words for it, and what follows it.
public struct SuffixExpansion: Sendable {
  /// The prompt, with `{}` where a word goes.
  public var template: String
  /// Words of the quality.
  public var positiveWords: [String]
  /// Their opposites, in the same order.
  public var negativeWords: [String]

  /// Checks a template and its words.
  ///
  /// - Throws: `usage` for a template without `{}`, and for words without opposites.
  public init(
    template: String,
    positiveWords: [String],
    negativeWords: [String]
  ) throws(ReFTError) {
    guard template.contains("{}") else { throw .templateWithoutPlace(template) }
    guard positiveWords.count == negativeWords.count, !positiveWords.isEmpty else {
      throw .wordsWithoutOpposite(positive: positiveWords.count, negative: negativeWords.count)
    }
    self.template = template
    self.positiveWords = positiveWords
    self.negativeWords = negativeWords
  }

  /// A pair for each suffix and each pair of words.
  public func pairs(with suffixes: [ContrastText]) -> ContrastSet {
    func texts(_ words: [String]) -> [ContrastText] {
      suffixes.flatMap { suffix in
        words.map { word in
          ContrastText(
            prompt: template.replacing("{}", with: word),
            text: suffix.text,
            place: suffix.place
          )
        }
      }
    }
    return ContrastSet(
      positives: texts(positiveWords),
      negatives: texts(negativeWords),
      isPaired: true
    )
  }

  /// Tokens at the end of a sentence that no beginning of it has: what is left says too little of
  /// how it goes on.
  private static let keptBack = 5

  /// All beginnings of texts, from their first token to the sixth but last, each once.
  ///
  /// - Parameters:
  ///   - texts: whole sentences.
  ///   - tokenizer: cuts them; beginnings that end inside a character are left out.
  /// - Returns: the beginnings, text by text.
  /// - Throws: `inputMissing` where the model has no tokenizer.
  public static func beginnings(
    of texts: [ContrastText],
    tokenizer: Tokenizer
  ) throws(ReFTError) -> [ContrastText] {
    try tokenizer.requirePresent()
    var seen: Set<String> = []
    var result: [ContrastText] = []
    for text in texts {
      let ids = tokenizer.encode(text.text, parseSpecial: false, addBOS: false)
      for count in 1..<max(1, ids.count - keptBack) {
        let bytes = tokenizer.decodeBytes(ids.prefix(count))
        guard let beginning = String(validating: bytes, as: UTF8.self),
          seen.insert(beginning).inserted
        else { continue }
        result.append(ContrastText(text: beginning, place: text.place))
      }
    }
    return result
  }
}
