// SPDX-License-Identifier: Apache-2.0
// Reads the rows of a task: JSON through the reader of training data, tables and running texts here.

import ReFTTensor
import ReFTText
import ReFTTraining

extension TaskData {
  /// The largest table or running text that is read: 1 GiB.
  private static let longest = 1 << 30

  /// The rows of a file, and its hash.
  struct Content {
    var rows: [TaskRow]
    var hash: String
  }

  /// Reads the rows.
  ///
  /// - Parameters:
  ///   - other: a file in place of the task's own.
  ///   - limit: take only the first rows.
  /// - Returns: the rows, at least one, with the fields that are cut out.
  /// - Throws: `usage` where no file is named; `inputMissing` without it; `badData` with file and line
  ///   for anything wrong in it.
  func read(_ other: String?, limit: Int?) throws(ReFTError) -> Content {
    guard let path = other ?? path else { throw .noTaskData() }
    var content = try content(path, limit: limit ?? .max)
    guard !content.rows.isEmpty else { throw .noTaskRows(path) }
    for index in content.rows.indices {
      for field in derived { try field.apply(to: &content.rows[index]) }
    }
    return content
  }

  private func content(_ path: String, limit: Int) throws(ReFTError) -> Content {
    switch format ?? Self.format(of: path) {
    case .json: return try Self.json(path, limit: limit)
    case .tsv, .csv, .text: break
    }
    let bytes = try TextFile.bytes(path: path, limit: Self.longest)
    let hash = "sha256:" + SHA256Digest.hex(of: bytes)
    let kind = format ?? Self.format(of: path)
    if kind != .text {
      let form: DelimitedText.Form = kind == .csv ? .commas : .plain
      let rows = try table(bytes, path, form, limit: limit)
      return Content(rows: rows, hash: hash)
    }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .notUTF8(path) }
    return Content(rows: try texts(text, path, limit: limit), hash: hash)
  }

  private func table(
    _ bytes: [UInt8],
    _ path: String,
    _ form: DelimitedText.Form,
    limit: Int
  ) throws(ReFTError) -> [TaskRow] {
    var table = DelimitedText(bytes, path: path, form: form)
    var names = columns
    if names == nil { names = try table.next()?.cells }
    guard let names else { throw .noTaskRows(path) }
    var rows: [TaskRow] = []
    while rows.count < limit, let row = try table.next() {
      // GLUE's tables have lines with more columns than their header names.
      guard row.cells.count == names.count || form == .plain && row.cells.count > names.count else {
        throw .cellCount("\(path):\(row.line)", found: row.cells.count, expected: names, form)
      }
      let values = zip(names, row.cells).map { ($0, JSONNode.Content.text($1)) }
      rows.append(Self.row(values, number: rows.count, line: row.line, path))
    }
    return rows
  }

  /// What the end of a name says of the file.
  static func format(of path: String) -> Format {
    let known: [(String, Format)] = [(".tsv", .tsv), (".csv", .csv), (".txt", .text)]
    return known.first { path.lowercased().hasSuffix($0.0) }?.1 ?? .json
  }

  private static func json(_ path: String, limit: Int) throws(ReFTError) -> Content {
    var reader = try RowReader(path: path)
    var rows: [TaskRow] = []
    while rows.count < limit, let row = try reader.next() {
      guard case .object = row.node.content else {
        throw .wrongRowKind("\(path):\(row.line)", found: row.node.kind)
      }
      rows.append(TaskRow(fields: row.node, number: rows.count, line: row.line, path: path))
    }
    return Content(rows: rows, hash: "sha256:" + (try reader.finish()))
  }

  private func texts(
    _ text: String,
    _ path: String,
    limit: Int
  ) throws(ReFTError) -> [TaskRow] {
    let bytes = Array(text.utf8)
    var starts = try split?.matches(in: text).map(\.start) ?? []
    if starts.first != 0 { starts.insert(0, at: 0) }
    var rows: [TaskRow] = []
    var line = 1
    for (index, start) in starts.enumerated() where rows.count < limit {
      let end = index + 1 < starts.count ? starts[index + 1] : bytes.count
      let part = String(decoding: bytes[start..<end], as: UTF8.self)
      if part.contains(where: { !$0.isWhitespace }) {
        rows.append(
          Self.row([("text", .text(part))], number: rows.count, line: line, path)
        )
      }
      line += bytes[start..<end].count { $0 == 0x0A }
    }
    return rows
  }

  private static func row(
    _ values: [(String, JSONNode.Content)],
    number: Int,
    line: Int,
    _ path: String
  ) -> TaskRow {
    let place = TextPlace(line: line, column: 1)
    let members = values.map { name, content in
      JSONNode.Member(
        key: name,
        place: place,
        value: JSONNode(content: content, place: place)
      )
    }
    let fields = JSONNode(content: .object(members), place: place)
    return TaskRow(fields: fields, number: number, line: line, path: path)
  }
}
