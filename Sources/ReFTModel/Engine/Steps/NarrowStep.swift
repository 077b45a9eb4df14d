// SPDX-License-Identifier: Apache-2.0
// From all rows to those of the tail: behind its attention the last block computes only these.

import ReFTTensor

struct NarrowStep: Step {
  let block: Int
  let inTail = true
  var kind: WorkKind { .rest }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    guard let tail = pass.tail else { return pending }
    let (d, width) = (pass.shape.hiddenSize, pass.shape.queryWidth)
    let (input, mixed) = (pass.stream(block), pass.mixed(inTail: false))
    let stream = pass.memory.tailStream.floats(tail.rows.count * d)
    let compact = pass.mixed(inTail: true)
    for (place, row) in tail.rows.enumerated() {
      (stream + place * d).update(from: input + Int(row) * d, count: d)
      (compact + place * width).update(from: mixed + Int(row) * width, count: width)
    }
    return nil
  }

  /// Spreads gradients of the tail's rows over all rows, zero elsewhere.
  func backward(_ pass: Pass) {
    guard let tail = pass.tail else { return }
    let (d, width) = (pass.shape.hiddenSize, pass.shape.queryWidth)
    let count = pass.layout.rowCount
    let compact = pass.memory.tailStream.floats(tail.rows.count * d)
    compact.update(from: pass.gradient(inTail: true), count: tail.rows.count * d)
    let gradient = pass.gradient(inTail: false)
    gradient.update(repeating: 0, count: count * d)
    let (full, mixed) = (pass.mixed(inTail: false), pass.mixed(inTail: true))
    full.update(repeating: 0, count: count * width)
    for (place, row) in tail.rows.enumerated() {
      (gradient + Int(row) * d).update(from: compact + place * d, count: d)
      (full + Int(row) * width).update(from: mixed + place * width, count: width)
    }
  }
}
