// SPDX-License-Identifier: Apache-2.0
// The normalisation of each query and key head before the rotation.

import CReFTKernels
import ReFTTensor

struct HeadNormStep: Step {
  let block: Int
  let heads: Int
  let keyValueHeads: Int
  let queryNorm: NormWeights
  let keyNorm: NormWeights
  let inTail = false
  var kind: WorkKind { .normalisation }

  private var headSize: Int { queryNorm.size }
  private var width: Int { (heads + keyValueHeads) * headSize }

  /// The heads before they are normed, [T, width].
  private func bare(_ pass: Pass) -> UnsafeMutablePointer<Float>? {
    pass.keeps(block) ? pass.block(block).bareHeads.floats(pass.layout.rowCount * width) : nil
  }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let (rows, bare, stride) = (pass.queryKeyValue(block), bare(pass), pass.headsWidth)
    let (size, width, heads, others) = (headSize, width, heads, keyValueHeads)
    let (queryWeight, keyWeight) = (queryNorm.weight.base, keyNorm.weight.base)
    let (queryEpsilon, keyEpsilon) = (queryNorm.epsilon, keyNorm.epsilon)
    return chained(pending) { row in
      let query = rows + row * stride
      let key = query + heads * size
      if let bare { (bare + row * width).update(from: query, count: width) }
      reft_rmsnorm_f32(heads, size, query, size, queryWeight, queryEpsilon, query, size)
      reft_rmsnorm_f32(others, size, key, size, keyWeight, keyEpsilon, key, size)
    }
  }

  func backward(_ pass: Pass) {
    guard let bare = bare(pass) else { return }
    let (gradients, stride) = (pass.headGradients(), pass.headsWidth)
    let (size, width) = (headSize, width)
    let norms = [(queryNorm, 0..<heads), (keyNorm, heads..<heads + keyValueHeads)]
    pass.rows(pass.layout.rowCount) { row in
      let normed = ThreadScratch.floats(width, .headGradients)
      let gradient = gradients + row * stride
      normed.update(from: gradient, count: width)
      gradient.update(repeating: 0, count: width)
      for (norm, range) in norms {
        let at = range.lowerBound * size
        reft_rmsnorm_backward_f32(
          range.count,
          size,
          bare + row * width + at,
          size,
          norm.weight.base,
          norm.epsilon,
          normed + at,
          size,
          gradient + at,
          size
        )
      }
    }
    pass.clock?.lap(kind)
  }
}
