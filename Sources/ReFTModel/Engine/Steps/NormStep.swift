// SPDX-License-Identifier: Apache-2.0
// The normalisation before a branch: normed = x / √(mean(x²) + ε) · w for each row x of the stream.

import CReFTKernels
import ReFTTensor

struct NormStep: Step {
  /// Which residual stream it reads.
  enum Source: Sendable {
    /// The block's input.
    case input
    /// That after the attention.
    case middle
  }

  let block: Int
  let source: Source
  let norm: NormWeights
  let inTail: Bool
  var kind: WorkKind { .normalisation }

  private func input(_ pass: Pass) -> UnsafeMutablePointer<Float> {
    switch source {
    case .input: pass.stream(block)
    case .middle: pass.middle(block, inTail: inTail)
    }
  }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    // Bound before the pieces: threads would fight over the reference counts of their owners.
    let (d, epsilon, weight) = (norm.size, norm.epsilon, norm.weight.base)
    let (input, normed) = (input(pass), pass.normed(inTail: inTail))
    return chained(pending) { row in
      reft_rmsnorm_f32(1, d, input + row * d, d, weight, epsilon, normed + row * d, d)
    }
  }

  /// gradient += d normed / d x.
  func backward(_ pass: Pass) {
    let (d, epsilon, weight) = (norm.size, norm.epsilon, norm.weight.base)
    let (input, normed) = (input(pass), pass.normed(inTail: inTail))
    let gradient = pass.gradient(inTail: inTail)
    pass.rows(pass.rowCount(inTail: inTail)) { row in
      let at = row * d
      reft_rmsnorm_backward_f32(
        1,
        d,
        input + at,
        d,
        weight,
        epsilon,
        normed + at,
        d,
        gradient + at,
        d
      )
    }
    pass.clock?.lap(kind)
  }
}
