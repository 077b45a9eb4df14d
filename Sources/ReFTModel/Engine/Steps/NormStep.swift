// SPDX-License-Identifier: Apache-2.0
// What a branch reads: the rows of the stream normed, or as they are.

import CReFTKernels
import ReFTTensor

/// Which residual stream a branch reads.
enum BranchSource: Sendable {
  /// The block's input.
  case input
  /// That after the attention.
  case middle

  /// Its rows.
  func rows(_ pass: Pass, _ block: Int, inTail: Bool) -> UnsafeMutablePointer<Float> {
    switch self {
    case .input: pass.input(block, inTail: inTail)
    case .middle: pass.middle(block, inTail: inTail)
    }
  }
}

/// normed = norm(x).
struct NormStep: Step {
  let block: Int
  let source: BranchSource
  let norm: NormWeights
  let inTail: Bool
  var kind: WorkKind { .normalisation }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let (d, norm) = (norm.size, norm.rows)
    let input = source.rows(pass, block, inTail: inTail)
    let normed = pass.normed(inTail: inTail)
    return chained(pending) { row in norm.apply(input + row * d, normed + row * d) }
  }

  /// gradient += d normed / d x.
  func backward(_ pass: Pass) {
    let (d, norm) = (norm.size, norm.rows)
    let input = source.rows(pass, block, inTail: inTail)
    let normed = pass.normed(inTail: inTail)
    let gradient = pass.gradient(inTail: inTail)
    pass.rows(pass.rowCount(inTail: inTail)) { row in
      let at = row * d
      norm.addGradient(of: input + at, normed + at, to: gradient + at)
    }
    pass.clock?.lap(kind)
  }
}

/// normed = x, where a branch reads the stream as it is: a copy, since edits of what the branch reads
/// are none of the stream.
struct CopyStep: Step {
  let block: Int
  let source: BranchSource
  let inTail: Bool
  var kind: WorkKind { .normalisation }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let d = pass.shape.hiddenSize
    let input = source.rows(pass, block, inTail: inTail)
    let normed = pass.normed(inTail: inTail)
    return chained(pending) { row in
      (normed + row * d).update(from: input + row * d, count: d)
    }
  }

  func backward(_ pass: Pass) {
    let d = pass.shape.hiddenSize
    let (normed, gradient) = (pass.normed(inTail: inTail), pass.gradient(inTail: inTail))
    pass.rows(pass.rowCount(inTail: inTail)) { row in
      reft_axpy_f32(d, 1, normed + row * d, gradient + row * d)
    }
    pass.clock?.lap(kind)
  }
}
