// SPDX-License-Identifier: Apache-2.0
// Texts that may come from a file, a plugin or a name, as a terminal may see them: what would steer
// the terminal is escaped, and what has no end is cut. Whoever prints calls this; errors and
// warnings keep their text as it is.

/// Makes texts from anywhere safe to show.
///
/// Escaped are the control characters (C0, DEL, C1), the separators of lines and paragraphs, what
/// turns the direction of writing (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069), and
/// invisible marks (U+FFF9 to U+FFFB, U+E0000 to U+E007F): as `\n`, `\r`, `\t`, `\u001b` or
/// `\u{e0041}`. A backslash of the text stays as it is.
package enum TerminalText {
  /// The most characters of a sentence, such as an error's, that are shown.
  package static let sentenceLimit = 2000
  /// The most characters of a name or of a table's cell that are shown.
  package static let nameLimit = 400

  /// A sentence in one line; breaks of lines become blanks, and of a long one the middle is cut, so
  /// that the remedy at its end stays.
  package static func sentence(_ text: String) -> String {
    guard text.contains(where: \.isNewline) else { return cut(text, sentenceLimit) }
    return cut(text.split(whereSeparator: \.isNewline).joined(separator: " "), sentenceLimit)
  }

  /// A name, a value or another short text in one line; breaks of lines are escaped too.
  package static func name(_ text: String) -> String { cut(text, nameLimit) }

  /// A text of any length in which line breaks and tabulators stay.
  package static func text(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: steers) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
      if scalar == "\n" || scalar == "\t" {
        result.unicodeScalars.append(scalar)
      } else {
        append(scalar, to: &result)
      }
    }
    return result
  }

  /// The text escaped, or its beginning and its end where it is longer than `limit`.
  private static func cut(_ text: String, _ limit: Int) -> String {
    let scalars = text.unicodeScalars
    if text.utf8.count <= limit, !scalars.contains(where: steers) { return text }
    let (head, end) = prefix(of: scalars, limit)
    if end == scalars.endIndex { return head }
    let (begin, headEnd) = prefix(of: scalars, limit * 2 / 3)
    var tail: [String] = []
    var (place, room) = (scalars.endIndex, limit / 3)
    while place > headEnd {
      let before = scalars.index(before: place)
      var piece = ""
      append(scalars[before], to: &piece)
      room -= piece.unicodeScalars.count
      if room < 0 { break }
      tail.append(piece)
      place = before
    }
    let left = text.utf8.distance(from: headEnd, to: place)
    return begin + " … (\(left) bytes left out) … " + tail.reversed().joined()
  }

  /// As much of a text's beginning as fits when escaped, and where it ends.
  private static func prefix(
    of scalars: String.UnicodeScalarView,
    _ limit: Int
  ) -> (shown: String, end: String.UnicodeScalarView.Index) {
    var (shown, count) = ("", 0)
    var place = scalars.startIndex
    while place < scalars.endIndex {
      var piece = ""
      append(scalars[place], to: &piece)
      count += piece.unicodeScalars.count
      if count > limit { break }
      shown += piece
      place = scalars.index(after: place)
    }
    return (shown, place)
  }

  private static func append(_ scalar: Unicode.Scalar, to text: inout String) {
    guard steers(scalar) else { return text.unicodeScalars.append(scalar) }
    switch scalar {
    case "\n": text += "\\n"
    case "\r": text += "\\r"
    case "\t": text += "\\t"
    default:
      let digits = String(scalar.value, radix: 16)
      text +=
        digits.count > 4
        ? "\\u{\(digits)}" : "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }
  }

  /// Whether a terminal would obey a character instead of showing it.
  private static func steers(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F...0x9F: true
    case 0..<0x61C: false
    case 0x61C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
    case 0xFFF9...0xFFFB, 0xE0000...0xE007F: true
    default: false
    }
  }
}
