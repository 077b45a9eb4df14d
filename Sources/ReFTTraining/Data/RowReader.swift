// SPDX-License-Identifier: Apache-2.0
// Files of rows: JSON lines, or one JSON list.

import ReFTTensor

/// Reads the rows of a data file.
enum RowReader {
  /// Reads rows.
  ///
  /// A byte order mark and carriage returns before line feeds are skipped, and so are empty lines.
  ///
  /// - Parameters:
  ///   - file: the file.
  ///   - limit: end after so many rows; what follows is not looked at.
  ///   - body: receives each row and its line.
  /// - Throws: `inputMissing` without the file; `badData` with file and line for anything in it
  ///   that is no row.
  static func read(
    _ file: MappedFile,
    limit: Int?,
    body: (DataRow, Int) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    var bytes = file.bytes.bindMemory(to: UInt8.self)
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = .init(rebasing: bytes[3...]) }
    let limit = limit ?? .max
    var scanner = JSONScanner(bytes)
    if scanner.isAtEnd() { throw .emptyData(path: file.path) }
    if scanner.take("[") {
      try readList(scanner, path: file.path, limit: limit, body: body)
    } else {
      try readLines(bytes, path: file.path, limit: limit, body: body)
    }
  }

  private static func readList(
    _ start: JSONScanner,
    path: String,
    limit: Int,
    body: (DataRow, Int) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    var scanner = start
    if scanner.take("]") { throw .emptyData(path: path) }
    var count = 0
    repeat {
      _ = scanner.isAtEnd()
      let line = scanner.line
      try body(DataRow(value(&scanner, path: path), place: "\(path):\(line)"), line)
      count += 1
      if count == limit { return }
    } while scanner.take(",")
    guard scanner.take("]") else {
      throw .notJSON(
        path: path,
        fault: scanner.fault("expected ',' or ']' after a row, found \(scanner.nextInWords())")
      )
    }
    guard scanner.isAtEnd() else {
      throw .notJSON(
        path: path,
        fault: scanner.fault("found \(scanner.nextInWords()) after the list's end")
      )
    }
  }

  private static func readLines(
    _ bytes: UnsafeBufferPointer<UInt8>,
    path: String,
    limit: Int,
    body: (DataRow, Int) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    var (start, line, count) = (0, 0, 0)
    while start < bytes.count, count < limit {
      let rest = UnsafeBufferPointer(rebasing: bytes[start...])
      let end = rest.firstIndex(of: 0x0A) ?? rest.count
      let content = UnsafeBufferPointer(rebasing: rest[..<end])
      start += end + 1
      line += 1
      var scanner = JSONScanner(content, line: line)
      if scanner.isAtEnd() { continue }
      let row = try DataRow(value(&scanner, path: path), place: "\(path):\(line)")
      guard scanner.isAtEnd() else {
        throw .notJSON(
          path: path,
          fault: scanner.fault("found \(scanner.nextInWords()) after the row's end")
        )
      }
      try body(row, line)
      count += 1
    }
  }

  private static func value(
    _ scanner: inout JSONScanner,
    path: String
  ) throws(ReFTError) -> RowValue {
    do throws(JSONScanner.Fault) {
      return try scanner.value()
    } catch {
      throw error.message == JSONScanner.notUTF8
        ? .notText(path: path, line: error.line) : .notJSON(path: path, fault: error)
    }
  }
}
