// SPDX-License-Identifier: Apache-2.0
// Text, numbers and tables as HTML.

import Foundation

/// Pieces of a page.
package enum HTML {
  /// Text that means itself.
  package static func text(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\"", with: "&quot;")
  }

  /// A table that scrolls by itself where it is too wide, without columns that have a head alone.
  ///
  /// - Parameters:
  ///   - head: the cells of the first row, as HTML.
  ///   - rows: the others.
  ///   - kind: a class of the style sheet.
  /// - Returns: the table.
  static func table(head: [String], rows: [[String]], kind: String = "") -> String {
    let isBare = { (place: Int) in
      !head[place].isEmpty && rows.allSatisfy { $0.count > place && $0[place].isEmpty }
    }
    let bare = Set(rows.isEmpty ? [] : head.indices.filter(isBare))
    func line(_ cells: [String], _ tag: String) -> String {
      let shown = cells.indices.filter { !bare.contains($0) }
      return "<tr>" + shown.map { "<\(tag)>\(cells[$0])</\(tag)>" }.joined() + "</tr>"
    }
    let first = head.isEmpty ? "" : "<thead>\(line(head, "th"))</thead>"
    let body = rows.map { line($0, "td") }
    return "<div class=\"wide\"><table class=\"\(kind)\">\(first)<tbody>\(body.joined())</tbody>"
      + "</table></div>"
  }

  /// A part of the page; nothing where it has no content.
  static func section(_ title: String, note: String = "", _ content: String) -> String {
    guard !content.isEmpty else { return "" }
    let remark = note.isEmpty ? "" : "<p class=\"note\">\(text(note))</p>"
    return "<section><h2>\(text(title))</h2>\(remark)\(content)</section>\n"
  }

  /// A number with four significant digits, or all of those before the point.
  static func number(_ value: Double) -> String {
    guard value.isFinite else { return "–" }
    let text = String(format: (1e3..<1e15).contains(value.magnitude) ? "%.0f" : "%#.4g", value)
    return text.hasSuffix(".") ? String(text.dropLast()) : text
  }

  /// A whole number in groups of three.
  static func count(_ value: Int) -> String {
    let digits = String(value.magnitude)
    var groups: [Substring] = []
    var rest = digits[...]
    while !rest.isEmpty {
      groups.insert(rest.suffix(3), at: 0)
      rest = rest.dropLast(3)
    }
    return (value < 0 ? "−" : "") + groups.joined(separator: "&#8239;")
  }

  /// "97.6 MB".
  static func bytes(_ value: Int) -> String {
    value >= 1_000_000_000
      ? String(format: "%.2f GB", Double(value) / 1e9)
      : String(format: "%.1f MB", Double(value) / 1e6)
  }

  /// "2 min 05 s".
  static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "–" }
    if seconds < 60 { return String(format: "%.1f s", seconds) }
    let whole = Int(seconds.rounded())
    return whole < 3600
      ? "\(whole / 60) min \(String(format: "%02d", whole % 60)) s"
      : "\(whole / 3600) h \(String(format: "%02d", whole / 60 % 60)) min"
  }
}
