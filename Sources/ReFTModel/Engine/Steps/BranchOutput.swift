// SPDX-License-Identifier: Apache-2.0
// The end of a branch. Where nobody looks between the product and the sum, the product is added to
// the stream as it is computed; else it has a place of its own, where taps and norms reach it.

import CReFTKernels
import ReFTTensor

/// Which of a block's two branches.
enum Branch: Sendable {
  case attention, mlp
}

/// The places that the end of a branch reads and writes.
struct BranchPlaces: Sendable {
  let block: Int
  let branch: Branch
  let inTail: Bool
  /// Whether the branch's output, or the sum with it, is kept for the way back of a norm.
  let keepsProduct: Bool
  /// Whether the block's branches stand side by side.
  var isParallel = false

  /// The product that ends the branch.
  var product: ProductPlace {
    let product = branch == .attention ? BlockProduct.attentionOutput : .down
    return ProductPlace(block: block, product: product, inTail: inTail)
  }

  /// What the output projection reads; on the way back its gradient.
  func input(_ pass: Pass) -> UnsafeMutablePointer<Float> {
    branch == .attention ? pass.mixed(inTail: inTail) : pass.hidden(inTail: inTail)
  }

  /// The residual stream before the branch.
  func stream(_ pass: Pass) -> UnsafeMutablePointer<Float> {
    branch == .attention
      ? pass.input(block, inTail: inTail) : pass.middle(block, inTail: inTail)
  }

  /// The residual stream after the branch.
  func output(_ pass: Pass) -> UnsafeMutablePointer<Float> {
    branch == .attention
      ? pass.middle(block, inTail: inTail) : pass.stream(block + 1, inTail: inTail)
  }

  /// The branch's own output, before the sum.
  func product(_ pass: Pass) -> UnsafeMutablePointer<Float> {
    let count = pass.rowCount(inTail: inTail) * pass.shape.hiddenSize
    guard keepsProduct else { return pass.memory.product.floats(count) }
    let memory = pass.block(block)
    return branch == .attention
      ? memory.attentionProduct.floats(count) : memory.mlpProduct.floats(count)
  }

  /// d loss / d (the stream after the branch), as the branch receives it.
  ///
  /// Where branches stand side by side, that of the attention is the gradient before the MLP's way
  /// back added its own.
  func received(_ pass: Pass) -> UnsafeMutablePointer<Float> {
    isParallel && branch == .attention
      ? pass.parallelGradient(inTail: inTail) : pass.gradient(inTail: inTail)
  }

  /// d loss / d (the branch's own output).
  func productGradient(_ pass: Pass) -> UnsafeMutablePointer<Float> {
    pass.memory.product.floats(pass.rowCount(inTail: inTail) * pass.shape.hiddenSize)
  }
}

/// stream' = stream + input Wᵀ.
struct AddedProductStep: Step {
  let places: BranchPlaces
  let weight: StackedWeight
  var inTail: Bool { places.inTail }
  var kind: WorkKind { .projections }

  func makesRows(_ pass: Pass) -> Bool { pass.makesRows(weight, inTail: inTail) }

  func isGoal(_ pass: Pass) -> Bool { pass.isUpdated(places.product) }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let d = pass.shape.hiddenSize
    let (stream, out) = (places.stream(pass), places.output(pass))
    let copy: RowWork = { row in (out + row * d).update(from: stream + row * d, count: d) }
    var making: RowWork?
    if makesRows(pass) {
      making = chained(pending, copy)
    } else {
      pass.rows(pass.rowCount(inTail: inTail), copy)
    }
    pass.multiply(
      weight,
      runs: pass.runs(inTail: inTail),
      x: places.input(pass),
      making: making,
      y: out,
      accumulate: true
    )
    pass.addUpdates(places.product, x: places.input(pass), y: out)
    return nil
  }

  func backward(_ pass: Pass) {
    let (dy, dx) = (pass.gradient(inTail: inTail), places.input(pass))
    pass.goBack(places.product, dy: dy, dx: dx) {
      pass.multiplyBack(weight, rows: pass.rowCount(inTail: inTail), dy: dy, dx: dx)
    }
  }
}

/// product = input Wᵀ + b.
struct OutputProductStep: Step {
  let places: BranchPlaces
  let projection: Projection
  var inTail: Bool { places.inTail }
  var kind: WorkKind { .projections }

  func makesRows(_ pass: Pass) -> Bool { pass.makesRows(projection.weight, inTail: inTail) }

  func isGoal(_ pass: Pass) -> Bool { pass.isUpdated(places.product) }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let (x, product) = (places.input(pass), places.product(pass))
    pass.multiply(
      projection.weight,
      runs: pass.runs(inTail: inTail),
      x: x,
      making: pending,
      y: product,
      accumulate: false
    )
    pass.addUpdates(places.product, x: x, y: product)
    return projection.bias.map { addition(of: $0, to: product) }
  }

  func backward(_ pass: Pass) {
    let (dy, dx) = (places.productGradient(pass), places.input(pass))
    pass.goBack(places.product, dy: dy, dx: dx) {
      pass.multiplyBack(projection.weight, rows: pass.rowCount(inTail: inTail), dy: dy, dx: dx)
    }
  }
}

/// stream' = stream + product, or + norm(product).
struct SumStep: Step {
  let places: BranchPlaces
  let norm: NormWeights?
  var inTail: Bool { places.inTail }
  var kind: WorkKind { norm == nil ? .projections : .normalisation }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let d = pass.shape.hiddenSize
    let (stream, out, product) = (places.stream(pass), places.output(pass), places.product(pass))
    guard let norm = norm?.rows else {
      return chained(pending) { row in
        (out + row * d).update(from: stream + row * d, count: d)
        reft_axpy_f32(d, 1, product + row * d, out + row * d)
      }
    }
    return chained(pending) { row in
      let at = row * d
      norm.apply(product + at, out + at)
      reft_axpy_f32(d, 1, stream + at, out + at)
    }
  }

  func backward(_ pass: Pass) {
    let d = pass.shape.hiddenSize
    let count = pass.rowCount(inTail: inTail)
    let (received, result) = (places.received(pass), places.productGradient(pass))
    if places.isParallel, places.branch == .mlp {
      pass.parallelGradient(inTail: inTail).update(from: received, count: count * d)
    }
    guard let norm = norm?.rows else {
      result.update(from: received, count: count * d)
      return
    }
    let product = places.product(pass)
    pass.rows(count) { row in
      let at = row * d
      (result + at).update(repeating: 0, count: d)
      norm.addGradient(of: product + at, received + at, to: result + at)
    }
    pass.clock?.lap(kind)
  }
}

/// stream' = norm(stream + product).
struct NormedSumStep: Step {
  let places: BranchPlaces
  let norm: NormWeights
  var inTail: Bool { places.inTail }
  var kind: WorkKind { .normalisation }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let (d, norm) = (pass.shape.hiddenSize, norm.rows)
    let (stream, out, sum) = (places.stream(pass), places.output(pass), places.product(pass))
    return chained(pending) { row in
      let at = row * d
      reft_axpy_f32(d, 1, stream + at, sum + at)
      norm.apply(sum + at, out + at)
    }
  }

  /// The gradient of the sum is that of both, the stream and the product.
  func backward(_ pass: Pass) {
    let (d, norm, sum) = (pass.shape.hiddenSize, norm.rows, places.product(pass))
    let (gradient, result) = (pass.gradient(inTail: inTail), places.productGradient(pass))
    pass.rows(pass.rowCount(inTail: inTail)) { row in
      let at = row * d
      (result + at).update(repeating: 0, count: d)
      norm.addGradient(of: sum + at, gradient + at, to: result + at)
      (gradient + at).update(from: result + at, count: d)
    }
    pass.clock?.lap(kind)
  }
}
