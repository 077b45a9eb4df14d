// SPDX-License-Identifier: Apache-2.0
// Tables as text: tabs between columns, or commas with RFC 4180's quotes.

/// Takes a table apart.
struct DelimitedText {
  /// The cells of a line, and where it begins.
  struct Row: Equatable {
    var cells: [String]
    var line: Int
  }

  /// The lines that are not empty.
  private(set) var rows: [Row] = []
  private var cells: [String] = []
  private var cell: [UInt8] = []
  private var line = 1
  private var start = 1

  /// Takes a text apart.
  ///
  /// - Parameters:
  ///   - text: the table.
  ///   - isQuoted: whether commas part the columns, and quotes hold some together; else tabs do.
  init(_ text: String, isQuoted: Bool) {
    let separator = UInt8(ascii: isQuoted ? "," : "\t")
    let quote = UInt8(ascii: "\"")
    var isInside = false
    var bytes = Array(text.utf8)[...]
    while let byte = bytes.popFirst() {
      if byte == 0x0A { line += 1 }
      if isInside {
        if byte != quote {
          cell.append(byte)
        } else if bytes.first == quote {
          cell.append(bytes.removeFirst())
        } else {
          isInside = false
        }
      } else if isQuoted, byte == quote, cell.isEmpty {
        isInside = true
      } else if byte == separator {
        endCell()
      } else if byte == 0x0A {
        endLine()
      } else {
        cell.append(byte)
      }
    }
    endLine()
  }

  private mutating func endCell() {
    cells.append(String(decoding: cell, as: UTF8.self))
    cell.removeAll(keepingCapacity: true)
  }

  private mutating func endLine() {
    if cell.last == 0x0D { cell.removeLast() }
    let isBlank = cells.isEmpty && cell.isEmpty
    endCell()
    if !isBlank { rows.append(Row(cells: cells, line: start)) }
    cells.removeAll(keepingCapacity: true)
    start = line
  }
}
