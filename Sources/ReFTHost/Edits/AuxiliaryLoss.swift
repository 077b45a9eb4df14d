// SPDX-License-Identifier: Apache-2.0
// The losses that plugins add themselves, over the edits of one session.

import ReFTTensor

/// The sum of auxiliary losses, each times the weight of its intervention.
final class AuxiliaryLoss {
  /// d (whole loss) / d sum, which the backward calls take.
  let scale: Double
  /// Weight times loss, over all rows edited so far.
  private(set) var sum = 0.0

  init(scale: Double) { self.scale = scale }

  /// Runs a forward call that may add to a sum of its own, which is then taken over.
  func count(
    weight: Double,
    _ body: (UnsafeMutablePointer<Double>) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    var own = 0.0
    try withUnsafeMutablePointer(to: &own) { place throws(ReFTError) in try body(place) }
    sum += weight * own
  }
}
