// SPDX-License-Identifier: Apache-2.0
// Memory for kernel tests: at a chosen misalignment, with guards around it that nobody may touch.

import ReFTTensor
import _ReFTTestSupport

/// Random floats at `offset` floats past a 64-byte boundary, between two guards.
final class KernelMemory {
  private static let guardCount = 16
  private static let guardValue: Float = -12345.5
  private let buffer: FloatBuffer
  private let count: Int
  let base: UnsafeMutablePointer<Float>

  init(_ count: Int, offset: Int, _ random: inout SeededGenerator, scale: Float = 1) {
    self.count = count
    buffer = FloatBuffer(count: count + offset + 2 * Self.guardCount)
    base = buffer.base + Self.guardCount + offset
    buffer.values.update(repeating: Self.guardValue)
    for index in 0..<count { base[index] = random.normal() * scale }
  }

  /// The numbers, then the guards: two kernels that agree agree here too.
  var contents: [Float] {
    Array(UnsafeBufferPointer(start: base, count: count)) + buffer.values.prefix(Self.guardCount)
      + buffer.values.suffix(Self.guardCount)
  }
}
