// SPDX-License-Identifier: Apache-2.0
// How the fields of a row become a text: a format string, a Jinja template, or a field as it is.

package import ReFTTensor
package import ReFTText

/// A text with the fields of a row in it.
package enum Wording: Sendable, Equatable {
  /// `{field}` stands for a field; doubled braces stand for themselves.
  case format(FieldFormat)
  /// A Jinja template, as lm-evaluation-harness has them.
  case jinja(TextTemplate)
  /// A field as it is.
  case field(String)

  /// No text.
  static let empty = Wording.format(FieldFormat())

  /// Whether it has the option of a choice, or its label, in it.
  var speaksOfOption: Bool {
    guard case .format(let format) = self else { return false }
    return format.fields.contains("option") || format.fields.contains("label")
  }

  /// The text for a row.
  ///
  /// - Throws: `badData` naming the row where a field is missing or does not fit.
  package func text(_ row: TaskRow) throws(ReFTError) -> String {
    switch self {
    case .format(let format): return try format.text(row)
    case .field(let name): return try row.text(name)
    case .jinja(let template):
      do throws(ReFTError) {
        return try template.text(row.fields)
      } catch {
        throw .ofRow(row, error)
      }
    }
  }

  /// The value for a row, where it may be a list or a number.
  ///
  /// - Throws: as `text`.
  package func value(_ row: TaskRow) throws(ReFTError) -> JSONNode {
    switch self {
    case .format(let format):
      return JSONNode(content: .text(try format.text(row)), place: row.fields.place)
    case .field(let name): return try row.value(name)
    case .jinja(let template):
      do throws(ReFTError) {
        return try template.value(row.fields)
      } catch {
        throw .ofRow(row, error)
      }
    }
  }
}

/// A format string, taken apart.
package struct FieldFormat: Sendable, Equatable {
  private enum Piece: Sendable, Equatable {
    case text(String)
    case field(String)
  }

  /// The string as it was written.
  package let source: String
  private var pieces: [Piece] = []

  /// The empty string.
  init() { source = "" }

  /// Takes a format string apart.
  ///
  /// - Throws: `badConfiguration` for a lone brace.
  package init(_ source: String) throws(ReFTError) {
    self.source = source
    var literal = ""
    var rest = source[...]
    while let character = rest.popFirst() {
      guard character == "{" || character == "}" else {
        literal.append(character)
        continue
      }
      if rest.first == character {
        literal.append(rest.removeFirst())
        continue
      }
      guard character == "{", let end = rest.firstIndex(of: "}") else {
        throw .loneBraceInTask(source, character)
      }
      if !literal.isEmpty { pieces.append(.text(literal)) }
      literal = ""
      pieces.append(.field(String(rest[..<end])))
      rest = rest[rest.index(after: end)...]
    }
    if !literal.isEmpty { pieces.append(.text(literal)) }
  }

  /// The fields that it asks for.
  package var fields: [String] {
    pieces.compactMap { if case .field(let name) = $0 { name } else { nil } }
  }

  func text(_ row: TaskRow) throws(ReFTError) -> String {
    var result = ""
    for piece in pieces {
      switch piece {
      case .text(let text): result += text
      case .field(let name): result += try row.text(name)
      }
    }
    return result
  }
}
