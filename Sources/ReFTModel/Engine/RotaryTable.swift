// SPDX-License-Identifier: Apache-2.0
// Cosines and sines of the rotary position embedding (Su et al., arXiv 2104.09864).

import Foundation
import ReFTTensor
import Synchronization

/// For each position a row of headSize floats: cos, sin of each pair; grows on demand.
final class RotaryTable: Sendable {
  private let frequencies: [Double]
  private let headSize: Int
  private let table = Mutex<FloatBuffer>(FloatBuffer(count: 0))

  init(configuration: ModelConfiguration, factors: FloatBuffer?) {
    headSize = configuration.headSize
    frequencies = (0..<headSize / 2).map { pair in
      let exponent = -2 * Double(pair) / Double(configuration.headSize)
      let factor = factors.map { Double($0[pair]) } ?? 1
      // As the reference does, frequencies are rounded to float32 before the product.
      let frequency = Float(pow(configuration.ropeBase, exponent) / factor)
      return Double(frequency) / configuration.ropeScale
    }
  }

  /// Rows for positions 0 up to `positions`, valid as long as the buffer is held.
  func rows(positions: Int) -> FloatBuffer {
    table.withLock { current in
      if current.count >= positions * headSize { return current }
      let count = max(positions, 256, current.count / headSize * 2)
      let grown = FloatBuffer(count: count * headSize)
      for position in 0..<count {
        for (pair, frequency) in frequencies.enumerated() {
          let angle = Float(Double(position) * frequency)
          grown[position * headSize + 2 * pair] = cos(angle)
          grown[position * headSize + 2 * pair + 1] = sin(angle)
        }
      }
      current = grown
      return grown
    }
  }
}
