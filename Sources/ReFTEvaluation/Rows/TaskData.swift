// SPDX-License-Identifier: Apache-2.0
// Where a task's rows are and how their file is written; reading it is in TaskData+Reading.

import ReFTTensor
package import ReFTText

/// A file of rows.
public struct TaskData: Sendable {
  /// How a file is written.
  public enum Format: String, Sendable, CaseIterable {
    /// JSON lines, or one JSON list of objects.
    case json
    /// Lines with tabs between their columns; quotes mean themselves.
    case tsv
    /// Lines with commas between their columns; columns with commas, quotes or line ends are quoted.
    case csv
    /// Running text: the field `text`.
    case text
  }

  /// The file; nil where the user names it.
  public var path: String?
  /// How it is written; nil: by the end of its name.
  public var format: Format?
  /// The names of a table's columns; nil where its first line names them.
  package var columns: [String]?
  /// Where the rows of a running text begin; nil: all of it is one row.
  package var split: RegularExpression?
  /// Fields that are cut out of others, in their order.
  package var derived: [DerivedField] = []

  /// A file that the user names.
  public init() {}
}

/// A field that is cut out of another.
package struct DerivedField: Sendable {
  /// What is taken.
  package enum Rule: Sendable {
    /// What the expression's first group takes at its first place.
    case first(RegularExpression)
    /// What it takes at each place: a list.
    case all(RegularExpression)
    /// The text with something else at each place.
    case replaced(RegularExpression, with: String)
  }

  /// The new field.
  package var name: String
  /// The field that it is cut out of.
  package var source: String
  /// How.
  package var rule: Rule
  /// What stands there where nothing matches; nil: an error.
  package var otherwise: String?

  /// Adds the field to a row.
  ///
  /// - Throws: `badData` naming the row where the source is missing, or nothing matches.
  func apply(to row: inout TaskRow) throws(ReFTError) {
    let text = try row.text(source)
    switch rule {
    case .first(let pattern):
      guard let found = try pattern.matches(in: text).first?.first ?? otherwise else {
        throw .noMatch(row, field: name, source: source, pattern.source)
      }
      row.set(name, .text(found))
    case .all(let pattern):
      let found = try pattern.matches(in: text).map { $0.first ?? "" }
      guard !found.isEmpty else {
        throw .noMatch(row, field: name, source: source, pattern.source)
      }
      row.set(
        name,
        .list(found.map { JSONNode(content: .text($0), place: row.fields.place) })
      )
    case .replaced(let pattern, let other):
      var result: [UInt8] = []
      let bytes = Array(text.utf8)
      var end = 0
      for match in try pattern.matches(in: text) {
        result += bytes[end..<match.start]
        result += other.utf8
        end = match.start + match.whole.utf8.count
      }
      row.set(name, .text(String(decoding: result + bytes[end...], as: UTF8.self)))
    }
  }
}
