// SPDX-License-Identifier: Apache-2.0
// Cosines and sines of the rotary position embedding (Su et al., arXiv 2104.09864).

import Foundation
package import ReFTTensor
import Synchronization

/// For each position a row of `width` floats: cos, sin of each pair; grows on demand.
package final class RotaryTable: Sendable {
  /// Which numbers of a head are a pair.
  package let pairs: ModelPlan.Rotation.Pairs
  private let frequencies: [Double]
  /// How many numbers of a head turn.
  package let width: Int
  private let table = Mutex<FloatBuffer>(FloatBuffer(count: 0))

  init(_ rotation: ModelPlan.Rotation, factors: [Float]?) {
    pairs = rotation.pairs
    width = rotation.turned
    frequencies = (0..<rotation.turned / 2).map { pair in
      let exponent = -2 * Double(pair) / Double(rotation.width)
      let factor = factors.map { Double($0[pair]) } ?? 1
      // As the reference does, frequencies are rounded to float32 before the product.
      let frequency = Double(Float(pow(rotation.base, exponent) / factor))
      return Self.scaled(frequency, by: rotation.scaling)
    }
  }

  private static func scaled(
    _ frequency: Double,
    by scaling: ModelPlan.Rotation.Scaling
  ) -> Double {
    switch scaling {
    case .none, .factors: return frequency
    case .linear(let factor): return frequency / factor
    case .llama3(let factor, let low, let high, let original):
      // Turns within the original context: fewer than `low` are scaled, more than `high` are not.
      let turns = original * frequency / (2 * Double.pi)
      if turns < low { return frequency / factor }
      if turns > high { return frequency }
      let share = (turns - low) / (high - low)
      return (1 - share) * frequency / factor + share * frequency
    }
  }

  /// Rows for positions 0 up to `positions`, valid as long as the buffer is held.
  package func rows(positions: Int) -> FloatBuffer {
    table.withLock { current in
      if current.count >= positions * width { return current }
      let count = max(positions, 256, current.count / width * 2)
      let grown = FloatBuffer(count: count * width)
      for position in 0..<count {
        for (pair, frequency) in frequencies.enumerated() {
          let angle = Float(Double(position) * frequency)
          grown[position * width + 2 * pair] = cos(angle)
          grown[position * width + 2 * pair + 1] = sin(angle)
        }
      }
      current = grown
      return grown
    }
  }
}
