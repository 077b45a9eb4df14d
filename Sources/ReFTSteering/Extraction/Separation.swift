// SPDX-License-Identifier: Apache-2.0
// How well one number tells two classes apart.

/// How well projections on a direction tell the classes apart.
public struct Separation: Sendable, Codable, Equatable {
  /// The chance that a positive text lies higher than a negative one; ties count half.
  public var auroc: Double
  /// The part of the texts on their side of the threshold.
  public var accuracy: Double

  /// Compares numbers of two classes.
  ///
  /// - Parameters:
  ///   - positives: those that should be high; at least one.
  ///   - negatives: those that should be low; at least one.
  ///   - threshold: what lies between them.
  init(positives: [Double], negatives: [Double], threshold: Double) {
    // The sum of ranks of the positives (Mann and Whitney 1947); equal numbers share the mean rank.
    let all =
      (positives.map { ($0, true) } + negatives.map { ($0, false) }).sorted { $0.0 < $1.0 }
    var rankSum = 0.0
    var start = 0
    while start < all.count {
      var end = start
      while end < all.count, all[end].0 == all[start].0 { end += 1 }
      let rank = Double(start + end + 1) / 2
      rankSum += rank * Double(all[start..<end].count { $0.1 })
      start = end
    }
    let (p, n) = (Double(positives.count), Double(negatives.count))
    auroc = (rankSum - p * (p + 1) / 2) / (p * n)
    let right = positives.count { $0 > threshold } + negatives.count { $0 <= threshold }
    accuracy = Double(right) / (p + n)
  }
}
