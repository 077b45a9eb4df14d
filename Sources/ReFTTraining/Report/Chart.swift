// SPDX-License-Identifier: Apache-2.0
// A line chart as SVG.

import Foundation

/// Some lines over common axes.
struct Chart {
  struct Series {
    var name: String
    var color: String
    var points: [(Double, Double)]
    var hasDots = false
  }

  let title: String
  let series: [Series]

  private static let size = (width: 720.0, height: 220.0)
  private static let margin = (left: 60.0, right: 12.0, top: 12.0, bottom: 28.0)
  private static let mostPoints = 700

  /// The chart with its heading; nothing where there are no points.
  func svg() -> String {
    let drawn = series.filter { !$0.points.isEmpty }
    let all = drawn.flatMap(\.points)
    guard let x = Self.range(all.map(\.0)), let y = Self.range(all.map(\.1)) else { return "" }
    let (left, right) = (Self.margin.left, Self.size.width - Self.margin.right)
    let (top, bottom) = (Self.margin.top, Self.size.height - Self.margin.bottom)
    let place = { (point: (Double, Double)) -> (Double, Double) in
      (
        left + (point.0 - x.lowerBound) / (x.upperBound - x.lowerBound) * (right - left),
        bottom - (point.1 - y.lowerBound) / (y.upperBound - y.lowerBound) * (bottom - top)
      )
    }
    var parts: [String] = []
    for tick in 0...4 {
      let value = y.lowerBound + (y.upperBound - y.lowerBound) * Double(tick) / 4
      let height = Self.coordinate(place((x.lowerBound, value)).1)
      parts.append(
        "<line x1=\"\(left)\" x2=\"\(right)\" y1=\"\(height)\" y2=\"\(height)\" "
          + "stroke=\"currentColor\" opacity=\".15\"/>"
          + Self.label(RunReport.number(value), left - 6, height, anchor: "end")
      )
    }
    for (value, anchor) in [(x.lowerBound, "start"), (x.upperBound, "end")] {
      let text = RunReport.number(value)
      parts.append(
        Self.label(text, place((value, 0)).0, Self.coordinate(bottom + 16), anchor: anchor)
      )
    }
    for line in drawn {
      let points = Self.thinned(line.points).map(place)
      let path = points.map { "\(Self.coordinate($0)),\(Self.coordinate($1))" }
      parts.append(
        "<polyline fill=\"none\" stroke=\"\(line.color)\" stroke-width=\"1.5\" "
          + "points=\"\(path.joined(separator: " "))\"/>"
      )
      if line.hasDots || points.count == 1 {
        for point in points {
          parts.append(
            "<circle cx=\"\(Self.coordinate(point.0))\" cy=\"\(Self.coordinate(point.1))\" r=\"3\" "
              + "fill=\"\(line.color)\"/>"
          )
        }
      }
    }
    let legend = drawn.map { "<span style=\"color:\($0.color)\">■</span> \($0.name)" }
    return """
      <h2>\(title)</h2><div>\(legend.joined(separator: " &nbsp; "))</div>
      <svg viewBox="0 0 \(Self.size.width) \(Self.size.height)" role="img" \
      aria-label="\(title)">\(parts.joined())</svg>
      """
  }

  private static func range(_ values: [Double]) -> ClosedRange<Double>? {
    guard let low = values.min(), let high = values.max() else { return nil }
    return high > low ? low...high : low - 0.5...high + 0.5
  }

  /// Means of neighbours, when there are more points than can be seen.
  private static func thinned(_ points: [(Double, Double)]) -> [(Double, Double)] {
    let group = (points.count + mostPoints - 1) / mostPoints
    guard group > 1 else { return points }
    return stride(from: 0, to: points.count, by: group).map { start in
      let part = points[start..<min(start + group, points.count)]
      let count = Double(part.count)
      return (part.reduce(0) { $0 + $1.0 } / count, part.reduce(0) { $0 + $1.1 } / count)
    }
  }

  private static func coordinate(_ value: Double) -> String { String(format: "%.1f", value) }

  private static func label(_ text: String, _ x: Double, _ y: String, anchor: String) -> String {
    "<text x=\"\(coordinate(x))\" y=\"\(y)\" font-size=\"11\" text-anchor=\"\(anchor)\" "
      + "dominant-baseline=\"middle\" fill=\"currentColor\">\(text)</text>"
  }
}
