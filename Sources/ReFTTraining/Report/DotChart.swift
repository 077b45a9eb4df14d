// SPDX-License-Identifier: Apache-2.0
// Values with their intervals, one under the other on a common axis.

import Foundation

/// A value with what it may as well have been.
package struct Interval: Sendable, Equatable {
  package var value: Double
  package var lower: Double?
  package var upper: Double?

  /// A value alone, or with what lies around it.
  package init(_ value: Double, around half: Double? = nil) {
    self.value = value
    (lower, upper) = (half.map { value - $0 }, half.map { value + $0 })
  }

  /// A part of a number of texts, with Wilson's interval (1927) of 95 %.
  package init(part: Double, of count: Int) {
    value = part
    guard count > 0, (0...1).contains(part) else { return }
    let (n, z) = (Double(count), 1.959_963_984_540_054)
    let middle = (part + z * z / (2 * n)) / (1 + z * z / n)
    let half =
      z / (1 + z * z / n) * (part * (1 - part) / n + z * z / (4 * n * n)).squareRoot()
    (lower, upper) = (middle - half, middle + half)
  }
}

/// Dots and whiskers.
struct DotChart {
  struct Row {
    var name: String
    var color: String
    var interval: Interval
  }

  let title: String
  let rows: [Row]

  /// The chart with its heading; nothing without rows.
  func html() -> String {
    let values = rows.flatMap { [$0.interval.value, $0.interval.lower, $0.interval.upper] }
    guard let axis = Axis(values.compactMap(\.self), most: 4) else { return "" }
    let place = { (value: Double) in
      String(format: "%.2f%%", 100 * (value - axis.lower) / (axis.upper - axis.lower))
    }
    let lines = rows.map { row -> String in
      let value = row.interval
      var marks = ""
      if let low = value.lower, let high = value.upper {
        let width = String(format: "%.2f%%", 100 * (high - low) / (axis.upper - axis.lower))
        marks = "<i style=\"left:\(place(low));width:\(width);background:\(row.color)\"></i>"
      }
      marks += "<b style=\"left:\(place(value.value));background:\(row.color)\"></b>"
      return "<div class=\"name\">\(HTML.text(row.name))</div>"
        + "<div class=\"value\">\(Self.text(value))</div><div class=\"track\">\(marks)</div>"
    }
    let ticks = zip(axis.ticks, axis.labels).map {
      "<span style=\"left:\(place($0))\">\($1)</span>"
    }
    return "<figure><h3>\(HTML.text(title))</h3><div class=\"dots\">\(lines.joined())"
      + "<div class=\"ticks\">\(ticks.joined())</div></div></figure>\n"
  }

  private static func text(_ value: Interval) -> String {
    guard let low = value.lower, let high = value.upper else { return HTML.number(value.value) }
    return HTML.number(value.value)
      + " <span class=\"soft\">[\(HTML.number(low)), \(HTML.number(high))]</span>"
  }
}
