// SPDX-License-Identifier: Apache-2.0
// The products that begin a branch: what was normed, into queries, keys and values or into gate and
// up, or up alone: y = normed Wᵀ + b.

import CReFTKernels
import ReFTTensor

struct ProjectionStep: Step {
  /// Where the product goes.
  enum Target: Sendable { case queryKeyValue, mlpInput }

  let block: Int
  let target: Target
  let projection: Projection
  let inTail: Bool
  var kind: WorkKind { .projections }

  private var place: ProductPlace {
    let product = target == .mlpInput ? BlockProduct.mlpInput : .queryKeyValue
    return ProductPlace(block: block, product: product, inTail: inTail)
  }

  func makesRows(_ pass: Pass) -> Bool { pass.makesRows(projection.weight, inTail: inTail) }

  func isGoal(_ pass: Pass) -> Bool { pass.isUpdated(place) }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let (x, y) = (pass.normed(inTail: inTail), output(pass))
    pass.multiply(
      projection.weight,
      runs: pass.runs(inTail: inTail),
      x: x,
      making: pending,
      y: y,
      accumulate: false
    )
    pass.addUpdates(place, x: x, y: y)
    return projection.bias.map { bias in addition(of: bias, to: y) }
  }

  func backward(_ pass: Pass) {
    // Gradients of gate and up take their place; those of the heads have a place of their own.
    let dy = target == .mlpInput ? output(pass) : pass.headGradients()
    let dx = pass.normed(inTail: inTail)
    pass.goBack(place, dy: dy, dx: dx) {
      pass.multiplyBack(projection.weight, rows: pass.rowCount(inTail: inTail), dy: dy, dx: dx)
    }
  }

  private func output(_ pass: Pass) -> UnsafeMutablePointer<Float> {
    switch target {
    case .queryKeyValue: pass.queryKeyValue(block)
    case .mlpInput: pass.mlpInput(block, inTail: inTail)
    }
  }
}

/// What adds a bias to a row.
func addition(of bias: FloatBuffer, to rows: UnsafeMutablePointer<Float>) -> RowWork {
  let (bias, width) = (bias.base, bias.count)
  return { row in reft_axpy_f32(width, 1, bias, rows + row * width) }
}
