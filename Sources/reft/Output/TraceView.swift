// SPDX-License-Identifier: Apache-2.0
// What --trace shows: a table of tokens and sites on stderr, and the same as JSON.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText

/// The changes of a trace, with the tokens that they are of.
struct TraceView {
  /// One change, as JSON has it.
  struct Entry: Encodable {
    var text: Int
    var position: Int
    var id: Int32
    var token: String
    var block: Int
    var component: String
    var change: Double
    var norm: Double
    var ratio: OrNull<Double>
  }

  private let changes: [EditChange]
  private let leftOut: Int
  private let tokenizer: Tokenizer
  private let number: (Int) -> Int
  private let ids: (Int) -> [Int32]

  /// - Parameters:
  ///   - trace: what was collected.
  ///   - tokenizer: tells the texts of tokens.
  ///   - number: what the user knows a sequence as.
  ///   - ids: the tokens of a sequence.
  init(
    _ trace: EditTrace,
    tokenizer: Tokenizer,
    number: @escaping (Int) -> Int = { $0 },
    ids: @escaping (Int) -> [Int32]
  ) {
    (changes, leftOut) = (trace.sorted, trace.leftOut)
    (self.tokenizer, self.number, self.ids) = (tokenizer, number, ids)
  }

  /// The changes by text, token and site.
  var entries: [Entry] {
    changes.map { change in
      let id = id(change)
      return Entry(
        text: number(change.sequence),
        position: change.position,
        id: id,
        token: word(id),
        block: change.site.block,
        component: change.site.component.rawValue,
        change: change.change,
        norm: change.norm,
        ratio: OrNull(change.ratio)
      )
    }
  }

  /// Writes the entries to a file.
  func write(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity",
      negativeInfinity: "-Infinity",
      nan: "NaN"
    )
    try AtomicFile.write(try encoder.encode(["trace": entries]) + Data("\n".utf8), to: path)
  }

  /// Shows a table of each text: a line for each token, a column for each site.
  func show() {
    guard !changes.isEmpty else { return Output.note("trace: no token was edited") }
    let texts = Dictionary(grouping: changes, by: \.sequence).sorted { $0.key < $1.key }
    for (text, changes) in texts {
      let title = "‖Δh‖/‖h‖" + (texts.count > 1 ? " of text \(number(text))" : "")
      for line in table(changes, title: title) { Output.tell(line + "\n") }
    }
    if leftOut > 0 {
      Output.note("trace: \(leftOut) more changes are left out; trace fewer texts at once")
    }
  }

  private func id(_ change: EditChange) -> Int32 {
    let ids = ids(change.sequence)
    return ids.indices.contains(change.position) ? ids[change.position] : -1
  }

  private func word(_ id: Int32) -> String {
    id < 0 ? "" : String(decoding: tokenizer.bytes(of: id), as: UTF8.self)
  }

  // MARK: Table

  private static let tokenWidth = 16
  private static let cellWidth = 7

  private func table(_ changes: [EditChange], title: String) -> [String] {
    var sites: [Site] = []
    var cells: [Int: [Site: EditChange]] = [:]
    for change in changes {
      cells[change.position, default: [:]][change.site] = change
      if !sites.contains(change.site) { sites.append(change.site) }
    }
    let label = "\(title) by token and block"
    let perLine = max(1, (ProgressLine.terminalWidth() - Self.tokenWidth - 8) / Self.cellWidth)
    var lines: [String] = []
    let components = sites.map(\.component).reduce(into: [Component]()) { list, component in
      if !list.contains(component) { list.append(component) }
    }
    for component in components {
      let own = sites.filter { $0.component == component }
      for start in stride(from: 0, to: own.count, by: perLine) {
        let shown = Array(own[start..<min(start + perLine, own.count)])
        lines.append("\(label), \(component.rawValue):")
        let heads = shown.map { Self.right("\($0.block)") }.joined()
        lines.append(Self.padded("", 8 + Self.tokenWidth) + heads)
        for position in cells.keys.sorted() {
          guard let row = cells[position], shown.contains(where: { row[$0] != nil }) else {
            continue
          }
          let token = row.values.first.map { word(id($0)) } ?? ""
          let name = Self.padded(Self.visible(token), Self.tokenWidth)
          lines.append(
            Self.padded("\(position)", 7) + " " + name
              + shown.map { Self.right(row[$0].map(Self.cell) ?? "·") }.joined()
          )
        }
      }
    }
    return lines
  }

  private static func cell(_ change: EditChange) -> String {
    guard let ratio = change.ratio else { return "inf" }
    return String(format: ratio < 9.9995 ? "%.3f" : ratio < 99.995 ? "%.2f" : "%.0f", ratio)
  }

  /// A token in quotes, safe for a terminal and not wider than its column.
  private static func visible(_ token: String) -> String {
    let name = TerminalText.name(token)
    let room = tokenWidth - 3
    guard name.count > room else { return "'\(name)'" }
    return "'\(name.prefix(room - 1))…'"
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  private static func right(_ text: String) -> String {
    String(repeating: " ", count: max(1, cellWidth - text.count)) + text
  }
}
