// SPDX-License-Identifier: Apache-2.0
// Rows of any file as named texts: what JSON objects and tables have in common.

import ReFTTensor
import ReFTTraining

/// One row as named texts.
struct ContrastRow {
  /// The texts by their keys, or columns; a row that is a text alone has the key "text".
  var fields: [String: String]
  /// Where it begins: `file:line`.
  var place: String

  /// The keys, for messages.
  var keys: String { fields.keys.sorted().map { "\"\($0.shown(40))\"" }.joined(separator: ", ") }

  /// The first of some keys that the row has.
  func first(of keys: [String]) -> String? { keys.first { fields[$0] != nil } }
}

/// Reads files of rows.
enum ContrastRows {
  /// The most bytes of a table or of lines: 256 MiB.
  private static let longest = 256 << 20

  /// Reads a file: a table where its name ends in .tsv or .csv, one text a line where it ends in
  /// .txt, else JSON lines or one JSON list.
  ///
  /// - Throws: `inputMissing` without the file; `badData` with file and line for anything wrong in
  ///   it, and for a file without rows.
  static func read(path: String) throws(ReFTError) -> [ContrastRow] {
    let rows =
      if path.hasSuffix(".tsv") || path.hasSuffix(".csv") {
        try table(path)
      } else if path.hasSuffix(".txt") {
        try lines(path)
      } else {
        try json(path)
      }
    guard !rows.isEmpty else { throw .noContrastRows(path) }
    return rows
  }

  private static func table(_ path: String) throws(ReFTError) -> [ContrastRow] {
    let form: DelimitedText.Form = path.hasSuffix(".csv") ? .commas : .tabs
    let bytes = try TextFile.bytes(path: path, limit: longest)
    var rows = DelimitedText(bytes, path: path, form: form)
    guard let header = try rows.next() else { return [] }
    let names = header.cells.map { $0.lowercased() }
    var result: [ContrastRow] = []
    while let row = try rows.next() {
      guard row.cells.count == names.count else {
        throw .cellCount("\(path):\(row.line)", found: row.cells.count, expected: names, form)
      }
      let fields = Dictionary(zip(names, row.cells)) { first, _ in first }
      result.append(ContrastRow(fields: fields, place: "\(path):\(row.line)"))
    }
    return result
  }

  private static func lines(_ path: String) throws(ReFTError) -> [ContrastRow] {
    let bytes = try TextFile.bytes(path: path, limit: longest)
    var result: [ContrastRow] = []
    for (index, line) in bytes.split(
      separator: UInt8(ascii: "\n"),
      omittingEmptySubsequences: false
    ).enumerated() {
      let content = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
      guard !content.isEmpty else { continue }
      guard let text = String(validating: content, as: UTF8.self) else {
        throw .notUTF8("\(path):\(index + 1)")
      }
      result.append(ContrastRow(fields: ["text": text], place: "\(path):\(index + 1)"))
    }
    return result
  }

  private static func json(_ path: String) throws(ReFTError) -> [ContrastRow] {
    var reader = try RowReader(path: path)
    var result: [ContrastRow] = []
    while let row = try reader.next() {
      let place = "\(path):\(row.line)"
      switch row.node.content {
      case .text(let text): result.append(ContrastRow(fields: ["text": text], place: place))
      case .object(let members):
        var fields: [String: String] = [:]
        for member in members {
          switch member.value.content {
          case .text(let text): fields[member.key] = text
          case .integer, .flag: fields[member.key] = member.value.shown
          default: continue
          }
        }
        result.append(ContrastRow(fields: fields, place: place))
      default: throw .contrastRow(place, found: row.node.kind)
      }
    }
    return result
  }
}
