// SPDX-License-Identifier: Apache-2.0
// Cuts a text at the markers in it: tokens such as `<|im_end|>`, with what their file says of the
// white space and the letters around them.

/// The markers that are looked for, in the text as it stands and as it is normalised.
struct Markers: Sendable {
  /// Found in the text as it stands.
  private(set) var plain = MarkerTrie()
  /// Found in the normalised text.
  private(set) var normalized = MarkerTrie()
  private var rules: [Int32: MarkerRule] = [:]

  /// Adds a marker.
  mutating func insert(
    _ text: some Sequence<UInt8>,
    token: Int32,
    rule: MarkerRule?,
    normalizer: Normalizer
  ) {
    if let rule { rules[token] = rule }
    guard rule?.isNormalized == true, !normalizer.isEmpty else {
      return plain.insert(text, token: token)
    }
    let written = Array(text).withUnsafeBufferPointer { normalizer.apply($0, isFirst: true) }
    normalized.insert(written, token: token)
  }

  /// Calls `body` with the parts of `text[range]` in order: markers with their token, and what lies
  /// between them.
  ///
  /// - Parameters:
  ///   - trie: the markers to find, one of the two.
  ///   - text: the text.
  ///   - range: the part of it that is searched, beyond which nothing is seen.
  ///   - body: is given a part and its token.
  func forEachPart(
    _ trie: MarkerTrie,
    of text: ByteText,
    in range: Range<Int>,
    _ body: (_ part: Range<Int>, _ token: Int32?) -> Void
  ) {
    var start = range.lowerBound
    var index = start
    while !trie.isEmpty, index < range.upperBound {
      guard let match = trie.longestMatch(in: text, at: index, end: range.upperBound) else {
        index += 1
        continue
      }
      var found = index..<(index + match.length)
      index = found.upperBound
      if !rules.isEmpty, let rule = rules[match.token] {
        if rule.isSingleWord, hasLetters(beside: found, of: text, in: range) { continue }
        found = widened(found, rule, of: text, in: start..<range.upperBound)
        index = found.upperBound
      }
      if start < found.lowerBound { body(start..<found.lowerBound, nil) }
      body(found, match.token)
      start = index
    }
    if start < range.upperBound { body(start..<range.upperBound, nil) }
  }

  private func hasLetters(
    beside found: Range<Int>,
    of text: ByteText,
    in range: Range<Int>
  ) -> Bool {
    let before = text.scalarStart(before: found.lowerBound, from: range.lowerBound)
    return text.isWord(at: before, end: found.lowerBound)
      || text.isWord(at: found.upperBound, end: range.upperBound)
  }

  private func widened(
    _ found: Range<Int>,
    _ rule: MarkerRule,
    of text: ByteText,
    in range: Range<Int>
  ) -> Range<Int> {
    var (start, end) = (found.lowerBound, found.upperBound)
    while rule.takesLeft, start > range.lowerBound {
      let before = text.scalarStart(before: start, from: range.lowerBound)
      guard text.scalar(at: before, end: start).scalarClass == .space else { break }
      start = before
    }
    if rule.takesRight { end = text.runEnd(of: .space, from: end, end: range.upperBound) }
    return start..<end
  }
}

extension ByteText {
  /// The start of the scalar that ends at `end`; `end` itself where there is none.
  func scalarStart(before end: Int, from start: Int) -> Int {
    for length in stride(from: 4, through: 2, by: -1) where end - length >= start {
      if scalar(at: end - length, end: end).length == length { return end - length }
    }
    return max(start, end - 1)
  }

  /// Whether a part of a word stands at `index`.
  func isWord(at index: Int, end: Int) -> Bool {
    index < end && ScalarSet.joinedWord.contains(scalar(at: index, end: end).value)
  }
}
