// SPDX-License-Identifier: Apache-2.0
// How a data file is written, and where a table of GLUE keeps texts and labels.

import ReFTTensor

/// How a data file is written.
public enum DataFormat: String, Sendable, CaseIterable {
  /// JSON lines, or one JSON list.
  case json
  /// GLUE's CoLA: four columns without a header.
  case cola = "glue/cola"
  /// GLUE's SST-2.
  case sst2 = "glue/sst2"
  /// GLUE's MRPC.
  case mrpc = "glue/mrpc"
  /// GLUE's STS-B.
  case stsb = "glue/stsb"
  /// GLUE's QQP.
  case qqp = "glue/qqp"
  /// GLUE's QNLI.
  case qnli = "glue/qnli"
  /// GLUE's MNLI.
  case mnli = "glue/mnli"
  /// GLUE's RTE, and WNLI, whose table is the same.
  case rte = "glue/rte"

  /// The names of the columns with the text, the second text, and the label; nil for JSON and for a
  /// table without a header.
  var header: (text: String, pair: String?, label: String)? {
    switch self {
    case .json, .cola: nil
    case .sst2: ("sentence", nil, "label")
    case .mrpc: ("#1 String", "#2 String", "Quality")
    case .stsb: ("sentence1", "sentence2", "score")
    case .qqp: ("question1", "question2", "is_duplicate")
    case .qnli: ("question", "sentence", "label")
    case .mnli: ("sentence1", "sentence2", "gold_label")
    case .rte: ("sentence1", "sentence2", "label")
    }
  }

  /// Whether it is a table.
  var isTable: Bool { self != .json }
}

/// Where the columns of a table lie.
struct TableColumns: Equatable {
  var text: Int
  var pair: Int?
  var label: Int
  /// How many columns a line has at least.
  var count: Int
  /// Whether the first line names them.
  var hasHeader: Bool

  /// CoLA: source, label, the author's mark, sentence.
  private static let cola = TableColumns(text: 3, pair: nil, label: 1, count: 4, hasHeader: false)

  /// The columns that a first line names for a format.
  private init?(_ cells: [String], _ format: DataFormat) {
    guard let header = format.header, let text = cells.firstIndex(of: header.text),
      let label = cells.firstIndex(of: header.label)
    else { return nil }
    // Others have a column of SST-2's names too, beside that of a second text.
    guard header.pair != nil || cells.count == 2 else { return nil }
    self.text = text
    self.label = label
    if let name = header.pair {
      guard let pair = cells.firstIndex(of: name) else { return nil }
      self.pair = pair
    }
    count = cells.count
    hasHeader = true
  }

  private init(text: Int, pair: Int?, label: Int, count: Int, hasHeader: Bool) {
    (self.text, self.pair, self.label) = (text, pair, label)
    (self.count, self.hasHeader) = (count, hasHeader)
  }

  /// The columns of a table.
  ///
  /// - Parameters:
  ///   - cells: its first line.
  ///   - format: what it is said to be; nil: to be told from the line.
  ///   - path: the file, for messages.
  /// - Throws: `badData` for a first line that is not that of the format, or of none that is known.
  init(_ cells: [String], format: DataFormat?, path: String) throws(ReFTError) {
    let isCola = cells.count == 4 && ["0", "1"].contains(cells[1])
    if let format {
      let columns = format == .cola ? (isCola ? Self.cola : nil) : Self(cells, format)
      guard let columns else { throw .otherTable(path, found: cells, format: format) }
      self = columns
      return
    }
    let known = DataFormat.allCases.lazy.compactMap { Self(cells, $0) }.first
    guard let columns = known ?? (isCola ? Self.cola : nil) else {
      throw .unknownTable(path, found: cells)
    }
    self = columns
  }
}

extension ReFTError {
  private static func listed(_ cells: [String]) -> String {
    let shown = cells.prefix(12).map { "'\($0.shown(40))'" }.joined(separator: ", ")
    return "\(cells.count) columns: \(shown)" + (cells.count > 12 ? ", …" : "")
  }

  static func otherTable(_ path: String, found: [String], format: DataFormat) -> ReFTError {
    let expected =
      format.header.map { header in
        let names = [header.text, header.pair, header.label].compactMap(\.self)
        return "a header with " + names.map { "'\($0)'" }.joined(separator: ", ")
      } ?? "four columns without a header, the second of them 0 or 1"
    return ReFTError(
      .badData,
      "\(path):1: not a table of \(format.rawValue): found \(listed(found)); expected \(expected), "
        + "with tabs between them; name another 'data.format'"
    )
  }

  static func unknownTable(_ path: String, found: [String]) -> ReFTError {
    let formats = DataFormat.allCases.filter(\.isTable).map(\.rawValue).joined(separator: ", ")
    return ReFTError(
      .badData,
      "\(path):1: a table that is none of \(formats): found \(listed(found)); name its "
        + "'data.format', or write the rows as {\"text\",\"text_pair\",\"label\"}"
    )
  }

  static func shortLine(_ place: String, found: Int, expected: Int) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): a line of \(found) columns; expected \(expected), with tabs between them"
    )
  }

  static func tableWithoutHead(_ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)' is a table of texts with labels, which only a head can learn or be scored by; write a "
        + "'head', or give rows such as {\"prompt\",\"completion\"}"
    )
  }
}
