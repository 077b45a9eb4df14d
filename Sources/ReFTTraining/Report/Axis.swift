// SPDX-License-Identifier: Apache-2.0
// Where the ticks of a chart's axis are, and what stands beside them.

import Foundation

/// An axis with ticks at round numbers: multiples of 1, 2 or 5 times a power of ten.
package struct Axis: Equatable {
  /// The values at the ends of the axis.
  package let lower: Double
  package let upper: Double
  /// The values of the ticks, ascending.
  package let ticks: [Double]
  /// What stands beside each tick.
  package let labels: [String]

  /// Lays an axis out; nil where there is no value.
  ///
  /// - Parameters:
  ///   - values: what it has to show; values that are not finite are passed over.
  ///   - most: the most steps between ticks.
  ///   - isWhole: whether only whole numbers make sense, as for steps of a run.
  ///   - endsAtTicks: whether the axis goes on to the next tick at both ends.
  package init?(_ values: [Double], most: Int = 5, isWhole: Bool = false, endsAtTicks: Bool = true)
  {
    // Far beyond what a run measures; differences stay finite.
    let shown = values.filter { $0.magnitude < 1e300 }
    guard var low = shown.min(), var high = shown.max() else { return nil }
    if low == high {
      let room = isWhole ? 1 : low == 0 ? 1 : low.magnitude * 0.1
      (low, high) = (low - room, high + room)
    }
    let wish = (high - low) / Double(max(1, most))
    var power = Int(log10(wish).rounded(.down))
    var factor = [1.0, 2, 5, 10].first { $0 * pow(10, Double(power)) >= wish * (1 - 1e-9) } ?? 10
    if factor == 10 { (factor, power) = (1, power + 1) }
    if isWhole, power < 0 { (factor, power) = (1, 0) }
    // A division by a power of ten rounds better than a product with its inverse.
    let step = power < 0 ? factor / pow(10, Double(-power)) : factor * pow(10, Double(power))
    let (first, last) = (low / step, high / step)
    let tolerance = 1e-9
    let numbers =
      endsAtTicks
      ? Int((first + tolerance).rounded(.down))...Int((last - tolerance).rounded(.up))
      : Int(
        (first - tolerance).rounded(.up)
      )...max(
        Int((first - tolerance).rounded(.up)),
        Int((last + tolerance).rounded(.down))
      )
    ticks = numbers.map { number in
      power < 0 ? Double(number) * factor / pow(10, Double(-power)) : Double(number) * step
    }
    lower = endsAtTicks ? ticks[0] : low
    upper = endsAtTicks ? ticks[ticks.count - 1] : max(high, ticks[ticks.count - 1])
    labels = Self.labels(ticks, power: power, isWhole: isWhole)
  }

  /// Numbers with as many decimals as the step between them has; very small and very large ones with
  /// a power of ten.
  private static func labels(_ ticks: [Double], power: Int, isWhole: Bool) -> [String] {
    let largest = ticks.map(\.magnitude).max() ?? 0
    guard largest > 0, !isWhole, largest < 1e-3 || largest >= 1e6 else {
      return ticks.map { String(format: "%.\(max(0, -power))f", $0) }
    }
    let exponent = Int((log10(largest) + 1e-9).rounded(.down))
    let decimals = max(0, exponent - power)
    return ticks.map { tick in
      let part = tick / pow(10, Double(exponent))
      return tick == 0 ? "0" : String(format: "%.\(decimals)fe%d", part, exponent)
    }
  }
}
