// SPDX-License-Identifier: Apache-2.0
// The end of a branch on the card: its product is added to the stream as it is computed, or, where
// taps, norms or a bias stand between, has a place of its own.

import ReFTModel
import ReFTTensor

/// Which end, and what stands there.
struct BranchEnd {
  enum Branch { case attention, mlp }

  let block: Int
  let branch: Branch
  let projection: DeviceProjection
  let post: DeviceNorm?
  let sum: DeviceNorm?
  let isParallel: Bool

  init(_ branch: Branch, _ block: Int, _ weights: DeviceBlock) {
    (self.block, self.branch) = (block, branch)
    isParallel = weights.plan.isParallel
    if branch == .attention {
      (projection, post, sum) = (
        weights.attentionOutput, weights.attentionPostNorm, weights.attentionSumNorm
      )
    } else {
      (projection, post, sum) = (weights.down, weights.mlpPostNorm, weights.mlpSumNorm)
    }
  }

  var product: BlockProduct { branch == .attention ? .attentionOutput : .down }
  var component: Component { branch == .attention ? .attentionOutput : .mlpOutput }
  var keepsProduct: Bool { post != nil || sum != nil }
}

extension DevicePass {
  func isFused(_ end: BranchEnd) -> Bool {
    !end.keepsProduct && !end.isParallel && end.projection.bias == nil
      && !wants(end.component, end.block)
  }

  private func product(_ end: BranchEnd) throws(ReFTError) -> DevicePointer {
    guard end.keepsProduct else { return try floats(.product, shape.hiddenSize) }
    return try floats(
      end.branch == .attention ? .attentionProduct : .mlpProduct,
      end.block,
      shape.hiddenSize
    )
  }

  private func places(
    _ end: BranchEnd
  ) throws(ReFTError) -> (stream: DevicePointer, out: DevicePointer) {
    let middle = try self.middle(end.block)
    return end.branch == .attention
      ? (try stream(end.block), middle) : (middle, try stream(end.block + 1))
  }

  /// out = sumNorm(stream + post(W x)), with the taps between.
  func endForward(_ end: BranchEnd, _ x: DevicePointer) throws {
    let d = shape.hiddenSize
    let (stream, out) = try places(end)
    if isFused(end) { return try addProduct(end, x, stream: stream, to: out) }
    let product = try product(end)
    try operations.multiply(
      end.projection.matrix,
      rows: rows,
      x,
      to: product,
      isFloat: true,
      isFew: isFew
    )
    try operations.addBias(rows: rows, end.projection.bias, to: product, isFloat: true)
    try updates?.add(end.product, end.block, self, x: x, y: product, isFloat: true)
    let width = end.branch == .attention ? shape.queryWidth : shape.feedForwardSize
    try tap(end.component, end.block, float(product), source: activations(x, width))
    if let norm = end.post {
      try operations.normAdd(rows: rows, norm, product, stream: stream, to: out)
    } else if let norm = end.sum {
      try operations.add(rows: rows, width: d, stream, to: product)
      try operations.normFloat(rows: rows, norm, product, to: out)
    } else {
      if stream != out { try device.copy(stream, to: out, rows * d * 4) }
      try operations.add(rows: rows, width: d, product, to: out)
    }
  }

  /// out = stream + W x, and what the next branch reads where nobody looks between.
  private func addProduct(
    _ end: BranchEnd,
    _ x: DevicePointer,
    stream: DevicePointer,
    to out: DevicePointer
  ) throws(ReFTError) {
    let d = shape.hiddenSize
    let matrix = end.projection.matrix
    if isFew {
      if stream != out { try device.copy(stream, to: out, rows * d * 4) }
      try operations.multiply(
        matrix,
        rows: rows,
        x,
        to: out,
        isFloat: true,
        accumulates: true,
        isFew: true
      )
      try updates?.add(end.product, end.block, self, x: x, y: out, isFloat: true)
      return
    }
    let product = try act(.product, d)
    try operations.multiply(matrix, rows: rows, x, to: product, isFloat: false)
    try updates?.add(end.product, end.block, self, x: x, y: product, isFloat: false)
    let norm = nextNorm(end)
    let normed = norm == nil ? nil : try act(.normed, d)
    try operations.addNorm(rows: rows, width: d, norm, product, stream: stream, to: out, normed)
    isNormed = norm != nil
  }

  /// The norm of the branch that reads next, unless somebody looks before it does.
  private func nextNorm(_ end: BranchEnd) -> DeviceNorm? {
    guard end.branch == .mlp else { return weights.blocks[end.block].mlpNorm }
    let next = end.block + 1
    guard next < weights.blocks.count, !wants(.blockOutput, end.block), !wants(.blockInput, next)
    else { return nil }
    return weights.blocks[next].attentionNorm
  }

  /// From the gradient of the stream to that of what the output product read.
  ///
  /// - Returns: activations, in the slot that held them on the way forward.
  func endBackward(_ end: BranchEnd) throws -> DevicePointer {
    let d = shape.hiddenSize
    let width = end.branch == .attention ? shape.queryWidth : shape.feedForwardSize
    let target = try act(end.branch == .attention ? .mixedEdited : .hidden, width)
    if isFused(end) { return try goBack(end, try roundedGradient(), to: target) }
    let gradient = try gradient()
    let slopes = try floats(.product, d)
    var received = gradient
    if end.isParallel {
      let other = try floats(.parallelGradient, d)
      if end.branch == .mlp { try device.copy(gradient, to: other, rows * d * 4) }
      received = end.branch == .attention ? other : gradient
    }
    if let norm = end.post ?? end.sum {
      try operations.normBackwardFloat(
        rows: rows,
        norm,
        of: try product(end),
        received,
        to: slopes
      )
      // A norm of the sum is the stream's own way back too.
      if end.post == nil { try device.copy(slopes, to: gradient, rows * d * 4) }
    } else {
      try device.copy(received, to: slopes, rows * d * 4)
    }
    try tapBackward(end.component, end.block, float(slopes))
    let rounded = try act(.normed, d)
    try operations.cast(rows: rows, width: d, slopes, to: rounded)
    return try goBack(end, rounded, to: target)
  }

  /// Back through the output product and its updates, from activations.
  private func goBack(
    _ end: BranchEnd,
    _ slopes: DevicePointer,
    to target: DevicePointer
  ) throws -> DevicePointer {
    try updates?.differentiate(end.product, end.block, self, dy: slopes)
    try operations.multiplyBack(end.projection.matrix, rows: rows, slopes, to: target)
    try finishPendingBack(end.projection.matrix, dx: target)
    try updates?.addInputGradient(end.product, end.block, to: target)
    return target
  }
}
