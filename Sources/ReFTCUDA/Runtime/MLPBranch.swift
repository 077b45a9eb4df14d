// SPDX-License-Identifier: Apache-2.0
// The MLP of a block on the card, forward and back: hidden = f(gate) · up, or f(up) without a gate.

import ReFTModel
import ReFTTensor

extension ModelPlan.Activation {
  /// As gate.cu counts them.
  fileprivate var kind: Int {
    switch self {
    case .silu: 0
    case .geluTanh: 1
    case .gelu: 2
    }
  }
}

extension DevicePass {
  /// The stream that a block's MLP reads.
  private func mlpSource(_ block: Int) throws(ReFTError) -> DevicePointer {
    weights.blocks[block].plan.isParallel
      ? try stream(block) : try middle(block)
  }

  /// From the stream to what the output product reads, [T, f].
  func mlpForward(_ block: Int) throws -> DevicePointer {
    let (weights, plan) = (weights.blocks[block], weights.blocks[block].plan.mlp)
    let (d, f) = (shape.hiddenSize, shape.feedForwardSize)
    let width = plan.gate == nil ? f : 2 * f
    if let hidden = try mlpOfFew(block) { return hidden }
    let normed = try act(.normed, d)
    try read(weights.mlpNorm, try mlpSource(block), to: normed)
    try tap(.mlpInput, block, activations(normed, d))
    let input = try act(.mlpInput, block, width)
    try operations.multiply(
      weights.mlpInput.matrix,
      rows: rows,
      normed,
      to: input,
      isFloat: false,
      isFew: isFew
    )
    try operations.addBias(rows: rows, weights.mlpInput.bias, to: input, isFloat: false)
    try updates?.add(.mlpInput, block, self, x: normed, y: input, isFloat: false)

    let hidden = try act(.hidden, f)
    let kind = plan.activation.kind
    if plan.gate != nil, !wants(.mlpActivation, block) {
      try operations.gate(rows: rows, width: f, kind: kind, input, to: hidden)
      return hidden
    }
    let activation = plan.gate == nil ? hidden : try act(.activation, block, f)
    try operations.activate(
      rows: rows,
      width: f,
      kind: kind,
      input,
      stride: width,
      to: activation
    )
    try tap(
      .mlpActivation,
      block,
      activations(activation, f),
      source: activations(normed, d)
    )
    if plan.gate != nil {
      try operations.multiplyUp(rows: rows, width: f, activation, input, to: hidden)
    }
    return hidden
  }

  /// The same for few rows of a gated MLP in one product, if nobody looks between.
  private func mlpOfFew(_ block: Int) throws(ReFTError) -> DevicePointer? {
    let (weights, plan) = (weights.blocks[block], weights.blocks[block].plan.mlp)
    let matrix = weights.mlpInput.matrix
    guard plan.gate != nil, matrix.half > 0, let norm = weights.mlpNorm,
      takesNorm(matrix, block, [.mlpInput, .mlpActivation])
    else { return nil }
    let hidden = try act(.hidden, shape.feedForwardSize)
    try operations.multiply(
      FewProduct(
        matrix: matrix,
        rows: rows,
        input: .stream(try mlpSource(block), norm),
        bias: weights.mlpInput.bias,
        gate: plan.activation.kind,
        output: .activations(hidden)
      )
    )
    return hidden
  }

  /// From d loss / d hidden to the stream's gradient.
  func mlpBackward(_ block: Int, _ slopes: DevicePointer) throws {
    let (weights, plan) = (weights.blocks[block], weights.blocks[block].plan.mlp)
    let (d, f) = (shape.hiddenSize, shape.feedForwardSize)
    let width = plan.gate == nil ? f : 2 * f
    let input = try act(.mlpInput, block, width)
    let kind = plan.activation.kind
    try readBackward([.mlpOutput], block, activations(slopes, f))
    if plan.gate != nil, !wants(.mlpActivation, block) {
      try operations.gateBackward(rows: rows, width: f, kind: kind, input, slopes)
    } else {
      if plan.gate != nil {
        let activation = try act(.activation, block, f)
        try operations.multiplyUpBackward(rows: rows, width: f, activation, input, slopes)
      }
      try tapBackward(.mlpActivation, block, activations(slopes, f))
      try operations.activateBackward(
        rows: rows,
        width: f,
        kind: kind,
        input,
        stride: width,
        slopes
      )
    }
    try updates?.differentiate(.mlpInput, block, self, dy: input)
    if taps?.isDone == true { return }
    let normed = try act(.normed, d)
    try operations.multiplyBack(weights.mlpInput.matrix, rows: rows, input, to: normed)
    try updates?.addInputGradient(.mlpInput, block, to: normed)
    try readBackward([.mlpActivation], block, activations(normed, d))
    try tapBackward(.mlpInput, block, activations(normed, d))
    try readBackward(weights.mlpNorm, try mlpSource(block), normed)
  }
}
