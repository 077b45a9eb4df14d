// SPDX-License-Identifier: Apache-2.0
// The rotation of queries and keys by their position; its way back turns the other way.

import CReFTKernels
import ReFTTensor

struct RotationStep: Step {
  let block: Int
  let heads: Int
  let headSize: Int
  let table: RotaryTable
  let inTail = false
  var kind: WorkKind { .rotation }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    chained(pending, rotation(pass, pass.queryKeyValue(block), sign: 1))
  }

  func backward(_ pass: Pass) {
    pass.rows(pass.layout.rowCount, rotation(pass, pass.headGradients(), sign: -1))
    pass.clock?.lap(kind)
  }

  private func rotation(
    _ pass: Pass,
    _ rows: UnsafeMutablePointer<Float>,
    sign: Float
  ) -> RowWork {
    let (positions, stride) = (pass.layout.positions, pass.headsWidth)
    let (heads, headSize, width) = (heads, headSize, table.width)
    // The table is the closure's own: another pass may replace the model's by a longer one.
    let angles = table.rows(positions: pass.layout.longestPosition + 1)
    let rotate = table.pairs == .halves ? reft_rope_halves_f32 : reft_rope_f32
    // Whole heads are neighbours, and turned at once.
    let (count, size) = width == headSize ? (heads, 1) : (1, heads)
    return { row in
      let place = angles.base + Int(positions[row]) * width
      for head in 0..<size {
        rotate(count, width, place, sign, rows + row * stride + head * headSize)
      }
    }
  }
}
