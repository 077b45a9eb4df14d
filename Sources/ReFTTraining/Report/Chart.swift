// SPDX-License-Identifier: Apache-2.0
// A line chart as SVG.

import Foundation

/// Some lines over common axes.
struct Chart {
  struct Series {
    var name: String
    /// A colour of the style sheet.
    var color: String
    var points: [(Double, Double)]
    var hasDots = false
    /// Whether a running mean is drawn over the points.
    var isSmoothed = false
  }

  let title: String
  let series: [Series]
  /// Whether names stand above the chart; not where the page has told the colours already.
  var hasLegend = true

  private static let size = (width: 560.0, height: 240.0)
  private static let margin = (left: 62.0, right: 14.0, top: 10.0, bottom: 30.0)
  private static let mostPoints = 500
  /// From so many points on, a running mean tells more than they do.
  private static let leastForMean = 60

  /// Where the axes lie, and where points come to lie between them.
  private struct Frame {
    let x: Axis
    let y: Axis
    let left = margin.left
    let right = size.width - margin.right
    let top = margin.top
    let bottom = size.height - margin.bottom

    func across(_ value: Double) -> Double {
      left + (value - x.lower) / (x.upper - x.lower) * (right - left)
    }
    func height(_ value: Double) -> Double {
      bottom - (value - y.lower) / (y.upper - y.lower) * (bottom - top)
    }
  }

  /// The chart with its heading; nothing where there are no points.
  func svg() -> String {
    let drawn = series.filter { !$0.points.isEmpty }
    let all = drawn.flatMap(\.points)
    guard let x = Axis(all.map(\.0), most: 7, isWhole: true, endsAtTicks: false),
      let y = Axis(all.map(\.1))
    else { return "" }
    let frame = Frame(x: x, y: y)
    let lines = drawn.map { self.lines($0, frame) }.joined()
    let legend = drawn.map {
      "<span><i class=\"mark\" style=\"background:\($0.color)\"></i>\(HTML.text($0.name))</span>"
    }
    let names = hasLegend ? "<div class=\"legend\">\(legend.joined())</div>" : ""
    return """
      <figure><h3>\(HTML.text(title))</h3>\(names)\
      <svg viewBox="0 0 \(Int(Self.size.width)) \(Int(Self.size.height))" role="img" \
      aria-label="\(HTML.text(title))">\(Self.axes(frame))\(lines)</svg></figure>

      """
  }

  private static func axes(_ frame: Frame) -> String {
    var parts: [String] = []
    for (value, text) in zip(frame.y.ticks, frame.y.labels) {
      let height = frame.height(value)
      parts.append(line(from: (frame.left, height), to: (frame.right, height)))
      parts.append(label(text, frame.left - 8, height, anchor: "end"))
    }
    parts.append(label("step", frame.left - 20, frame.bottom + 18, anchor: "end"))
    for (value, text) in zip(frame.x.ticks, frame.x.labels) {
      let foot = frame.across(value)
      parts.append(line(from: (foot, frame.bottom), to: (foot, frame.bottom + 5)))
      parts.append(label(text, foot, frame.bottom + 18, anchor: "middle"))
    }
    return parts.joined()
  }

  private func lines(_ series: Series, _ frame: Frame) -> String {
    let isMean = series.isSmoothed && series.points.count >= Self.leastForMean
    let color = "stroke=\"\(series.color)\""
    var parts = [Self.path(series.points, frame, isMean ? color + " class=\"raw\"" : color)]
    if isMean { parts.append(Self.path(Self.runningMean(series.points), frame, color)) }
    if series.hasDots || series.points.count == 1 {
      parts += Self.thinned(series.points).map { point in
        let place = (Self.coordinate(frame.across(point.0)), Self.coordinate(frame.height(point.1)))
        return "<circle cx=\"\(place.0)\" cy=\"\(place.1)\" r=\"3\" fill=\"\(series.color)\"/>"
      }
    }
    return parts.joined()
  }

  private static func path(
    _ points: [(Double, Double)],
    _ frame: Frame,
    _ attributes: String
  ) -> String {
    let places = thinned(points).map {
      "\(coordinate(frame.across($0.0))),\(coordinate(frame.height($0.1)))"
    }
    return "<polyline \(attributes) points=\"\(places.joined(separator: " "))\"/>"
  }

  /// The mean of each point and its neighbours, a thirtieth of the line together.
  private static func runningMean(_ points: [(Double, Double)]) -> [(Double, Double)] {
    let reach = max(2, points.count / 60)
    var sums = [0.0]
    for point in points { sums.append((sums.last ?? 0) + point.1) }
    return points.indices.map { index in
      let (low, high) = (max(0, index - reach), min(points.count, index + reach + 1))
      return (points[index].0, (sums[high] - sums[low]) / Double(high - low))
    }
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

  private static func line(from start: (Double, Double), to end: (Double, Double)) -> String {
    "<line x1=\"\(coordinate(start.0))\" y1=\"\(coordinate(start.1))\" "
      + "x2=\"\(coordinate(end.0))\" y2=\"\(coordinate(end.1))\"/>"
  }

  private static func label(_ text: String, _ x: Double, _ y: Double, anchor: String) -> String {
    "<text x=\"\(coordinate(x))\" y=\"\(coordinate(y))\" text-anchor=\"\(anchor)\" "
      + "dominant-baseline=\"middle\">\(text)</text>"
  }
}
