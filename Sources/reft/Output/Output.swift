// SPDX-License-Identifier: Apache-2.0
// What commands print: results on stdout, notes and progress on stderr.

import Foundation
import ReFTTensor

/// The two streams of a command.
enum Output {
  /// Prints a line of the result.
  static func line(_ text: String = "") {
    FileHandle.standardOutput.write(Data((text + "\n").utf8))
  }

  /// Prints a part of the result as it comes, without a line end.
  static func piece(_ text: String) {
    FileHandle.standardOutput.write(Data(text.utf8))
  }

  /// Tells the user something that is not part of the result.
  static func note(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
  }

  /// Asks for a line of input on the terminal.
  static func prompt(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }

  /// Tells something that only a person at a terminal wants to know.
  static func remark(_ text: String) {
    if isatty(STDERR_FILENO) == 1 { note(text) }
  }

  /// Prints the one JSON document of a command.
  static func json(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity",
      negativeInfinity: "-Infinity",
      nan: "NaN"
    )
    let data = try encoder.encode(value)
    FileHandle.standardOutput.write(data + Data("\n".utf8))
  }

  /// Prints rows in columns, two spaces between them.
  static func table(_ rows: [[String]]) {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in
      rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    for row in rows {
      let cells = row.enumerated().map { column, cell in
        cell
          + String(repeating: " ", count: column == row.count - 1 ? 0 : widths[column] - cell.count)
      }
      line(cells.joined(separator: "  "))
    }
  }
}

/// A value of a JSON document that may be null but never absent.
struct OrNull<Value: Encodable>: Encodable {
  private let value: Value?

  init(_ value: Value?) { self.value = value }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let value { try container.encode(value) } else { try container.encodeNil() }
  }
}

/// Numbers and durations as people read them.
enum Readable {
  /// "1,234,567".
  static func count(_ value: Int) -> String {
    let digits = Array(String(abs(value)))
    var text = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return value < 0 ? "-" + text : text
  }

  /// "97.6 MB".
  static func bytes(_ value: Int) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB"]
    var number = Double(value)
    var unit = 0
    while number >= 1000, unit < units.count - 1 {
      number /= 1000
      unit += 1
    }
    return unit == 0 ? "\(value) bytes" : "\(fixed(number, 1)) \(units[unit])"
  }

  /// "2m05s".
  static func duration(_ seconds: Double) -> String {
    let whole = Int(max(0, seconds).rounded())
    if whole < 60 { return "\(whole)s" }
    let (minutes, rest) = (whole / 60, whole % 60)
    if minutes < 60 { return "\(minutes)m" + pad(rest) + "s" }
    return "\(minutes / 60)h" + pad(minutes % 60) + "m"
  }

  /// "0.6 % of the time in plugin loreft", a line for each plugin.
  static func shares(_ shares: [String: Double]) -> [String] {
    shares.sorted { $0.key < $1.key }.map { name, share in
      "\(fixed(100 * share, 1)) % of the time in plugin \(name)"
    }
  }

  /// A number with a fixed number of decimals.
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    String(format: "%.\(decimals)f", value)
  }

  private static func pad(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
