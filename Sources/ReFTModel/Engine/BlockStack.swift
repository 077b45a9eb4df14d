// SPDX-License-Identifier: Apache-2.0
// The block loop: one transformer block forward, and the one place where sites fire. Written once
// for all architectures; TrainingPass and InferencePass decide what is kept. The way back is in
// BlockStack+Backward, the products with frozen weights are in BlockStack+Products.

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

/// What makes one row of a product's input.
typealias RowWork = (_ row: Int) -> Void

/// Runs blocks over the rows of one layout.
final class BlockStack {
  let model: FrozenModel
  let pool: ThreadPool
  let attention: Attention
  var normed = GrowingBuffer()
  var mixed = GrowingBuffer()
  var wide = GrowingBuffer()
  var delta = GrowingBuffer()
  var tailInput = GrowingBuffer()
  var tailMixed = GrowingBuffer()
  var slopes = GrowingBuffer()
  var prefixGradients = GrowingBuffer()
  var partSums = GrowingBuffer()

  var layout = PassLayout(PackedBatch(), sharedPrefix: 0)
  var tail: TailRows?
  var editor: (any HiddenStateEditor)?
  var sites: Set<Site> = []
  /// How many sites the backward pass has still to visit; at 0 it ends.
  var sitesLeft = 0
  /// Where the time goes, when somebody wants to know.
  var clock: WorkClock?
  /// What the activations of decoded rows are rounded to; those of prompts are not.
  var decodePrecision = DecodePrecision.float32

  var shape: ModelConfiguration { model.configuration }
  var rowWidth: Int { shape.queryWidth + 2 * shape.keyValueWidth }

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
  func fire(
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
    clock?.lap(.edits)
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

  func wants(_ component: Component, _ block: Int) -> Bool {
    sites.contains(Site(block: block, component: component))
  }

  /// Does work on each of some rows, in parallel.
  func rows(_ count: Int, _ work: (_ row: Int) -> Void) {
    // Few rows are those of a decode step; each is worth a piece of its own.
    let chunk = count < 32 ? 1 : 16
    pool.run((count + chunk - 1) / chunk, isFine: true) { index in
      for row in index * chunk..<min(count, (index + 1) * chunk) { work(row) }
    }
  }

  /// Makes the rows that a product reads, and lets an editor at them.
  ///
  /// In a decode step, where gathering the threads costs as much as such work, rows that nobody
  /// edits are left to the product, which makes each of them on the way; a profile then counts
  /// them as its own.
  ///
  /// - Returns: what is left to the product.
  /// - Throws: what the editor throws.
  private func make(
    _ component: Component,
    _ block: Int,
    _ base: UnsafeMutablePointer<Float>,
    stride: Int,
    rows count: Int,
    inTail: Bool = false,
    kind: WorkKind = .normalisation,
    by work: RowWork?
  ) throws -> RowWork? {
    let isEdited = wants(component, block)
    if layout.isDecode, !isEdited { return work }
    if let work {
      rows(count, work)
      clock?.lap(kind)
    }
    if isEdited { try fire(component, block, base, stride: stride, inTail: inTail) }
    return nil
  }

  // MARK: Forward

  /// Expands the embeddings of the layout's rows into `out`, [T, d].
  func embed(into out: UnsafeMutablePointer<Float>) {
    let d = shape.hiddenSize
    rows(layout.rowCount) { row in
      model.embedding.expand(row: Int(layout.ids[row]), column: 0, count: d, into: out + row * d)
    }
    clock?.lap(.embedding)
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
    // Bound before the pieces: threads would fight over the reference counts of their owners.
    let (attentionNorm, mlpNorm) = (block.attentionNorm.base, block.mlpNorm.base)
    let epsilon = shape.normEpsilon
    let input = state.input.floats(count * d)
    try fire(.blockInput, index, input, stride: d)

    // Attention.
    let normed = self.normed.floats(count * d)
    let attentionInput = try make(.attentionInput, index, normed, stride: d, rows: count) { row in
      reft_rmsnorm_f32(1, d, input + row * d, d, attentionNorm, epsilon, normed + row * d, d)
    }
    let qkv = state.queryKeyValue.floats(count * rowWidth)
    multiply(
      block.queryKeyValue,
      runs: layout.runs,
      x: normed,
      making: attentionInput,
      y: qkv,
      accumulate: false
    )
    try fire(.queryOutput, index, qkv, stride: rowWidth)
    try fire(.keyOutput, index, qkv + shape.queryWidth, stride: rowWidth)
    try fire(
      .valueOutput,
      index,
      qkv + shape.queryWidth + shape.keyValueWidth,
      stride: rowWidth
    )
    var mixed = self.mixed.floats(count * shape.queryWidth)
    let mix = attend(
      index,
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
    let attentionOutputInput = try make(
      .attentionValueOutput,
      index,
      mixed,
      stride: shape.queryWidth,
      rows: n,
      inTail: hasTail,
      kind: .attention,
      by: mix
    )
    let middle = state.middle.floats(n * d)
    try addProduct(
      block.attentionOutput,
      x: mixed,
      making: attentionOutputInput,
      runs: runs,
      to: stream,
      into: middle,
      site: .attentionOutput,
      index,
      inTail: hasTail
    )

    // MLP.
    let mlpNormed = self.normed.floats(n * d)
    let mlpInput = try make(
      .mlpInput,
      index,
      mlpNormed,
      stride: d,
      rows: n,
      inTail: hasTail
    ) { row in
      reft_rmsnorm_f32(1, d, middle + row * d, d, mlpNorm, epsilon, mlpNormed + row * d, d)
    }
    let gateUp = state.gateUp.floats(n * 2 * f)
    multiply(
      block.gateUp,
      runs: runs,
      x: mlpNormed,
      making: mlpInput,
      y: gateUp,
      accumulate: false
    )
    let hidden = wide.floats(n * f)
    var downInput: RowWork?
    if wants(.mlpActivation, index) {
      let activation = state.activation.floats(n * f)
      rows(n) { row in reft_silu_f32(f, gateUp + row * 2 * f, activation + row * f) }
      try fire(.mlpActivation, index, activation, stride: f, inTail: hasTail)
      rows(n) { row in
        for j in 0..<f {
          hidden[row * f + j] = activation[row * f + j] * gateUp[row * 2 * f + f + j]
        }
      }
    } else {
      let gate: RowWork = { row in
        let gate = gateUp + row * 2 * f
        reft_swiglu_f32(f, gate, gate + f, hidden + row * f)
      }
      if layout.isDecode { downInput = gate } else { rows(n, gate) }
    }
    clock?.lap(.activation)
    let out = output(n * d)
    try addProduct(
      block.down,
      x: hidden,
      making: downInput,
      runs: runs,
      to: middle,
      into: out,
      site: .mlpOutput,
      index,
      inTail: hasTail
    )
    try fire(.blockOutput, index, out, stride: d, inTail: hasTail)
  }

  /// Rotates queries and keys, stores what goes to caches, and mixes values.
  ///
  /// - Returns: what is still to be done to a row of `out` before it is read, if anything.
  private func attend(
    _ index: Int,
    rows qkv: UnsafeMutablePointer<Float>,
    out: UnsafeMutablePointer<Float>,
    logSumExp: UnsafeMutablePointer<Float>?
  ) -> RowWork? {
    defer { clock?.lap(.attention) }
    let rotate = rotation(qkv, sign: 1)
    guard layout.isDecode else {
      rows(layout.rowCount, rotate)
      clock?.lap(.rotation)
      attention.store(layout.spans, block: index, rows: qkv)
      attention.forward(layout.spans, block: index, rows: qkv, out: out, logSumExp: logSumExp)
      return nil
    }
    let (attention, spans) = (attention, layout.spans)
    return attention.forward(decoded: spans, block: index, rows: qkv, out: out) { row in
      rotate(row)
      attention.store(spans[row], block: index, rows: qkv)
    }
  }
}
