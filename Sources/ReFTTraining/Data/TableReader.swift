// SPDX-License-Identifier: Apache-2.0
// The rows of a table: lines with tabs between their columns, as GLUE has them. Quotes mean themselves.

import ReFTTensor

/// Reads the lines of a table, one after another, in memory for one line.
struct TableReader {
  private var window: RowWindow
  private let columns: TableColumns

  /// Opens a table.
  ///
  /// - Throws: `inputMissing` without the file; `badData` for one that is empty, or whose first line is
  ///   not that of the format.
  init(path: String, format: DataFormat?) throws(ReFTError) {
    window = try RowWindow(path: path)
    guard let first = try Self.line(&window, takes: false) else { throw .emptyData(path: path) }
    columns = try TableColumns(first.cells, format: format, path: path)
    if columns.hasHeader { _ = try Self.line(&window, takes: true) }
  }

  /// The next row; nil after the last.
  ///
  /// - Throws: `badData` with the line for one that lacks columns or is no text.
  mutating func next() throws(ReFTError) -> (row: DataRow, line: Int)? {
    guard let (cells, line) = try Self.line(&window, takes: true) else { return nil }
    let place = "\(window.path):\(line)"
    guard cells.count >= columns.count else {
      throw .shortLine(place, found: cells.count, expected: columns.count)
    }
    let row = DataRow.labelled(
      text: cells[columns.text],
      pair: columns.pair.map { cells[$0] },
      label: LabelValue(cell: cells[columns.label])
    )
    return (row, line)
  }

  /// Reads the rest of the file without looking at it.
  ///
  /// - Returns: the hash of the whole file, 64 hexadecimal digits.
  mutating func finish() throws(ReFTError) -> String { try window.finish() }

  /// The columns of the next line that is not empty; nil at the end.
  private static func line(
    _ window: inout RowWindow,
    takes: Bool
  ) throws(ReFTError) -> (cells: [String], line: Int)? {
    while try window.peek() != nil {
      let line = Int(window.place.line)
      let count = try window.lineLength()
      var bytes = window.bytes(count)
      if bytes.last == 0x0A { bytes = bytes.dropLast() }
      if bytes.last == 0x0D { bytes = bytes.dropLast() }
      guard !bytes.isEmpty else {
        window.take(count)
        continue
      }
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw .notUTF8("\(window.path):\(line)")
      }
      if takes { window.take(count) }
      let cells = text.utf8.split(separator: 0x09, omittingEmptySubsequences: false)
      return (cells.map { String($0) ?? "" }, line)
    }
    return nil
  }
}
