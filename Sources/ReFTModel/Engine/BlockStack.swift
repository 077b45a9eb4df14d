// SPDX-License-Identifier: Apache-2.0
// The block loop: one transformer block forward and backward, and the one place where sites fire.
// Written once for all architectures; TrainingPass and InferencePass decide what is kept.

import CReFTKernels
import ReFTTensor

/// What the backward pass of one block needs from its forward pass: T rows, R rows in the tail.
final class BlockState {
  /// The block's input after edits, [T, d].
  var input = GrowingBuffer()
  /// Queries, keys and values after rotation, [T, queryWidth + 2 keyValueWidth].
  var queryKeyValue = GrowingBuffer()
  /// Log-sum-exp of the scores, [T, heads].
  var logSumExp = GrowingBuffer()
  /// The residual stream after the attention, [R, d].
  var middle = GrowingBuffer()
  /// Gate and up projections, [R, 2 f].
  var gateUp = GrowingBuffer()
  /// The edited activation, [R, f]; only where `mlp_activation` is edited.
  var activation = GrowingBuffer()
}

/// Memory that grows to the largest size asked for and is then reused.
struct GrowingBuffer {
  private var buffer: FloatBuffer?

  mutating func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
    if let buffer, buffer.count >= count { return buffer.base }
    // A little more than asked, since the next batch may be a little longer.
    let grown = FloatBuffer(count: count + count / 16)
    buffer = grown
    return grown.base
  }
}

/// Runs blocks over the rows of one layout.
final class BlockStack {
  let model: FrozenModel
  let pool: ThreadPool
  private let attention: Attention
  private var normed = GrowingBuffer()
  private var mixed = GrowingBuffer()
  private var wide = GrowingBuffer()
  private var delta = GrowingBuffer()
  private var tailInput = GrowingBuffer()
  private var tailMixed = GrowingBuffer()
  private var slopes = GrowingBuffer()
  private var prefixGradients = GrowingBuffer()

  var layout = PassLayout(PackedBatch(), sharedPrefix: 0)
  var tail: TailRows?
  var editor: (any HiddenStateEditor)?
  var sites: Set<Site> = []
  /// How many sites the backward pass has still to visit; at 0 it ends.
  var sitesLeft = 0
  /// What the activations of decoded rows are rounded to; those of prompts are not.
  var decodePrecision = DecodePrecision.float32

  private var shape: ModelConfiguration { model.configuration }
  private var rowWidth: Int { shape.queryWidth + 2 * shape.keyValueWidth }

  init(model: FrozenModel, pool: ThreadPool) {
    self.model = model
    self.pool = pool
    attention = Attention(
      heads: model.configuration.heads,
      keyValueHeads: model.configuration.keyValueHeads,
      headSize: model.configuration.headSize,
      pool: pool
    )
  }

  // MARK: Sites

  /// Calls the editor if it wants this site; says whether it did.
  @discardableResult
  private func fire(
    _ component: Component,
    _ block: Int,
    _ base: UnsafeMutablePointer<Float>,
    stride: Int,
    inTail: Bool = false,
    backward: Bool = false
  ) throws -> Bool {
    let site = Site(block: block, component: component)
    guard let editor, sites.contains(site) else { return false }
    let width = shape.width(of: component)
    func visit(_ map: UnsafePointer<Int32>?) throws {
      let rows = HiddenRows(base: base, rowStride: stride, width: width, rowOfToken: map)
      if backward {
        try editor.differentiate(rows, at: site)
      } else {
        try editor.edit(rows, at: site)
      }
    }
    if inTail, let tail {
      try tail.placeOfToken.withUnsafeBufferPointer { try visit($0.baseAddress) }
    } else if let map = layout.rowOfToken {
      try map.withUnsafeBufferPointer { try visit($0.baseAddress) }
    } else {
      try visit(nil)
    }
    if backward { sitesLeft -= 1 }
    return true
  }

  /// Edits the output of the block before the first one that runs, which is that one's input.
  ///
  /// - Throws: what the editor throws.
  func editOutput(of block: Int, in next: BlockState) throws {
    let d = shape.hiddenSize
    try fire(.blockOutput, block, next.input.floats(layout.rowCount * d), stride: d)
  }

  /// Carries d loss / d (input of the first block that ran) back through the same edit.
  ///
  /// - Throws: what the editor throws.
  func differentiateOutput(of block: Int, _ gradient: inout GrowingBuffer) throws {
    let d = shape.hiddenSize
    let rows = gradient.floats(layout.rowCount * d)
    try fire(.blockOutput, block, rows, stride: d, backward: true)
  }

  private func wants(_ component: Component, _ block: Int) -> Bool {
    sites.contains(Site(block: block, component: component))
  }

  /// Calls `body` with chunks of rows, in parallel.
  private func rows(_ count: Int, _ body: (_ first: Int, _ count: Int) -> Void) {
    let chunk = 16
    pool.run((count + chunk - 1) / chunk) { index in
      body(index * chunk, min(chunk, count - index * chunk))
    }
  }

  // MARK: Forward

  /// Expands the embeddings of the layout's rows into `out`, [T, d].
  func embed(into out: UnsafeMutablePointer<Float>) {
    let d = shape.hiddenSize
    rows(layout.rowCount) { first, count in
      for row in first..<first + count {
        model.embedding.expand(
          row: Int(layout.ids[row]),
          column: 0,
          count: d,
          into: out + row * d
        )
      }
    }
  }

  /// Runs one block forward.
  ///
  /// - Parameters:
  ///   - index: which block.
  ///   - state: holds the block's input, [T, d], and on return the edited one.
  ///   - output: gives the memory for the output, [T, d], or [tail rows, d] in the last block when
  ///     there is a tail.
  ///   - keepsState: whether a backward pass will need the state.
  /// - Throws: what the editor throws.
  func forward(
    _ index: Int,
    state: BlockState,
    output: (Int) -> UnsafeMutablePointer<Float>,
    keepsState: Bool
  ) throws {
    let block = model.blocks[index]
    let d = shape.hiddenSize
    let f = shape.feedForwardSize
    let count = layout.rowCount
    let input = state.input.floats(count * d)
    try fire(.blockInput, index, input, stride: d)

    // Attention.
    let normed = self.normed.floats(count * d)
    rows(count) { first, n in
      reft_rmsnorm_f32(
        n,
        d,
        input + first * d,
        d,
        block.attentionNorm.base,
        shape.normEpsilon,
        normed + first * d,
        d
      )
    }
    try fire(.attentionInput, index, normed, stride: d)
    let qkv = state.queryKeyValue.floats(count * rowWidth)
    multiply(block.queryKeyValue, runs: layout.runs, x: normed, y: qkv, accumulate: false)
    try fire(.queryOutput, index, qkv, stride: rowWidth)
    try fire(.keyOutput, index, qkv + shape.queryWidth, stride: rowWidth)
    try fire(
      .valueOutput,
      index,
      qkv + shape.queryWidth + shape.keyValueWidth,
      stride: rowWidth
    )
    rotate(qkv, sign: 1)
    attention.store(layout.spans, block: index, rows: qkv)
    var mixed = self.mixed.floats(count * shape.queryWidth)
    attention.forward(
      layout.spans,
      block: index,
      rows: qkv,
      out: mixed,
      logSumExp: keepsState ? state.logSumExp.floats(count * shape.heads) : nil
    )

    // From here on the last block computes only the rows of the tail.
    let hasTail = tail != nil && index == shape.layers - 1
    var stream = input
    var n = count
    let runs = hasTail ? layout.tailRuns(tail) : layout.runs
    if hasTail, let tail {
      n = tail.rows.count
      stream = tailInput.floats(n * d)
      let compact = tailMixed.floats(n * shape.queryWidth)
      for (place, row) in tail.rows.enumerated() {
        (stream + place * d).update(from: input + Int(row) * d, count: d)
        (compact + place * shape.queryWidth).update(
          from: mixed + Int(row) * shape.queryWidth,
          count: shape.queryWidth
        )
      }
      mixed = compact
    }
    try fire(.attentionValueOutput, index, mixed, stride: shape.queryWidth, inTail: hasTail)
    let middle = state.middle.floats(n * d)
    try addProduct(
      block.attentionOutput,
      x: mixed,
      runs: runs,
      to: stream,
      into: middle,
      site: .attentionOutput,
      index,
      inTail: hasTail
    )

    // MLP.
    let mlpNormed = self.normed.floats(n * d)
    rows(n) { first, m in
      reft_rmsnorm_f32(
        m,
        d,
        middle + first * d,
        d,
        block.mlpNorm.base,
        shape.normEpsilon,
        mlpNormed + first * d,
        d
      )
    }
    try fire(.mlpInput, index, mlpNormed, stride: d, inTail: hasTail)
    let gateUp = state.gateUp.floats(n * 2 * f)
    multiply(block.gateUp, runs: runs, x: mlpNormed, y: gateUp, accumulate: false)
    let hidden = wide.floats(n * f)
    if wants(.mlpActivation, index) {
      let activation = state.activation.floats(n * f)
      rows(n) { first, m in
        for row in first..<first + m {
          reft_silu_f32(f, gateUp + row * 2 * f, activation + row * f)
        }
      }
      try fire(.mlpActivation, index, activation, stride: f, inTail: hasTail)
      rows(n) { first, m in
        for row in first..<first + m {
          for j in 0..<f {
            hidden[row * f + j] = activation[row * f + j] * gateUp[row * 2 * f + f + j]
          }
        }
      }
    } else {
      rows(n) { first, m in
        for row in first..<first + m {
          let gate = gateUp + row * 2 * f
          reft_swiglu_f32(f, gate, gate + f, hidden + row * f)
        }
      }
    }
    let out = output(n * d)
    try addProduct(
      block.down,
      x: hidden,
      runs: runs,
      to: middle,
      into: out,
      site: .mlpOutput,
      index,
      inTail: hasTail
    )
    try fire(.blockOutput, index, out, stride: d, inTail: hasTail)
  }

  /// into = stream + x Wᵀ; where `site` is edited, the product is edited before it is added.
  private func addProduct(
    _ weight: StackedWeight,
    x: UnsafeMutablePointer<Float>,
    runs: [RowRun],
    to stream: UnsafeMutablePointer<Float>,
    into out: UnsafeMutablePointer<Float>,
    site: Component,
    _ index: Int,
    inTail: Bool
  ) throws {
    let d = shape.hiddenSize
    let n = runs.reduce(0) { $0 + $1.count }
    if out != stream {
      rows(n) { first, m in
        (out + first * d).update(from: stream + first * d, count: m * d)
      }
    }
    guard wants(site, index) else {
      multiply(weight, runs: runs, x: x, y: out, accumulate: true)
      return
    }
    let product = delta.floats(n * d)
    multiply(weight, runs: runs, x: x, y: product, accumulate: false)
    try fire(site, index, product, stride: d, inTail: inTail)
    rows(n) { first, m in reft_axpy_f32(m * d, 1, product + first * d, out + first * d) }
  }

  private func multiply(
    _ weight: StackedWeight,
    runs: [RowRun],
    x: UnsafePointer<Float>,
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool
  ) {
    for run in runs {
      if run.isDecode {
        multiplyFew(weight, run: run, x: x, y: y, accumulate: accumulate)
      } else {
        MatrixProduct.forward(
          weight,
          rows: run.count,
          x: x + run.start * weight.columns,
          xStride: weight.columns,
          y: y + run.start * weight.rows,
          yStride: weight.rows,
          accumulate: accumulate,
          pool: pool
        )
      }
    }
  }

  /// Logits of the last row of each sequence: y = x headᵀ.
  func multiplyHead(x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>) {
    for run in layout.lastRuns {
      multiplyFew(model.head, run: run, x: x, y: y, accumulate: false)
    }
  }

  /// The rows of one run, few enough that packing the weight does not pay.
  private func multiplyFew(
    _ weight: StackedWeight,
    run: RowRun,
    x: UnsafePointer<Float>,
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool
  ) {
    let x = x + run.start * weight.columns
    let y = y + run.start * weight.rows
    if run.isDecode, let digits = decodePrecision.digits,
      let repacked = weight.repacked(pool: pool)
    {
      repacked.multiply(
        rows: run.count,
        x: x,
        xStride: weight.columns,
        digits: digits,
        y: y,
        yStride: weight.rows,
        accumulate: accumulate,
        pool: pool
      )
    } else {
      MatrixProduct.forwardFew(
        weight,
        rows: run.count,
        x: x,
        xStride: weight.columns,
        y: y,
        yStride: weight.rows,
        accumulate: accumulate,
        pool: pool
      )
    }
  }

  private func multiplyBack(
    _ weight: StackedWeight,
    rows n: Int,
    dy: UnsafePointer<Float>,
    dx: UnsafeMutablePointer<Float>
  ) {
    MatrixProduct.backward(
      weight,
      rows: n,
      dy: dy,
      dyStride: weight.rows,
      dx: dx,
      dxStride: weight.columns,
      accumulate: false,
      pool: pool
    )
  }

  /// Rotates queries and keys by their positions (sign 1), or back (sign −1).
  private func rotate(_ rows: UnsafeMutablePointer<Float>, sign: Float) {
    let longest = layout.positions.reduce(0) { max($0, Int($1)) }
    let table = model.rope.rows(positions: longest + 1)
    let heads = shape.heads + shape.keyValueHeads
    self.rows(layout.rowCount) { first, count in
      for row in first..<first + count {
        reft_rope_f32(
          heads,
          shape.headSize,
          table.base + Int(layout.positions[row]) * shape.headSize,
          sign,
          rows + row * rowWidth
        )
      }
    }
  }

  // MARK: Backward

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
      rows(n) { first, m in
        for row in first..<first + m {
          let gate = gateUp + row * 2 * f
          reft_swiglu_backward_f32(f, gate, gate + f, dHidden + row * f, gate, gate + f)
        }
      }
    }
    let dNormed = normed.floats(count * d)
    multiplyBack(block.gateUp, rows: n, dy: gateUp, dx: dNormed)
    _ = try visit(.mlpInput, dNormed, d, tail: hasTail)
    if sitesLeft == 0 { return }
    let middle = state.middle.floats(n * d)
    rows(n) { first, m in
      reft_rmsnorm_backward_f32(
        m,
        d,
        middle + first * d,
        d,
        block.mlpNorm.base,
        shape.normEpsilon,
        dNormed + first * d,
        d,
        grad + first * d,
        d
      )
    }

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
      )
    )
    rotate(dRows, sign: -1)
    let values = dRows + shape.queryWidth + shape.keyValueWidth
    _ = try visit(.valueOutput, values, rowWidth)
    _ = try visit(.keyOutput, dRows + shape.queryWidth, rowWidth)
    _ = try visit(.queryOutput, dRows, rowWidth)
    if sitesLeft == 0 { return }
    multiplyBack(block.queryKeyValue, rows: count, dy: dRows, dx: dNormed)
    _ = try visit(.attentionInput, dNormed, d)
    if sitesLeft == 0 { return }
    let input = state.input.floats(count * d)
    rows(count) { first, m in
      reft_rmsnorm_backward_f32(
        m,
        d,
        input + first * d,
        d,
        block.attentionNorm.base,
        shape.normEpsilon,
        dNormed + first * d,
        d,
        grad + first * d,
        d
      )
    }
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
    rows(n) { first, m in
      for row in first..<first + m {
        let up = gateUp + row * 2 * f + f
        for j in 0..<f {
          let dh = dHidden[row * f + j]
          dHidden[row * f + j] = dh * up[j]
          up[j] = dh * activation[row * f + j]
        }
      }
    }
    try fire(.mlpActivation, index, dHidden, stride: f, inTail: inTail, backward: true)
    rows(n) { first, m in
      for row in first..<first + m {
        let gate = gateUp + row * 2 * f
        reft_silu_backward_f32(f, gate, dHidden + row * f, gate)
      }
    }
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
