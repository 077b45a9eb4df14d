// SPDX-License-Identifier: Apache-2.0
// The normalisation of queries and keys before the rotation: of each head, or of all as one row.

import CReFTKernels
import ReFTTensor

struct HeadNormStep: Step {
  let block: Int
  /// Numbers of all queries, and of all keys.
  let widths: (queries: Int, keys: Int)
  let queryNorm: NormWeights
  let keyNorm: NormWeights
  let inTail = false
  var kind: WorkKind { .normalisation }

  private var width: Int { widths.queries + widths.keys }

  /// The heads before they are normed, [T, width].
  private func bare(_ pass: Pass) -> UnsafeMutablePointer<Float>? {
    pass.keeps(block) ? pass.block(block).bareHeads.floats(pass.layout.rowCount * width) : nil
  }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let (rows, bare, stride) = (pass.queryKeyValue(block), bare(pass), pass.headsWidth)
    let (width, widths) = (width, widths)
    let (queryNorm, keyNorm) = (queryNorm.rows, keyNorm.rows)
    return chained(pending) { row in
      let query = rows + row * stride
      let key = query + widths.queries
      if let bare { (bare + row * width).update(from: query, count: width) }
      queryNorm.apply(query, query, count: widths.queries / queryNorm.size)
      keyNorm.apply(key, key, count: widths.keys / keyNorm.size)
    }
  }

  func backward(_ pass: Pass) {
    guard let bare = bare(pass) else { return }
    let (gradients, stride) = (pass.headGradients(), pass.headsWidth)
    let (width, widths) = (width, widths)
    let (queryNorm, keyNorm) = (queryNorm.rows, keyNorm.rows)
    pass.rows(pass.layout.rowCount) { row in
      let normed = ThreadScratch.floats(width, .headGradients)
      let (gradient, x) = (gradients + row * stride, bare + row * width)
      normed.update(from: gradient, count: width)
      gradient.update(repeating: 0, count: width)
      let count = widths.queries / queryNorm.size
      queryNorm.addGradient(of: x, normed, to: gradient, count: count)
      let at = widths.queries
      let others = widths.keys / keyNorm.size
      keyNorm.addGradient(of: x + at, normed + at, to: gradient + at, count: others)
    }
    pass.clock?.lap(kind)
  }
}
