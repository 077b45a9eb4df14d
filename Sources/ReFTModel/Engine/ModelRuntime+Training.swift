// SPDX-License-Identifier: Apache-2.0
// Loss of a packed batch, its gradient down to the lowest edited site, and block inputs.

import CReFTKernels
public import ReFTTensor

/// The unedited residual stream as it enters a block, for all tokens of a batch, [tokens, d].
public final class BlockInput {
  /// The block that it enters.
  public let block: Int
  /// One row per token of the batch.
  public let rows: FloatBuffer

  /// Wraps rows, for instance from a cache.
  public init(block: Int, rows: FloatBuffer) {
    self.block = block
    self.rows = rows
  }

  /// Gives each token of a batch its row of a pass; tokens of a shared prefix have theirs in the first
  /// sequence.
  ///
  /// - Throws: `inputOutput` when the system has no memory for the rows.
  package convenience init(
    block: Int,
    _ computed: UnsafePointer<Float>,
    _ layout: PassLayout,
    of batch: PackedBatch,
    width d: Int
  ) throws(ReFTError) {
    let rows = try FloatBuffer(
      reserving: batch.tokens.count * d,
      for: MemoryPurpose("a batch of \(batch.tokens.count) tokens", remedy: "use shorter rows")
    )
    for segment in batch.segments {
      for offset in 0..<segment.count {
        let own = layout.row(ofToken: Int32(segment.start + offset))
        let row = own < 0 ? offset : Int(own)
        (rows.base + (segment.start + offset) * d).update(from: computed + row * d, count: d)
      }
    }
    self.init(block: block, rows: rows)
  }
}

extension ModelRuntime {
  /// How many tokens a pass may have so that what it keeps for its backward pass fits a budget.
  ///
  /// - Parameters:
  ///   - model: the model.
  ///   - block: the lowest block whose backward pass runs.
  ///   - updates: floats that updates of products keep of a row.
  ///   - byteCount: the budget; 640 MiB by default, about 1,000 tokens of a model of 135 million
  ///     weights with edits in all blocks.
  /// - Returns: from 256 to 8192, so that short passes are not all packing and long ones share what
  ///   sequences have in common.
  public static func tokenBudget(
    _ model: FrozenModel,
    keptFrom block: Int,
    updates: Int = 0,
    byteCount: Int = 640 << 20
  ) -> Int {
    let blocks = max(1, model.configuration.layers - block)
    let kept = (blocks * model.keptFloatsPerRow + updates) * MemoryLayout<Float>.size
    return min(8192, max(256, byteCount / kept))
  }

  /// Negative log likelihood in nats of each label, in the order of `batch.labels`.
  ///
  /// - Parameters:
  ///   - batch: the sequences.
  ///   - editor: edits hidden states; nil for the frozen model.
  ///   - start: where to start instead of at the embeddings, with the bits of a whole pass. Edits
  ///     of the block output just before it still run.
  /// - Returns: one number per label; none, without running the model, when there is no label.
  /// - Throws: `badData` for tokens or lengths that the model does not allow, `usage` for a start
  ///   or a site that does not fit, or what the editor throws.
  public func loss(
    _ batch: PackedBatch,
    editor: (any HiddenStateEditor)?,
    from start: BlockInput? = nil
  ) throws -> [Float] {
    try run(batch, editor: editor, scale: nil, from: start)
  }

  /// The same, and the backward pass of scale × Σ nll, which calls the editor's edits in reverse.
  ///
  /// - Parameters:
  ///   - batch: the sequences.
  ///   - editor: edits hidden states, and takes their gradients.
  ///   - scale: the derivative of the whole with respect to each label's loss.
  ///   - start: where to start instead of at the embeddings.
  /// - Returns: as `loss`.
  /// - Throws: as `loss`.
  public func lossAndGradient(
    _ batch: PackedBatch,
    editor: any HiddenStateEditor,
    scale: Float,
    from start: BlockInput? = nil
  ) throws -> [Float] {
    try run(batch, editor: editor, scale: scale, from: start)
  }

  /// The same, where what each label's loss counts is known once all losses are.
  ///
  /// - Parameters:
  ///   - batch: the sequences.
  ///   - editor: edits hidden states, and takes their gradients.
  ///   - start: where to start instead of at the embeddings.
  ///   - slopes: the derivative of the whole by each label's loss, given all of them.
  /// - Returns: as `loss`.
  /// - Throws: as `loss`.
  /// - Precondition: there are as many slopes as labels.
  public func lossAndGradient(
    _ batch: PackedBatch,
    editor: any HiddenStateEditor,
    from start: BlockInput? = nil,
    slopes: (_ losses: [Float]) -> [Float]
  ) throws -> [Float] {
    try run(batch, editor: editor, scale: 1, slopes: slopes, from: start)
  }

  /// The unedited residual stream entering `block`, to be kept across epochs.
  ///
  /// - Throws: `badData` for tokens or lengths that the model does not allow, `usage` for a block
  ///   that it does not have.
  public func blockInput(_ block: Int, of batch: PackedBatch) throws -> BlockInput {
    try model.check(batch)
    try model.checkBlock(block)
    let layout = PassLayout(batch, of: model, outputs: batch.labelTokens, editor: nil)
    pass.begin(layout, tail: nil, editor: nil, firstKept: model.configuration.layers)
    embed()
    let program = program([], narrows: false)
    try forward(program.steps[..<program.starts[block]])
    let d = model.configuration.hiddenSize
    let computed = pass.stream(block)
    return try BlockInput(block: block, computed, layout, of: batch, width: d)
  }

  private func run(
    _ batch: PackedBatch,
    editor: (any HiddenStateEditor)?,
    scale: Float?,
    slopes: (_ losses: [Float]) -> [Float]? = { _ in nil },
    from start: BlockInput?
  ) throws -> [Float] {
    guard let lossHead else {
      throw ReFTError.predictsNoTokens(model.plan.architecture, model.path)
    }
    var losses: [Float] = []
    try run(
      batch,
      outputs: batch.labelTokens,
      editor: editor,
      differentiates: scale != nil,
      from: start
    ) { states, gradient in
      losses = lossHead.loss(
        labels: batch.labels,
        hidden: states,
        scale: scale ?? 1,
        gradient: gradient
      )
      guard let gradient, let slopes = slopes(losses) else { return }
      precondition(slopes.count == losses.count)
      let d = model.configuration.hiddenSize
      for (row, slope) in slopes.enumerated() { reft_scale_f32(d, slope, gradient + row * d) }
    }
    return losses
  }

  /// What turns the final states of some rows, [n, d], into whatever is wanted of them, and where there
  /// is a second pointer fills it with the gradient of a loss by these states.
  typealias PassEnd = (UnsafePointer<Float>, UnsafeMutablePointer<Float>?) throws -> Void

  /// Runs a pass whose last part is the caller's.
  ///
  /// - Parameters:
  ///   - batch: the sequences.
  ///   - tokens: the batch indices of the tokens whose final states are wanted, ascending.
  ///   - editor: edits hidden states, and takes their gradients.
  ///   - differentiates: whether the way back runs; without sites there is none.
  ///   - start: where to start instead of at the embeddings.
  ///   - end: takes the states; not called without tokens.
  /// - Throws: as `loss`, or what `end` throws.
  func run(
    _ batch: PackedBatch,
    outputs tokens: [Int32],
    editor: (any HiddenStateEditor)?,
    differentiates: Bool,
    from start: BlockInput?,
    end: PassEnd
  ) throws {
    let request = try BatchPass(
      model,
      batch,
      outputs: tokens,
      editor: editor,
      differentiates: differentiates,
      from: start
    )
    guard !tokens.isEmpty else { return }
    try checkRoom(
      rows: request.layout.rowCount,
      labels: tokens.count,
      kept: max(0, model.configuration.layers - request.firstKept),
      updates: request.goesBack ? editor?.productUpdates?.keptFloatsPerRow ?? 0 : 0
    )
    pass.begin(
      request.layout,
      tail: request.tail,
      editor: editor,
      firstKept: request.firstKept
    )
    let steps = program(request.sites, narrows: request.tail != nil)
      .steps(from: start?.block ?? 0, startsInside: start != nil)
    begin(start)
    try forward(steps)
    try finish(request.rows, goesBack: request.goesBack, end)
    if request.goesBack { try backward(steps) }
  }

  /// Fills the residual stream entering the first block that runs.
  private func begin(_ start: BlockInput?) {
    guard let start else { return embed() }
    let d = model.configuration.hiddenSize
    let rows = pass.stream(start.block)
    for token in 0..<start.rows.count / d {
      let row = pass.layout.row(ofToken: Int32(token))
      guard row >= 0 else { continue }
      (rows + Int(row) * d).update(from: start.rows.base + token * d, count: d)
    }
  }

  /// Norms the final states of some rows for what ends the pass; with a way back, takes its gradient
  /// to the last block's output.
  private func finish(_ outputs: [Int32], goesBack: Bool, _ end: PassEnd) throws {
    let (d, norm) = (model.configuration.hiddenSize, model.finalNorm?.rows)
    let (n, isNarrow) = (outputs.count, pass.tail != nil)
    let out = pass.stream(model.configuration.layers, inTail: isNarrow)
    let rows = finalRows.floats(n * d)
    // Nobody reads the last block's heads again: its way back begins with gradients.
    let normed = pass.memory.mixed.floats(n * d)
    for (place, row) in outputs.enumerated() {
      (rows + place * d).update(from: out + (isNarrow ? place : Int(row)) * d, count: d)
    }
    if let norm {
      norm.apply(rows, normed, count: n)
    } else {
      normed.update(from: rows, count: n * d)
    }
    let slopes = goesBack ? finalGradients.floats(n * d) : nil
    try end(normed, slopes)
    pass.clock?.lap(.head)
    guard let slopes else { return }
    // Room for all rows, since the way back widens to them.
    _ = pass.gradient(inTail: false)
    let gradient = pass.gradient(inTail: isNarrow)
    gradient.update(repeating: 0, count: pass.rowCount(inTail: isNarrow) * d)
    for (place, row) in outputs.enumerated() {
      let target = gradient + (isNarrow ? place : Int(row)) * d
      if let norm {
        norm.addGradient(of: rows + place * d, slopes + place * d, to: target)
      } else {
        reft_axpy_f32(d, 1, slopes + place * d, target)
      }
    }
  }
}
