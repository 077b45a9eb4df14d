// SPDX-License-Identifier: Apache-2.0
// Numbers over layers and strengths as coloured cells, an SVG. Colours are laid thinly over the
// page's own ground, so that they hold in light and in dark.

import Foundation

/// A table of coloured cells.
struct HeatMap {
  /// A cell.
  struct Cell {
    var value: Double
    /// What stands in it.
    var text: String
    /// Whether it has a frame.
    var isMarked = false
  }

  let title: String
  let rows: [String]
  let columns: [String]
  /// For each row its cells; nil where nothing was measured.
  let cells: [[Cell?]]
  /// The colour of values above zero, and of those below.
  let colors: (above: String, below: String)

  private static let label = 52.0
  private static let height = 24.0
  private static let head = 26.0

  /// The map with its heading.
  func svg() -> String {
    let width = 720.0
    let cellWidth = (width - Self.label) / Double(max(1, columns.count))
    let whole = Self.head + Self.height * Double(rows.count) + 2
    var parts: [String] = []
    for (column, name) in columns.enumerated() {
      let x = Self.label + (Double(column) + 0.5) * cellWidth
      parts.append(Self.text(name, x, Self.head / 2))
    }
    let largest = cells.joined().compactMap { $0?.value.magnitude }.filter(\.isFinite).max() ?? 0
    for (row, name) in rows.enumerated() {
      let y = Self.head + Double(row) * Self.height
      parts.append(Self.text(name, Self.label / 2, y + Self.height / 2))
      for (column, cell) in cells[row].enumerated() {
        guard let cell else { continue }
        let x = Self.label + Double(column) * cellWidth
        parts.append(self.cell(cell, x, y, cellWidth, largest: largest))
      }
    }
    return """
      <h2>\(title)</h2>
      <svg viewBox="0 0 \(Self.number(width)) \(Self.number(whole))" role="img" \
      aria-label="\(title)">\(parts.joined())</svg>
      """
  }

  private func cell(
    _ cell: Cell,
    _ x: Double,
    _ y: Double,
    _ width: Double,
    largest: Double
  ) -> String {
    let part = largest > 0 && cell.value.isFinite ? cell.value.magnitude / largest : 0
    let color = cell.value < 0 ? colors.below : colors.above
    let frame = cell.isMarked ? "stroke=\"currentColor\" stroke-width=\"2\"" : "stroke=\"none\""
    return """
      <rect x="\(Self.number(x + 1))" y="\(Self.number(y + 1))" width="\(Self.number(width - 2))" \
      height="\(Self.number(Self.height - 2))" fill="\(color)" \
      fill-opacity="\(String(format: "%.3f", 0.75 * part))" \(frame)/>
      """ + Self.text(cell.text, x + width / 2, y + Self.height / 2)
  }

  private static func text(_ text: String, _ x: Double, _ y: Double) -> String {
    "<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"middle\" "
      + "dominant-baseline=\"central\" fill=\"currentColor\">\(text)</text>"
  }

  private static func number(_ value: Double) -> String { String(format: "%.1f", value) }
}
