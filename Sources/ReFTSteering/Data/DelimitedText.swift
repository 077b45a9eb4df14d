// SPDX-License-Identifier: Apache-2.0
// Tables as spreadsheets write them: a header, tabs or commas, fields in double quotes that may
// hold anything. GLUE's tables, where quotes mean themselves, are read in ReFTTraining.

import ReFTTensor

/// The cells of a table, with the line where each row begins.
struct DelimitedText {
  /// A row of the table.
  struct Row: Equatable {
    var cells: [String]
    var line: Int
  }

  /// The most bytes of a table: 256 MiB.
  private static let limit = 256 << 20

  private let path: String
  private let bytes: [UInt8]
  private let separator: UInt8
  private var at = 0
  private var line = 1

  /// Reads all rows of a file, the header among them.
  ///
  /// - Throws: `inputMissing` without the file; `badData` with the line for a quote that does not
  ///   end, or that ends inside a field.
  static func rows(path: String) throws(ReFTError) -> [Row] {
    let separator = path.hasSuffix(".csv") ? UInt8(ascii: ",") : UInt8(ascii: "\t")
    var reader = DelimitedText(
      path: path,
      bytes: try TextFile.bytes(path: path, limit: limit),
      separator: separator
    )
    var rows: [Row] = []
    while let row = try reader.next() {
      if row.cells != [""] { rows.append(row) }
    }
    return rows
  }

  private init(path: String, bytes: [UInt8], separator: UInt8) {
    (self.path, self.bytes, self.separator) = (path, bytes, separator)
  }

  /// The next row; nil at the end.
  private mutating func next() throws(ReFTError) -> Row? {
    guard at < bytes.count else { return nil }
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
    if at < bytes.count, bytes[at] == UInt8(ascii: "\"") {
      content = try quoted()
      if at < bytes.count, bytes[at] == UInt8(ascii: "\r") { at += 1 }
      guard at == bytes.count || bytes[at] == separator || bytes[at] == UInt8(ascii: "\n") else {
        throw .quoteInsideCell("\(path):\(line)")
      }
    } else {
      let end = bytes[at...].firstIndex { $0 == separator || $0 == UInt8(ascii: "\n") }
      content = Array(bytes[at..<(end ?? bytes.count)])
      at += content.count
      if content.last == UInt8(ascii: "\r") { content.removeLast() }
    }
    guard let text = String(validating: content, as: UTF8.self) else {
      throw .tableEncoding("\(path):\(start)")
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
}
