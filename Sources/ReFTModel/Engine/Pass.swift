// SPDX-License-Identifier: Apache-2.0
// The state of one pass through a compiled model: which rows are computed, and where what steps
// compute for each other lies.

import ReFTTensor

/// What is to be done to one row before somebody reads it.
typealias RowWork = (_ row: Int) -> Void

/// Memory that grows to the largest size asked for and is then reused.
struct GrowingBuffer {
  private var buffer: FloatBuffer?

  mutating func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
    if let buffer, buffer.count >= count { return buffer.base }
    // What was there is not kept: it goes first, so that the two are never held at once.
    buffer = nil
    // A little more than asked, since the next batch may be a little longer.
    let grown = FloatBuffer(count: count + count / 16)
    buffer = grown
    return grown.base
  }
}

/// What a block keeps for its way back, T rows or the R rows of the tail; blocks without a way back
/// share one.
final class BlockMemory {
  /// The block's input after edits, [T, d].
  var input = GrowingBuffer()
  /// Queries, keys and values as the attention reads them, [T, queryWidth + 2 keyValueWidth].
  var queryKeyValue = GrowingBuffer()
  /// Queries and keys before their norms, [T, queryWidth + keyValueWidth].
  var bareHeads = GrowingBuffer()
  /// Log-sum-exp of the scores, [T, heads].
  var logSumExp = GrowingBuffer()
  /// The attention's output before its own norm, or its sum with the stream, [R, d].
  var attentionProduct = GrowingBuffer()
  /// The residual stream after the attention, [R, d].
  var middle = GrowingBuffer()
  /// Gate and up projections, [R, 2 f], or up alone, [R, f]; on the way back their gradients.
  var mlpInput = GrowingBuffer()
  /// The edited activation, [R, f]; only where `mlp_activation` is edited.
  var activation = GrowingBuffer()
  /// The MLP's output before its own norm, or its sum with the stream, [R, d].
  var mlpProduct = GrowingBuffer()
  /// What each product read, [T or R, its width]; only of those that have updates.
  var sources = [GrowingBuffer](repeating: GrowingBuffer(), count: BlockProduct.allCases.count)
}

/// What steps hand each other within a block; on the way back the gradients of the same.
struct PassMemory {
  /// The residual stream between blocks that keep nothing, by turns, [T, d].
  var streams = [GrowingBuffer(), GrowingBuffer()]
  /// What a branch reads after its norm, [T, d].
  var normed = GrowingBuffer()
  /// The weighted values of all heads, [T, queryWidth].
  var mixed = GrowingBuffer()
  /// The gated activation, [R, f].
  var hidden = GrowingBuffer()
  /// A branch's output where it is edited before it is added, [R, d].
  var product = GrowingBuffer()
  /// The residual stream and the weighted values of the tail's rows, compact.
  var tailStream = GrowingBuffer()
  var tailMixed = GrowingBuffer()
  /// d loss / d residual stream, [T, d].
  var gradient = GrowingBuffer()
  /// The same before the MLP added its own, where branches stand side by side, [R, d].
  var parallelGradient = GrowingBuffer()
  /// d loss / d (queries, keys and values), [T, queryWidth + 2 keyValueWidth].
  var headGradients = GrowingBuffer()
  /// What keys and values of a shared prefix receive from each sequence.
  var prefixGradients = GrowingBuffer()
  /// Sums of the attention's pieces that are joined afterwards.
  var partSums = GrowingBuffer()
}

/// The rows and the memory of a pass, which the runtime begins and steps read and write.
final class Pass {
  let shape: ModelConfiguration
  let pool: ThreadPool
  let exchange = RowExchange()
  /// What edits say of the gradient of what their layers read.
  let sourceGradients = SourceGradients()
  /// Where the time goes, when somebody wants to know.
  var clock: WorkClock?
  /// What the activations of decoded rows are rounded to; those of prompts are not.
  let decodePrecision: DecodePrecision
  /// Whether MLPs have a gate.
  let hasGate: Bool

  private(set) var layout = PassLayout(PackedBatch(), sharedPrefix: 0)
  private(set) var tail: TailRows?
  private(set) var editor: (any HiddenStateEditor)?
  /// The first block that keeps what its way back needs.
  private(set) var firstKept = 0
  /// The updates of products.
  private(set) var updates: LowRankUpdates?
  /// Their rows, of all and of the tail, once looked for.
  var updatedRows: [ObjectIdentifier: UpdatedRows] = [:]
  var tailRows: [ObjectIdentifier: UpdatedRows] = [:]
  /// How many taps and updated products the way back has still to visit; at 0 it ends.
  var goalsLeft = 0
  var memory = PassMemory()
  private var kept: [BlockMemory] = []
  private let passing = BlockMemory()

  init(_ model: FrozenModel, pool: ThreadPool, decodePrecision: DecodePrecision) {
    (shape, self.pool, self.decodePrecision) = (model.configuration, pool, decodePrecision)
    hasGate = model.plan.blocks.contains { $0.mlp.gate != nil }
  }

  /// Begins a pass over the rows of a layout.
  ///
  /// - Parameters:
  ///   - layout: the rows.
  ///   - tail: those that the end of the last block still computes; nil for all.
  ///   - editor: whom taps call.
  ///   - firstKept: the first block that keeps what its way back needs.
  func begin(
    _ layout: PassLayout,
    tail: TailRows?,
    editor: (any HiddenStateEditor)?,
    firstKept: Int
  ) {
    (self.layout, self.tail, self.editor) = (layout, tail, editor)
    self.firstKept = firstKept
    updates = editor?.productUpdates
    updatedRows.removeAll(keepingCapacity: true)
    tailRows.removeAll(keepingCapacity: true)
    sourceGradients.removeAll()
    while kept.count < shape.layers { kept.append(BlockMemory()) }
  }

  /// Lets go of the caches that the pass read, so that they live as long as their sequences.
  func end() { layout.spans.removeAll() }

  /// Whether rows' own work is left to whoever reads them, as gathering the threads for it would cost as
  /// much.
  var defersRows: Bool { layout.isDecode }

  /// The rows that a step computes.
  func rowCount(inTail: Bool) -> Int {
    inTail ? tail?.rows.count ?? 0 : layout.rowCount
  }

  /// How they are multiplied.
  func runs(inTail: Bool) -> [RowRun] { inTail ? layout.tailRuns(tail) : layout.runs }

  /// What a block keeps.
  func block(_ index: Int) -> BlockMemory { keeps(index) ? kept[index] : passing }

  /// Whether a block's way back will come.
  func keeps(_ index: Int) -> Bool { index >= firstKept && index < kept.count }

  /// The residual stream entering a block, or leaving the last one.
  func stream(_ block: Int, inTail: Bool = false) -> UnsafeMutablePointer<Float> {
    let count = rowCount(inTail: inTail) * shape.hiddenSize
    if keeps(block) { return kept[block].input.floats(count) }
    return memory.streams[block % 2].floats(count)
  }

  /// The residual stream entering a block; in the tail those rows of it that the tail computes.
  func input(_ block: Int, inTail: Bool) -> UnsafeMutablePointer<Float> {
    guard inTail else { return stream(block) }
    return memory.tailStream.floats(rowCount(inTail: true) * shape.hiddenSize)
  }

  func parallelGradient(inTail: Bool) -> UnsafeMutablePointer<Float> {
    memory.parallelGradient.floats(rowCount(inTail: inTail) * shape.hiddenSize)
  }

  /// d loss / d residual stream.
  func gradient(inTail: Bool) -> UnsafeMutablePointer<Float> {
    memory.gradient.floats(rowCount(inTail: inTail) * shape.hiddenSize)
  }

  /// The width of a row of queries, keys and values.
  var headsWidth: Int { shape.queryWidth + 2 * shape.keyValueWidth }

  func queryKeyValue(_ index: Int) -> UnsafeMutablePointer<Float> {
    block(index).queryKeyValue.floats(layout.rowCount * headsWidth)
  }

  func headGradients() -> UnsafeMutablePointer<Float> {
    memory.headGradients.floats(layout.rowCount * headsWidth)
  }

  func normed(inTail: Bool) -> UnsafeMutablePointer<Float> {
    memory.normed.floats(rowCount(inTail: inTail) * shape.hiddenSize)
  }

  func mixed(inTail: Bool) -> UnsafeMutablePointer<Float> {
    let count = rowCount(inTail: inTail) * shape.queryWidth
    return inTail ? memory.tailMixed.floats(count) : memory.mixed.floats(count)
  }

  func hidden(inTail: Bool) -> UnsafeMutablePointer<Float> {
    memory.hidden.floats(rowCount(inTail: inTail) * shape.feedForwardSize)
  }

  func mlpInput(_ index: Int, inTail: Bool) -> UnsafeMutablePointer<Float> {
    let width = (hasGate ? 2 : 1) * shape.feedForwardSize
    return block(index).mlpInput.floats(rowCount(inTail: inTail) * width)
  }

  func activation(_ index: Int, inTail: Bool) -> UnsafeMutablePointer<Float> {
    block(index).activation.floats(rowCount(inTail: inTail) * shape.feedForwardSize)
  }

  func middle(_ index: Int, inTail: Bool) -> UnsafeMutablePointer<Float> {
    block(index).middle.floats(rowCount(inTail: inTail) * shape.hiddenSize)
  }

  // MARK: Work on rows

  /// Does work on each of some rows, in parallel.
  func rows(_ count: Int, _ work: (_ row: Int) -> Void) {
    // Few rows are those of a decode step; each is worth a piece of its own.
    let chunk = count < 32 ? 1 : 16
    pool.run((count + chunk - 1) / chunk, isFine: true) { index in
      for row in index * chunk..<min(count, (index + 1) * chunk) { work(row) }
    }
  }

  /// Does what is still to be done to rows.
  func settle(_ work: RowWork?, inTail: Bool, _ kind: WorkKind) {
    guard let work else { return }
    rows(rowCount(inTail: inTail), work)
    clock?.lap(kind)
  }
}
