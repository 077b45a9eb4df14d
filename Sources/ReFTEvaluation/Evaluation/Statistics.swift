// SPDX-License-Identifier: Apache-2.0
// Means and how far they can be trusted.

import Foundation
import ReFTTensor

/// Standard errors over rows.
enum Statistics {
  /// The mean, and the standard deviation of the rows over √n; no error for a single row.
  static func mean(_ values: [Double]) -> (value: Double, standardError: Double?) {
    let count = Double(values.count)
    let mean = values.reduce(0, +) / max(1, count)
    guard values.count > 1 else { return (mean, nil) }
    let squares = values.reduce(0.0) { $0 + ($1 - mean) * ($1 - mean) }
    return (mean, (squares / (count - 1) / count).squareRoot())
  }

  /// Σ x / Σ w, and its error by the delta method: rows are drawn, and each brings its own weight.
  static func ratio(
    _ values: [Double],
    over weights: [Double]
  ) -> (value: Double, standardError: Double?) {
    let (sum, weight) = (values.reduce(0, +), weights.reduce(0, +))
    let ratio = sum / weight
    let count = Double(values.count)
    guard values.count > 1 else { return (ratio, nil) }
    let residuals = zip(values, weights).map { $0 - ratio * $1 }
    let squares = residuals.reduce(0.0) { $0 + $1 * $1 }
    return (ratio, (squares * count / (count - 1)).squareRoot() / weight)
  }

  /// How often the rows are drawn anew.
  private static let draws = 200

  /// The standard deviation of a measure over rows that are drawn with replacement, always the same
  /// ones.
  ///
  /// - Parameters:
  ///   - count: how many rows there are.
  ///   - measure: the measure of some rows; nil where they do not define it.
  /// - Returns: the deviation; nil for a single row.
  static func bootstrap(_ count: Int, _ measure: ([Int]) -> Double?) -> Double? {
    guard count > 1 else { return nil }
    var values: [Double] = []
    for draw in 0..<draws {
      let random = CounterRandom(key: 1234, step: UInt64(draw))
      let rows = (0..<count).map {
        Int(random.integer(below: UInt64(count), offset: UInt64($0)))
      }
      if let value = measure(rows) { values.append(value) }
    }
    guard values.count > 1, let error = mean(values).standardError else { return nil }
    return error * Double(values.count).squareRoot()
  }
}
