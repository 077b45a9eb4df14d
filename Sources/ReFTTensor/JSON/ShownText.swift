// SPDX-License-Identifier: Apache-2.0
// Texts from outside that stand in messages and are compared: never without end. What a terminal
// would obey is escaped by `TerminalText`, where a message is printed.

extension String {
  /// The text for a message: its beginning, and "…" for the rest of a long one.
  ///
  /// - Parameter limit: the most scalars that are shown.
  /// - Returns: the text, or its beginning with "…".
  package func shown(_ limit: Int = 60) -> String {
    let scalars = unicodeScalars
    guard let end = scalars.index(scalars.startIndex, offsetBy: limit, limitedBy: scalars.endIndex),
      end < scalars.endIndex
    else { return self }
    return String(scalars[..<end]) + "…"
  }

  /// Whether no character carries more than sixty-four combining marks.
  ///
  /// Comparing and hashing texts takes time that grows with the square of a run of such marks, so
  /// keys and words from outside, which are compared, have none.
  package var hasShortCharacters: Bool {
    if utf8.allSatisfy({ $0 < 0x80 }) { return true }
    var run = 0
    for scalar in unicodeScalars {
      run = scalar.properties.canonicalCombiningClass == .notReordered ? 0 : run + 1
      if run > 64 { return false }
    }
    return true
  }
}
