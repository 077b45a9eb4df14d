// SPDX-License-Identifier: Apache-2.0
// The rows of a data file, whatever its format is.

import ReFTHost
import ReFTTensor

/// Reads the rows of a file, one after another.
struct DataRows {
  private enum Reader {
    case json(RowReader)
    case table(TableReader)
  }

  private var reader: Reader
  private let path: String
  private let purpose: DataRow.Purpose
  private let usesChat: Bool
  private let readsSources: Bool
  /// The source prompt of the last row; nil where it has none, or none is read.
  private(set) var source: String?
  /// The subspace that the last row names; nil where it names none.
  private(set) var subspace: Int32?
  /// Counts keys that nothing reads.
  private(set) var unread = UnreadKeys()

  /// Opens a file.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - format: how it is written; nil: a table where its name ends in ".tsv", else JSON.
  ///   - purpose: what the rows are read for.
  ///   - usesChat: whether instructions go through the chat template.
  ///   - readsSources: whether "source_prompt" is read.
  /// - Throws: `inputMissing` without the file; `badData` for one without rows, and for a table where
  ///   no labels are read.
  init(
    path: String,
    format: DataFormat?,
    purpose: DataRow.Purpose,
    usesChat: Bool = false,
    readsSources: Bool = false
  ) throws(ReFTError) {
    let isTable = format?.isTable ?? path.hasSuffix(".tsv")
    if isTable {
      guard purpose.takesLabels else { throw .tableWithoutHead(path) }
      reader = .table(try TableReader(path: path, format: format))
    } else {
      reader = .json(try RowReader(path: path))
    }
    self.path = path
    self.purpose = purpose
    self.usesChat = usesChat
    self.readsSources = readsSources
  }

  /// The next row, and the line where it begins; nil after the last.
  ///
  /// - Throws: `badData` with file and line for anything that is no row of the purpose.
  mutating func next() throws(ReFTError) -> (row: DataRow, line: Int)? {
    switch reader {
    case .table(var table):
      defer { reader = .table(table) }
      return try table.next()
    case .json(var rows):
      defer { reader = .json(rows) }
      guard let row = try rows.next() else { return nil }
      let data = try DataRow(
        row,
        path: path,
        purpose: purpose,
        usesChat: usesChat,
        readsSources: readsSources,
        unread: &unread
      )
      source = try readsSources ? row.sourcePrompt(path: path) : nil
      subspace = try row.subspace(path: path)
      return (data, row.line)
    }
  }

  /// Reads the rest of the file without looking at it.
  ///
  /// - Returns: the hash of the whole file, 64 hexadecimal digits.
  mutating func finish() throws(ReFTError) -> String {
    switch reader {
    case .table(var table): try table.finish()
    case .json(var rows): try rows.finish()
    }
  }
}

extension LabelSet {
  /// The labels of a file, whose names or numbers decide their order.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - format: how it is written; nil: by its name.
  ///   - limit: how many rows are looked at; nil for all.
  ///   - task: what the labels are for.
  /// - Returns: the labels.
  /// - Throws: `badData` for rows without labels, or with labels that do not go together.
  static func survey(
    path: String,
    format: DataFormat?,
    limit: Int?,
    task: HeadSpec.Task
  ) throws(ReFTError) -> LabelSet {
    if task == .regression { return .value }
    var rows = try DataRows(path: path, format: format, purpose: .labelling)
    var survey = LabelSurvey()
    var count = 0
    while count < limit ?? .max, let (row, line) = try rows.next() {
      count += 1
      if let label = row.label { try survey.add(label, place: "\(path):\(line)") }
    }
    let labels = survey.labels
    if let fault = HeadSpec.fault(of: labels, task) {
      throw .tooFewLabels(path, found: labels, expected: fault)
    }
    return labels
  }
}

extension ReFTError {
  static func tooFewLabels(_ path: String, found: LabelSet, expected: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): its rows have \(found.count) label\(found.count == 1 ? "" : "s"); expected \(expected); "
        + "name all of them with 'head.labels'"
    )
  }
}
