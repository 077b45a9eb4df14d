// SPDX-License-Identifier: Apache-2.0
// Where something stands in a text, and what is wrong with the JSON there.

/// A place in a text as people count: lines and characters from 1.
package struct TextPlace: Hashable, Sendable, CustomStringConvertible {
  /// The line, from 1.
  package var line: Int32
  /// The character in its line, from 1.
  package var column: Int32

  /// Names a place; numbers that are too large stay at the largest.
  package init(line: Int, column: Int) {
    self.line = Int32(clamping: line)
    self.column = Int32(clamping: column)
  }

  /// `line:column`, as it follows the name of a file.
  package var description: String { "\(line):\(column)" }
}

/// What makes a text no JSON, or JSON beyond a stated bound.
package struct JSONFault: Error, Sendable {
  /// The byte, from 0.
  package var offset: Int
  /// The line and the character.
  package var place: TextPlace
  /// What stands there and what should.
  package var message: String
  /// Whether the fault is in the bytes and not in the JSON.
  package var isEncoding = false

  /// Describes a fault.
  package init(offset: Int, place: TextPlace, message: String) {
    (self.offset, self.place, self.message) = (offset, place, message)
  }

  /// What to do about bytes that are no text.
  package static let encodingRemedy = "save the file as UTF-8 text"
}
