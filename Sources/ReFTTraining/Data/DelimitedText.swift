// SPDX-License-Identifier: Apache-2.0
// Tables as text: a line for each row, with tabs or commas between its cells, which may stand in double
// quotes where the table's form has them.

package import ReFTTensor

/// Takes a table apart, row by row.
package struct DelimitedText {
  /// How the cells of a table are written.
  package enum Form: Sendable {
    /// Tabs part them, and quotes mean themselves, as in GLUE's tables.
    case plain
    /// Tabs part them; one that begins with a double quote ends with one, and holds anything.
    case tabs
    /// The same with commas: RFC 4180.
    case commas

    fileprivate var separator: UInt8 {
      self == .commas ? UInt8(ascii: ",") : UInt8(ascii: "\t")
    }
  }

  /// The cells of a row, and the line where it begins.
  package struct Row: Equatable {
    /// Without their quotes.
    package var cells: [String]
    /// From 1.
    package var line: Int
  }

  private let path: String
  private let bytes: [UInt8]
  private let form: Form
  private var at = 0
  private var line = 1

  /// Begins at the first row.
  ///
  /// - Parameters:
  ///   - bytes: the table, without a byte order mark.
  ///   - path: its file, for messages.
  ///   - form: how its cells are written.
  package init(_ bytes: [UInt8], path: String, form: Form) {
    (self.bytes, self.path, self.form) = (bytes, path, form)
  }

  /// The next row that is not empty; nil after the last.
  ///
  /// - Throws: `badData` with file and line for a quote without an end, text behind one that ends, and
  ///   bytes that are not UTF-8.
  package mutating func next() throws(ReFTError) -> Row? {
    while at < bytes.count {
      let row = try row()
      if row.cells != [""] { return row }
    }
    return nil
  }

  /// The next line, with what follows it in quotes.
  private mutating func row() throws(ReFTError) -> Row {
    let first = line
    var cells: [String] = []
    while true {
      cells.append(try cell())
      guard at < bytes.count else { break }
      let byte = bytes[at]
      at += 1
      if byte == UInt8(ascii: "\n") {
        line += 1
        break
      }
    }
    return Row(cells: cells, line: first)
  }

  /// The next cell; afterwards the separator, a line feed or the end is next.
  private mutating func cell() throws(ReFTError) -> String {
    let start = line
    var content: [UInt8] = []
    if form != .plain, at < bytes.count, bytes[at] == UInt8(ascii: "\"") {
      content = try quoted()
      try endQuoted()
    } else {
      let end = bytes[at...].firstIndex { $0 == form.separator || $0 == UInt8(ascii: "\n") }
      content = Array(bytes[at..<(end ?? bytes.count)])
      at += content.count
      let endsLine = end.map { bytes[$0] == UInt8(ascii: "\n") } ?? true
      if endsLine, content.last == UInt8(ascii: "\r") { content.removeLast() }
    }
    guard let text = String(validating: content, as: UTF8.self) else {
      throw .notUTF8("\(path):\(start)")
    }
    return text
  }

  /// The content of quotes, in which two quotes are one.
  private mutating func quoted() throws(ReFTError) -> [UInt8] {
    let start = line
    var content: [UInt8] = []
    at += 1
    while at < bytes.count {
      let byte = bytes[at]
      at += 1
      if byte == UInt8(ascii: "\n") { line += 1 }
      guard byte == UInt8(ascii: "\"") else {
        content.append(byte)
        continue
      }
      guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { return content }
      content.append(byte)
      at += 1
    }
    throw .quoteWithoutEnd("\(path):\(start)")
  }

  /// Makes sure that a cell is over behind its closing quote.
  private mutating func endQuoted() throws(ReFTError) {
    if at < bytes.count, bytes[at] == UInt8(ascii: "\r") { at += 1 }
    guard at == bytes.count || bytes[at] == form.separator || bytes[at] == UInt8(ascii: "\n")
    else {
      let rest = bytes[at...].prefix { $0 != UInt8(ascii: "\n") }.prefix(80)
      throw .textBehindQuote(
        "\(path):\(line)",
        found: String(decoding: rest, as: UTF8.self),
        expected: form == .commas ? "a comma" : "a tab"
      )
    }
  }
}

extension ReFTError {
  /// Rows with bytes that are no text.
  package static func notUTF8(_ place: String) -> ReFTError {
    ReFTError(.badData, "\(place): bytes that are not UTF-8; \(JSONFault.encodingRemedy)")
  }

  /// A row of a table that has too few cells, or too many.
  package static func cellCount(
    _ place: String,
    found: Int,
    expected: [String],
    _ form: DelimitedText.Form
  ) -> ReFTError {
    let names = expected.prefix(8).map { "'\($0.shown(40))'" }.joined(separator: ", ")
    let quotes =
      form == .plain ? "" : ", or put cells that hold a separator in double quotes"
    return ReFTError(
      .badData,
      "\(place): a row of \(found) cell\(found == 1 ? "" : "s"); expected \(expected.count): \(names)"
        + "\(expected.count > 8 ? " and so on" : ""); give the missing ones\(quotes)"
    )
  }

  fileprivate static func quoteWithoutEnd(_ place: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): a cell begins with a double quote, and the file ends before the next one; write quotes "
        + "inside a cell twice, or give the rows as JSON"
    )
  }

  fileprivate static func textBehindQuote(
    _ place: String,
    found: String,
    expected: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): '\(found.shown(40))' behind the closing quote of a cell; expected \(expected) or the "
        + "end of the line; write quotes inside a cell twice, or give the rows as JSON"
    )
  }
}
