// SPDX-License-Identifier: Apache-2.0
// One transformer block backward: gradients of hidden states alone, since weights are frozen.

import CReFTKernels
import ReFTTensor

extension BlockStack {
  /// Turns d loss / d (a block's output) in `gradient` into d loss / d (its input), [T, d].
  ///
  /// In the last block with a tail the gradient comes as [tail rows, d]. Ends early when no site
  /// is left. The state is used up.
  ///
  /// - Throws: what the editor throws.
  func backward(_ index: Int, state: BlockState, gradient: inout GrowingBuffer) throws {
    let block = model.blocks[index]
    let d = shape.hiddenSize
    let f = shape.feedForwardSize
    let count = layout.rowCount
    let hasTail = tail != nil && index == shape.layers - 1
    let n = hasTail ? tail?.rows.count ?? 0 : count
    var grad = gradient.floats(n * d)
    func visit(
      _ component: Component,
      _ base: UnsafeMutablePointer<Float>,
      _ stride: Int,
      tail: Bool = false
    ) throws -> Bool {
      try fire(component, index, base, stride: stride, inTail: tail, backward: true)
    }
    _ = try visit(.blockOutput, grad, d, tail: hasTail)
    if sitesLeft == 0 { return }

    // MLP.
    var branch = grad
    if wants(.mlpOutput, index) {
      branch = delta.floats(n * d)
      branch.update(from: grad, count: n * d)
      _ = try visit(.mlpOutput, branch, d, tail: hasTail)
      if sitesLeft == 0 { return }
    }
    let dHidden = wide.floats(n * f)
    multiplyBack(block.down, rows: n, dy: branch, dx: dHidden)
    let gateUp = state.gateUp.floats(n * 2 * f)
    if wants(.mlpActivation, index) {
      try activationBackward(index, state: state, rows: n, dHidden: dHidden, inTail: hasTail)
      if sitesLeft == 0 { return }
    } else {
      rows(n) { row in
        let gate = gateUp + row * 2 * f
        reft_swiglu_backward_f32(f, gate, gate + f, dHidden + row * f, gate, gate + f)
      }
      clock?.lap(.activation)
    }
    let dNormed = normed.floats(count * d)
    multiplyBack(block.gateUp, rows: n, dy: gateUp, dx: dNormed)
    _ = try visit(.mlpInput, dNormed, d, tail: hasTail)
    if sitesLeft == 0 { return }
    let middle = state.middle.floats(n * d)
    normBackward(rows: n, input: middle, weight: block.mlpNorm, dNormed, into: grad)

    // Attention.
    branch = grad
    if wants(.attentionOutput, index) {
      branch = delta.floats(n * d)
      branch.update(from: grad, count: n * d)
      _ = try visit(.attentionOutput, branch, d, tail: hasTail)
      if sitesLeft == 0 { return }
    }
    var dMixed = mixed.floats(count * shape.queryWidth)
    multiplyBack(
      block.attentionOutput,
      rows: n,
      dy: branch,
      dx: hasTail ? tailMixed.floats(n * shape.queryWidth) : dMixed
    )
    if hasTail { dMixed = tailMixed.floats(n * shape.queryWidth) }
    _ = try visit(.attentionValueOutput, dMixed, shape.queryWidth, tail: hasTail)
    if sitesLeft == 0 { return }
    if hasTail, let tail {
      (grad, dMixed) = spread(tail, gradient: &gradient, dMixed: dMixed)
    }
    let dRows = slopes.floats(count * rowWidth)
    attention.backward(
      layout.spans,
      rows: state.queryKeyValue.floats(count * rowWidth),
      logSumExp: state.logSumExp.floats(count * shape.heads),
      gradient: dMixed,
      result: dRows,
      prefixCount: layout.prefixCount,
      prefixGradients: prefixGradients.floats(
        layout.spans.count * shape.keyValueWidth * layout.prefixCount * 2
      ),
      partSums: { self.partSums.floats($0) }
    )
    clock?.lap(.attention)
    rows(count, rotation(dRows, sign: -1))
    clock?.lap(.rotation)
    let values = dRows + shape.queryWidth + shape.keyValueWidth
    _ = try visit(.valueOutput, values, rowWidth)
    _ = try visit(.keyOutput, dRows + shape.queryWidth, rowWidth)
    _ = try visit(.queryOutput, dRows, rowWidth)
    if sitesLeft == 0 { return }
    multiplyBack(block.queryKeyValue, rows: count, dy: dRows, dx: dNormed)
    _ = try visit(.attentionInput, dNormed, d)
    if sitesLeft == 0 { return }
    let input = state.input.floats(count * d)
    normBackward(rows: count, input: input, weight: block.attentionNorm, dNormed, into: grad)
    _ = try visit(.blockInput, grad, d)
  }

  /// d loss / d (gate, up) through an edited activation, into `state.gateUp`.
  private func activationBackward(
    _ index: Int,
    state: BlockState,
    rows n: Int,
    dHidden: UnsafeMutablePointer<Float>,
    inTail: Bool
  ) throws {
    let f = shape.feedForwardSize
    let gateUp = state.gateUp.floats(n * 2 * f)
    let activation = state.activation.floats(n * f)
    rows(n) { row in
      let up = gateUp + row * 2 * f + f
      for j in 0..<f {
        let dh = dHidden[row * f + j]
        dHidden[row * f + j] = dh * up[j]
        up[j] = dh * activation[row * f + j]
      }
    }
    try fire(.mlpActivation, index, dHidden, stride: f, inTail: inTail, backward: true)
    rows(n) { row in
      let gate = gateUp + row * 2 * f
      reft_silu_backward_f32(f, gate, dHidden + row * f, gate)
    }
  }

  /// grad += d loss / d input of an RMSNorm.
  private func normBackward(
    rows count: Int,
    input: UnsafePointer<Float>,
    weight: FloatBuffer,
    _ dNormed: UnsafePointer<Float>,
    into grad: UnsafeMutablePointer<Float>
  ) {
    let (d, epsilon, weight) = (shape.hiddenSize, shape.normEpsilon, weight.base)
    rows(count) { row in
      let at = row * d
      reft_rmsnorm_backward_f32(
        1,
        d,
        input + at,
        d,
        weight,
        epsilon,
        dNormed + at,
        d,
        grad + at,
        d
      )
    }
    clock?.lap(.normalisation)
  }

  /// Spreads gradients of the tail's rows over all rows, zero elsewhere.
  private func spread(
    _ tail: TailRows,
    gradient: inout GrowingBuffer,
    dMixed: UnsafeMutablePointer<Float>
  ) -> (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>) {
    let d = shape.hiddenSize
    let count = layout.rowCount
    let compact = tailInput.floats(tail.rows.count * d)
    compact.update(from: gradient.floats(tail.rows.count * d), count: tail.rows.count * d)
    let grad = gradient.floats(count * d)
    grad.update(repeating: 0, count: count * d)
    let full = mixed.floats(count * shape.queryWidth)
    full.update(repeating: 0, count: count * shape.queryWidth)
    for (place, row) in tail.rows.enumerated() {
      (grad + Int(row) * d).update(from: compact + place * d, count: d)
      (full + Int(row) * shape.queryWidth).update(
        from: dMixed + place * shape.queryWidth,
        count: shape.queryWidth
      )
    }
    return (grad, full)
  }
}
