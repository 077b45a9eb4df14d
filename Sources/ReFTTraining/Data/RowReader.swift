// SPDX-License-Identifier: Apache-2.0
// Files of rows: JSON lines, or one JSON list. One reader for data and for prompts.

package import ReFTTensor

/// Reads the rows of a file, one after another, in memory for one row.
///
/// A byte order mark, empty lines and carriage returns before line feeds are skipped. A file that
/// begins with `[` is one list of rows; any other has one row per line.
package struct RowReader {
  /// A row and where it begins.
  package struct Row {
    /// The row.
    package var node: JSONNode
    /// The line in which it begins.
    package var line: Int
  }

  /// The most bytes of a row: 16 MiB.
  static let maximumByteCount = 16 << 20

  private var window: RowWindow
  private var isList = false
  private var isFirst = true

  /// Opens a file.
  ///
  /// - Throws: `inputMissing` without the file; `badData` for one that holds no row.
  package init(path: String) throws(ReFTError) {
    window = try RowWindow(path: path)
    try window.skipSpace()
    guard let first = try window.peek() else { throw .emptyData(path: path) }
    if first == UInt8(ascii: "[") {
      isList = true
      window.take(1)
    }
  }

  /// The next row; nil after the last.
  ///
  /// - Throws: `badData` with file, line and column for anything that is no row; `inputOutput` when
  ///   the file cannot be read, or changes meanwhile.
  package mutating func next() throws(ReFTError) -> Row? {
    defer { isFirst = false }
    return isList ? try nextItem() : try nextLine()
  }

  /// Reads the rest of the file without looking at it.
  ///
  /// - Returns: the hash of the whole file, 64 hexadecimal digits.
  package mutating func finish() throws(ReFTError) -> String { try window.finish() }

  private mutating func nextLine() throws(ReFTError) -> Row? {
    while true {
      guard try window.peek() != nil else { return nil }
      let place = window.place
      let count = try window.lineLength()
      let line = window.bytes(count)
      let isBlank = line.allSatisfy { [0x20, 0x09, 0x0D, 0x0A].contains($0) }
      let node = isBlank ? nil : try scan(line.last == 0x0A ? count - 1 : count, at: place)
      window.take(count)
      if let node { return Row(node: node, line: Int(place.line)) }
    }
  }

  private mutating func nextItem() throws(ReFTError) -> Row? {
    try window.skipSpace()
    let byte = try window.peek()
    if byte == UInt8(ascii: "]") {
      if isFirst { throw .emptyData(path: window.path) }
      window.take(1)
      try window.skipSpace()
      guard try window.peek() == nil else {
        throw fault("found \(window.nextInWords()) after the list's end")
      }
      isList = false
      return nil
    }
    if !isFirst {
      guard byte == UInt8(ascii: ",") else {
        throw fault("expected ',' or ']' after a row, found \(window.nextInWords())")
      }
      window.take(1)
      try window.skipSpace()
    }
    let place = window.place
    let count = try window.itemLength()
    guard count > 0 else { throw fault("expected a row, found \(window.nextInWords())") }
    let node = try scan(count, at: place)
    window.take(count)
    return Row(node: node, line: Int(place.line))
  }

  /// The value in the next bytes.
  private func scan(_ count: Int, at place: TextPlace) throws(ReFTError) -> JSONNode {
    do throws(JSONFault) {
      return try window.scan(count, at: place)
    } catch {
      throw .notJSON(path: window.path, fault: error)
    }
  }

  private func fault(_ message: String) -> ReFTError {
    let fault = JSONFault(offset: 0, place: window.place, message: message)
    return .notJSON(path: window.path, fault: fault)
  }
}
