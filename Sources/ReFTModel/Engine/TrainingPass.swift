// SPDX-License-Identifier: Apache-2.0
// Loss of a packed batch, and its gradient down to the lowest edited site.

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
}

/// Runs batches forward and backward through one model, with memory of its own that it reuses.
///
/// Not thread-safe; it uses the pool's threads by itself. A label's loss has the same bits whatever
/// other sequences are in the batch and however many threads there are.
public final class TrainingPass {
  private let model: FrozenModel
  private let stack: BlockStack
  private let lossHead: LossHead
  private var states: [BlockState] = []
  private let scratchState = BlockState()
  private var final = GrowingBuffer()
  private var labelRows = GrowingBuffer()
  private var labelGradient = GrowingBuffer()
  private var gradient = GrowingBuffer()
  /// The most rows of a pass, labels, and kept blocks that there was room for.
  private var roomiest = (rows: 0, labels: 0, kept: 0)

  /// Prepares passes through a model.
  ///
  /// - Parameters:
  ///   - model: the model; kept alive by the pass.
  ///   - pool: the threads that do the work.
  public init(model: FrozenModel, pool: ThreadPool = .shared) {
    self.model = model
    stack = BlockStack(model: model, pool: pool)
    lossHead = LossHead(model: model, pool: pool)
  }

  /// Where the time of some passes goes.
  ///
  /// - Throws: what `body` throws.
  package func profile(_ body: () throws -> Void) rethrows -> WorkProfile {
    defer { stack.clock = nil }
    return try WorkProfile { clock in
      stack.clock = clock
      try body()
    }
  }

  /// How many tokens a pass may have so that what it keeps for its backward pass fits a budget.
  ///
  /// - Parameters:
  ///   - model: the model.
  ///   - block: the lowest block whose backward pass runs.
  ///   - byteCount: the budget; 640 MiB by default, about 1,000 tokens of a model of 135 million
  ///     weights with edits in all blocks.
  /// - Returns: from 256 to 8192, so that short passes are not all packing and long ones share what
  ///   sequences have in common.
  public static func tokenBudget(
    _ model: FrozenModel,
    keptFrom block: Int,
    byteCount: Int = 640 << 20
  ) -> Int {
    let shape = model.configuration
    let floats =
      2 * shape.hiddenSize + shape.queryWidth + 2 * shape.keyValueWidth + shape.heads
      + 2 * shape.feedForwardSize
    let kept = max(1, shape.layers - block) * floats * MemoryLayout<Float>.size
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

  /// The same, and the backward pass of scale × Σ nll, which calls `editor.differentiate`.
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

  /// The unedited residual stream entering `block`, to be kept across epochs.
  ///
  /// - Throws: `badData` for tokens or lengths that the model does not allow, `usage` for a block
  ///   that it does not have.
  public func blockInput(_ block: Int, of batch: PackedBatch) throws -> BlockInput {
    try check(batch)
    try model.checkBlock(block)
    let layout = PassLayout(batch, sharedPrefix: sharedPrefix(batch, editor: nil))
    stack.layout = layout
    stack.tail = nil
    stack.editor = nil
    stack.sites = []
    let d = model.configuration.hiddenSize
    stack.embed(into: scratchState.input.floats(layout.rowCount * d))
    for index in 0..<block {
      try stack.forward(
        index,
        state: scratchState,
        output: { self.final.floats($0) },
        keepsState: false
      )
      swap(&final, &scratchState.input)
    }
    let computed = scratchState.input.floats(layout.rowCount * d)
    let rows = try FloatBuffer(
      reserving: batch.tokens.count * d,
      for: MemoryPurpose("a batch of \(batch.tokens.count) tokens", remedy: "use shorter rows")
    )
    for segment in batch.segments {
      for offset in 0..<segment.count {
        // Tokens of a shared prefix have their row in the first sequence.
        let own = layout.row(ofToken: Int32(segment.start + offset))
        let row = own < 0 ? Int32(offset) : own
        (rows.base + (segment.start + offset) * d).update(from: computed + Int(row) * d, count: d)
      }
    }
    return BlockInput(block: block, rows: rows)
  }

  private func check(_ batch: PackedBatch) throws(ReFTError) {
    for segment in batch.segments {
      guard segment.count > 0 else { throw .emptySequence() }
      guard segment.count <= model.configuration.contextLength else {
        throw .sequenceTooLong(segment.count, contextLength: model.configuration.contextLength)
      }
    }
    let vocabulary = model.configuration.vocabularySize
    for (index, token) in batch.tokens.enumerated() where token < 0 || token >= vocabulary {
      throw .tokenOutOfRange(token, at: index, vocabularySize: vocabulary)
    }
    for (index, token) in batch.labels.enumerated() where token < 0 || token >= vocabulary {
      throw .tokenOutOfRange(token, at: index, vocabularySize: vocabulary)
    }
  }

  private func check(
    _ start: BlockInput?,
    _ batch: PackedBatch,
    _ sites: Set<Site>
  ) throws(ReFTError) {
    try model.checkSites(sites)
    guard let start else { return }
    try model.checkBlock(start.block)
    let expected = batch.tokens.count * model.configuration.hiddenSize
    guard start.rows.count == expected else {
      throw .startOfAnotherBatch(floats: start.rows.count, expected: expected)
    }
    let earliest = Site(block: start.block - 1, component: .blockOutput)
    if let site = sites.first(where: { $0.block < start.block && $0 != earliest }) {
      throw .startAboveEdit(site, start: start.block)
    }
  }

  /// How many leading tokens all sequences share, so that their rows need computing only once.
  private func sharedPrefix(_ batch: PackedBatch, editor: (any HiddenStateEditor)?) -> Int {
    guard batch.segments.count > 1, let first = batch.segments.first else { return 0 }
    var limit = editor?.sharedPrefixLimit ?? Int.max
    for segment in batch.segments { limit = min(limit, segment.count - 1) }
    for token in batch.labelTokens {
      // A label's row belongs to its own sequence.
      guard let segment = batch.segments.last(where: { $0.start <= Int(token) }) else { continue }
      limit = min(limit, Int(token) - segment.start)
    }
    var count = 0
    while count < limit {
      let token = batch.tokens[first.start + count]
      guard batch.segments.allSatisfy({ batch.tokens[$0.start + count] == token }) else { break }
      count += 1
    }
    return count < 8 ? 0 : count
  }

  private func run(
    _ batch: PackedBatch,
    editor: (any HiddenStateEditor)?,
    scale: Float?,
    from start: BlockInput?
  ) throws -> [Float] {
    try check(batch)
    try check(start, batch, editor?.sites ?? [])
    guard !batch.labels.isEmpty else { return [] }
    let shape = model.configuration
    let d = shape.hiddenSize
    let layout = PassLayout(batch, sharedPrefix: sharedPrefix(batch, editor: editor))
    stack.layout = layout
    stack.editor = editor
    stack.sites = editor?.sites ?? []
    let labelRows = batch.labelTokens.map { layout.row(ofToken: $0) }
    stack.tail =
      editor?.needsAllRows == true
      ? nil : TailRows(rows: labelRows, layout: layout, tokenCount: batch.tokens.count)

    // Forward.
    let firstBlock = start?.block ?? 0
    let lowest = stack.sites.map(\.block).min() ?? shape.layers
    let onlyOutput = !stack.sites.contains { $0.block == lowest && $0.component != .blockOutput }
    let firstKept = scale == nil ? shape.layers : onlyOutput ? lowest + 1 : lowest
    try checkRoom(
      rows: layout.rowCount,
      labels: batch.labels.count,
      kept: shape.layers - firstKept
    )
    while states.count < shape.layers { states.append(BlockState()) }
    var state = state(firstBlock, firstKept: firstKept)
    begin(layout, start: start, into: state.input.floats(layout.rowCount * d))
    if start != nil { try stack.editOutput(of: firstBlock - 1, in: state) }
    for index in firstBlock..<shape.layers {
      let isKept = index >= firstKept
      let isLast = index + 1 == shape.layers
      let next = isLast ? nil : self.state(index + 1, firstKept: firstKept)
      if let next, next !== state {
        try stack.forward(
          index,
          state: state,
          output: { next.input.floats($0) },
          keepsState: isKept
        )
      } else {
        try stack.forward(
          index,
          state: state,
          output: { self.final.floats($0) },
          keepsState: isKept
        )
        if !isLast { swap(&final, &state.input) }
      }
      state = next ?? state
    }

    // Head.
    let n = batch.labels.count
    let out = final.floats((stack.tail == nil ? layout.rowCount : n) * d)
    let rows = self.labelRows.floats(2 * n * d)
    let normed = rows + n * d
    for (place, row) in labelRows.enumerated() {
      let source = stack.tail == nil ? Int(row) : place
      (rows + place * d).update(from: out + source * d, count: d)
    }
    reft_rmsnorm_f32(n, d, rows, d, model.outputNorm.base, shape.normEpsilon, normed, d)
    let dNormed = scale == nil ? nil : labelGradient.floats(n * d)
    let losses = lossHead.loss(
      labels: batch.labels,
      hidden: normed,
      scale: scale ?? 1,
      gradient: dNormed
    )
    stack.clock?.lap(.head)

    // Backward.
    guard let dNormed, !stack.sites.isEmpty else { return losses }
    let gradientRows = stack.tail == nil ? layout.rowCount : n
    let grad = gradient.floats(layout.rowCount * d)
    grad.update(repeating: 0, count: gradientRows * d)
    for (place, row) in labelRows.enumerated() {
      let target = stack.tail == nil ? Int(row) : place
      reft_rmsnorm_backward_f32(
        1,
        d,
        rows + place * d,
        d,
        model.outputNorm.base,
        shape.normEpsilon,
        dNormed + place * d,
        d,
        grad + target * d,
        d
      )
    }
    stack.sitesLeft = stack.sites.count
    for index in stride(from: shape.layers - 1, through: firstBlock, by: -1) {
      if stack.sitesLeft == 0 { break }
      try stack.backward(
        index,
        state: self.state(index, firstKept: firstKept),
        gradient: &gradient
      )
    }
    if stack.sitesLeft > 0 { try stack.differentiateOutput(of: firstBlock - 1, &gradient) }
    return losses
  }

  /// Makes sure of the memory of a pass that is larger than those before, while an error can still
  /// be told.
  private func checkRoom(rows: Int, labels: Int, kept: Int) throws(ReFTError) {
    guard rows > roomiest.rows || labels > roomiest.labels || kept > roomiest.kept else { return }
    let shape = model.configuration
    let purpose = MemoryPurpose(
      "a pass of \(rows) tokens",
      remedy: "use fewer tokens in a pass (--micro-batch-tokens, 'train.micro_batch_tokens') or "
        + "shorter rows ('data.max_length')"
    )
    let ofBlock =
      2 * shape.hiddenSize + shape.queryWidth + 2 * shape.keyValueWidth + shape.heads
      + 2 * shape.feedForwardSize
    let shared =
      3 * shape.hiddenSize + 2 * shape.queryWidth + 2 * shape.keyValueWidth + shape.feedForwardSize
    let row = ofBlock * (kept + 1) + shared
    let floats = try MemoryRoom.product(rows, row, for: purpose)
    // The head keeps eight sums of a label's row on the way back.
    let head = try MemoryRoom.product(labels, (kept > 0 ? 11 : 2) * shape.hiddenSize, for: purpose)
    try MemoryRoom.check(byteCount: 4 * (floats + head), for: purpose)
    roomiest = (max(rows, roomiest.rows), max(labels, roomiest.labels), max(kept, roomiest.kept))
  }

  private func state(_ index: Int, firstKept: Int) -> BlockState {
    index >= firstKept ? states[index] : scratchState
  }

  /// Fills the residual stream entering the first block that runs.
  private func begin(
    _ layout: PassLayout,
    start: BlockInput?,
    into rows: UnsafeMutablePointer<Float>
  ) {
    guard let start else {
      stack.embed(into: rows)
      return
    }
    let d = model.configuration.hiddenSize
    let count = start.rows.count / d
    for token in 0..<count {
      let row = layout.row(ofToken: Int32(token))
      guard row >= 0 else { continue }
      (rows + Int(row) * d).update(from: start.rows.base + token * d, count: d)
    }
  }
}
