// SPDX-License-Identifier: Apache-2.0
// What of a reply is the answer, and when two answers are the same.

package import ReFTTensor
package import ReFTText

/// What is taken out of a reply.
package struct Extraction: Sendable {
  /// One step.
  package enum Step: Sendable {
    /// What follows the last place of a text; nothing where it is not there.
    case after(String)
    /// What an expression takes at a place, from the front or, below 0, from the back: its first group
    /// that took something; `otherwise` where there is no such place.
    case match(RegularExpression, place: Int, otherwise: String)
    /// Without white space at its ends.
    case trimmed
    /// In lower case.
    case lowercased
  }

  /// Its name, where a task has several.
  package var name = ""
  /// The steps, in their order.
  package var steps: [Step] = []

  /// Takes the reply as it is.
  package init(name: String = "", steps: [Step] = []) { (self.name, self.steps) = (name, steps) }

  /// The answer in a reply.
  ///
  /// - Throws: as `RegularExpression.matches`.
  package func answer(in reply: String) throws(ReFTError) -> String {
    var text = reply
    for step in steps {
      switch step {
      case .after(let mark):
        text = text.ranges(of: mark).last.map { String(text[$0.upperBound...]) } ?? ""
      case .match(let pattern, let place, let otherwise):
        let found = try pattern.matches(in: text)
        let index = place < 0 ? found.count + place : place
        let match = found.indices.contains(index) ? found[index].first : nil
        text = match.map(Normaliser.trimmed) ?? otherwise
      case .trimmed: text = Normaliser.trimmed(text)
      case .lowercased: text = text.lowercased()
      }
    }
    return text
  }
}

/// How answers are made alike before they are compared.
package enum Normaliser: Sendable {
  /// Nothing but white space at the ends is looked over.
  case exact
  /// Case, and white space and points at the ends, are looked over.
  case text
  /// The last number of each, without commas and currency signs, to 0.001.
  case number
  /// The first letter from A to a last one that stands alone, or the first at all.
  case letter(last: Character)
  /// As lm-evaluation-harness's exact_match, with what it is told to look over.
  case harness(HarnessMatch)

  /// Whether an answer is right.
  ///
  /// - Throws: as `RegularExpression.matches`.
  package func agree(_ answer: String, _ truth: String) throws(ReFTError) -> Bool {
    switch self {
    case .exact: return Self.trimmed(answer) == Self.trimmed(truth)
    case .text: return Self.plain(answer) == Self.plain(truth)
    case .number:
      guard let answer = Self.lastNumber(answer), let truth = Self.lastNumber(truth) else {
        return false
      }
      return abs(answer - truth) <= 1e-3
    case .letter(let last):
      guard let letter = Self.letter(answer, last: last) else { return false }
      return letter == Self.letter(truth, last: last)
    case .harness(let rules): return try rules.plain(answer) == rules.plain(truth)
    }
  }

  /// A text without white space at its ends.
  static func trimmed(_ text: String) -> String {
    var text = text[...]
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }

  private static func plain(_ text: String) -> String {
    var text = trimmed(text.lowercased())
    while let last = text.last, last == "." || last.isWhitespace { text.removeLast() }
    return text
  }

  /// The last number of a text; commas within it are looked over.
  static func lastNumber(_ text: String) -> Double? {
    let characters = Array(text.replacing(",", with: "").unicodeScalars)
    var last: Double?
    var index = 0
    while index < characters.count {
      guard ("0"..."9").contains(characters[index]) else {
        index += 1
        continue
      }
      let isNegative = index > 0 && characters[index - 1] == "-"
      var digits = ""
      var hasPoint = false
      while index < characters.count {
        let scalar = characters[index]
        if scalar == ".", !hasPoint {
          hasPoint = true
        } else if !("0"..."9").contains(scalar) {
          break
        }
        digits.unicodeScalars.append(scalar)
        index += 1
      }
      let value = Double(digits.hasSuffix(".") ? String(digits.dropLast()) : digits)
      last = value.map { isNegative ? -$0 : $0 } ?? last
    }
    return last
  }

  /// The first letter up to `last`; one that is no part of a word goes before others.
  static func letter(_ text: String, last: Character) -> Character? {
    let letters: ClosedRange<Character> = "A"...max("A", last)
    let characters = Array(text)
    let found = characters.indices.filter { letters.contains(characters[$0]) }
    let alone = found.first { index in
      (index == 0 || !characters[index - 1].isLetter)
        && (index + 1 == characters.count || !characters[index + 1].isLetter)
    }
    return (alone ?? found.first).map { characters[$0] }
  }
}

/// What lm-evaluation-harness's exact_match looks over.
package struct HarnessMatch: Sendable {
  /// Expressions whose places are taken out.
  package var ignored: [RegularExpression] = []
  /// Whether case is looked over.
  package var ignoresCase = false
  /// Whether punctuation is taken out.
  package var ignoresPunctuation = false
  /// Whether digits are taken out.
  package var ignoresNumbers = false

  /// Python's string.punctuation.
  private static let punctuation = Set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")

  func plain(_ text: String) throws(ReFTError) -> String {
    var text = text
    for pattern in ignored {
      for match in try pattern.matches(in: text).reversed() {
        let start = text.utf8.index(text.startIndex, offsetBy: match.start)
        text.removeSubrange(start..<text.utf8.index(start, offsetBy: match.whole.utf8.count))
      }
    }
    if ignoresCase { text = text.lowercased() }
    if ignoresPunctuation { text.removeAll { Self.punctuation.contains($0) } }
    if ignoresNumbers { text.removeAll { ("0"..."9").contains($0) } }
    return text
  }
}
