// SPDX-License-Identifier: Apache-2.0
// The rotation of heads against the processor's kernels.

import CReFTKernels
import ReFTCUDA
import Testing
import _ReFTTestSupport

struct RotationKernelTests {
  /// Heads of a size, of which the first numbers turn.
  struct Case: Sendable {
    let size: Int
    let width: Int
    let halves: Bool
  }

  @Test(
    "turns heads by their position and back",
    arguments: Activations.allCases,
    [
      Case(size: 16, width: 16, halves: true), Case(size: 20, width: 20, halves: true),
      Case(size: 32, width: 16, halves: true), Case(size: 20, width: 12, halves: false),
      Case(size: 8, width: 8, halves: false),
    ]
  )
  func turns(_ activations: Activations, _ test: Case) throws {
    let kernels = try EmulatedKernels(.rotary, activations)
    let (rows, heads, offset, positions) = (5, 3, 8, [7, 0, 3, 9, 9])
    let stride = heads * test.size + 40
    var random = SeededGenerator(seed: 1)
    let table = CardNumbers(random.normals(10 * test.width))
    let x = CardNumbers(random.normals(rows * stride), activations)
    let turn = test.halves ? reft_rope_halves_f32 : reft_rope_f32
    for sign: Float in [1, -1] {
      var expected = x.floats
      let angles = table.floats
      expected.withUnsafeMutableBufferPointer { numbers in
        guard let base = numbers.baseAddress else { return }
        for row in 0..<rows {
          for head in 0..<heads {
            let place = base + row * stride + offset + head * test.size
            let of = Array(angles[positions[row] * test.width..<(positions[row] + 1) * test.width])
            turn(1, test.width, of, sign, place)
          }
        }
      }
      try kernels.run(
        "rotate",
        .int(rows),
        .int(stride),
        .int(offset),
        .int(heads),
        .int(test.size),
        .int(test.width),
        .int(test.halves ? 1 : 0),
        .numbers(CardNumbers(integers: positions)),
        .numbers(table),
        .float(sign),
        .numbers(x)
      )
      expectClose(x.floats, expected, tolerance: 2e-6, relative: activations.rounding)
    }
  }
}
