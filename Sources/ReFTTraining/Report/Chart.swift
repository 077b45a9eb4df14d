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
  private static let margin = (left: 76.0, right: 20.0, top: 14.0, bottom: 30.0)
  private static let mostPoints = 700

  /// The chart with its heading; nothing where there are no points.
  func svg() -> String {
    let drawn = series.filter { !$0.points.isEmpty }
    let all = drawn.flatMap(\.points)
    guard let x = Axis(all.map(\.0), most: 8, isWhole: true, endsAtTicks: false),
      let y = Axis(all.map(\.1))
    else { return "" }
    let (left, right) = (Self.margin.left, Self.size.width - Self.margin.right)
    let (top, bottom) = (Self.margin.top, Self.size.height - Self.margin.bottom)
    let place = { (point: (Double, Double)) -> (Double, Double) in
      (
        left + (point.0 - x.lower) / (x.upper - x.lower) * (right - left),
        bottom - (point.1 - y.lower) / (y.upper - y.lower) * (bottom - top)
      )
    }
    var parts: [String] = []
    for (value, text) in zip(y.ticks, y.labels) {
      let height = Self.coordinate(place((x.lower, value)).1)
      parts.append(
        Self.line(from: (Self.coordinate(left), height), to: (Self.coordinate(right), height))
          + Self.label(text, left - 8, height, anchor: "end")
      )
    }
    parts.append(Self.label("step", left - 8, Self.coordinate(bottom + 17), anchor: "end"))
    for (value, text) in zip(x.ticks, x.labels) {
      let across = place((value, y.lower)).0
      let foot = Self.coordinate(across)
      parts.append(
        Self.line(from: (foot, Self.coordinate(bottom)), to: (foot, Self.coordinate(bottom + 4)))
          + Self.label(text, across, Self.coordinate(bottom + 17), anchor: "middle")
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

  private static func line(from start: (String, String), to end: (String, String)) -> String {
    "<line x1=\"\(start.0)\" y1=\"\(start.1)\" x2=\"\(end.0)\" y2=\"\(end.1)\" "
      + "stroke=\"currentColor\" opacity=\".2\"/>"
  }

  private static func label(_ text: String, _ x: Double, _ y: String, anchor: String) -> String {
    "<text x=\"\(coordinate(x))\" y=\"\(y)\" text-anchor=\"\(anchor)\" "
      + "dominant-baseline=\"middle\" fill=\"currentColor\">\(text)</text>"
  }
}
