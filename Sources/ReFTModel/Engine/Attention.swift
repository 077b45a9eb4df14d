// SPDX-License-Identifier: Apache-2.0
// Attention with grouped queries over all keys up to a row's own, over a window of these, or over all; the way
// back is in Attention+Backward, decoded rows in Attention+Decode, the same on matrix tiles in
// Attention+Tiles. Query rows go in blocks; blocks of keys that no query of a block sees are skipped.
// Scores of a block are the only thing kept.

import CReFTKernels
import ReFTTensor

struct Attention: Sendable {
  let heads: Int
  let keyValueHeads: Int
  let headSize: Int
  /// Multiplies the scores.
  let scale: Float
  /// c in c · tanh(score / c); nil for none.
  let softCap: Float?
  /// How many keys a row sees at most, its own among them.
  let window: Int
  /// Whether a row sees none behind its own.
  let isCausal: Bool

  /// Query rows whose scores are computed at once.
  static let queryBlock = 48
  /// Query rows that one task handles.
  private static let taskRows = 192
  /// Keys that one packed run of the value product holds.
  static let keyRun = 256

  init(_ plan: ModelPlan.Attention) {
    heads = plan.heads
    keyValueHeads = plan.keyValueHeads
    headSize = plan.headSize
    scale = plan.scale
    softCap = plan.softCap
    isCausal = plan.mask != .full
    if case .window(let size) = plan.mask { window = size } else { window = Int.max }
  }

  var group: Int { heads / keyValueHeads }
  var queryWidth: Int { heads * headSize }
  var rowWidth: Int { (heads + 2 * keyValueHeads) * headSize }
  var paddedHeadSize: Int { (headSize + 15) / 16 * 16 }

  /// The first key that the row at a position sees.
  func firstKey(at position: Int) -> Int { max(0, position - window + 1) }

  /// One behind the last key that the row at a position of a sequence sees.
  func keyEnd(at position: Int, of span: RowSpan) -> Int {
    isCausal ? position + 1 : span.past + span.count
  }

  /// One piece of the work: some query rows of one sequence, for one key-value head.
  struct Task {
    var span: RowSpan
    var spanIndex: Int
    var keyValueHead: Int
    /// Which of its queries.
    var heads: Range<Int>
    var firstRow: Int
    var rowCount: Int
  }

  /// What every piece of a pass reads and writes.
  struct Rows {
    /// Whose caches to read, where keys lie in caches.
    var block: Int
    /// Queries, keys and values as the attention reads them, [rows, rowWidth].
    var heads: UnsafePointer<Float>
    /// Takes [rows, queryWidth].
    var out: UnsafeMutablePointer<Float>
    /// Takes [rows, heads] when a backward pass follows.
    var logSumExp: UnsafeMutablePointer<Float>?
  }

  func tasks(_ spans: [RowSpan], rowsPerTask: Int) -> [Task] {
    var tasks: [Task] = []
    for (index, span) in spans.enumerated() {
      for first in stride(from: 0, to: span.count, by: rowsPerTask) {
        for head in 0..<keyValueHeads {
          tasks.append(
            Task(
              span: span,
              spanIndex: index,
              keyValueHead: head,
              heads: head * group..<(head + 1) * group,
              firstRow: first,
              rowCount: min(rowsPerTask, span.count - first)
            )
          )
        }
      }
    }
    // The costly ones first, so that threads end together.
    return tasks.enumerated().sorted { a, b in
      let costA = a.element.rowCount * (a.element.span.past + a.element.firstRow)
      let costB = b.element.rowCount * (b.element.span.past + b.element.firstRow)
      return costA == costB ? a.offset < b.offset : costA > costB
    }.map(\.element)
  }

  /// out[row, queryWidth] = softmax(scale q Kᵀ) V for all rows of all spans.
  ///
  /// - Parameters:
  ///   - spans: the sequences.
  ///   - block: whose caches to read, where keys lie in caches.
  ///   - rows: queries, keys and values after rotation, [rows, rowWidth].
  ///   - out: takes [rows, queryWidth].
  ///   - logSumExp: takes [rows, heads] when a backward pass follows.
  ///   - splits: whether products go to matrix tiles, on numbers that are split in two; keys then lie
  ///     in caches, and no way back follows.
  ///   - pool: the threads to use.
  func forward(
    _ spans: [RowSpan],
    block: Int,
    rows: UnsafePointer<Float>,
    out: UnsafeMutablePointer<Float>,
    logSumExp: UnsafeMutablePointer<Float>?,
    splits: Bool,
    pool: ThreadPool
  ) {
    let decoded = spans.filter(\.isDecodedToken)
    if !decoded.isEmpty {
      let join = forward(decoded: decoded, block: block, rows: rows, out: out, pool: pool)
      for index in decoded.indices { join(index) }
    }
    let prompts = decoded.isEmpty ? spans : spans.filter { !$0.isDecodedToken }
    let tasks = tasks(prompts, rowsPerTask: Self.taskRows)
    let rows = Rows(block: block, heads: rows, out: out, logSumExp: logSumExp)
    let forward = splits && fitsTiles ? forwardOnTiles : forward
    pool.run(tasks.count) { index in forward(tasks[index], rows) }
  }

  private func forward(_ task: Task, _ rows: Rows) {
    let keys = packKeys(of: task, rows)
    let scores = ThreadScratch.floats(Self.queryBlock * keys.padded, .scores)
    let end = task.firstRow + task.rowCount
    for head in task.heads {
      for first in stride(from: task.firstRow, to: end, by: Self.queryBlock) {
        let block = QueryBlock(
          head: head,
          first: first,
          count: min(Self.queryBlock, end - first),
          of: task.span,
          keys: keys,
          attention: self
        )
        weights(of: block, task.span, keys, rows, into: scores)
        weigh(
          scores,
          block,
          keys,
          out: rows.out + (task.span.start + first) * queryWidth + head * headSize
        )
      }
    }
  }

  /// Softmax weights of a block of queries, and their log-sum-exp.
  private func weights(
    of block: QueryBlock,
    _ span: RowSpan,
    _ keys: PackedKeys,
    _ rows: Rows,
    into scores: UnsafeMutablePointer<Float>
  ) {
    let start = span.start + block.first
    reft_gemm_packed_f32(
      block.count,
      block.width,
      headSize,
      rows.heads + start * rowWidth + block.head * headSize,
      rowWidth,
      keys.keyPanels + block.firstKey * headSize,
      headSize * 16,
      scores + block.firstKey,
      keys.padded,
      0
    )
    for row in 0..<block.count {
      let seen = block.seen(row, self, keys)
      let own = scores + row * keys.padded
      for key in block.firstKey..<seen.lowerBound { own[key] = 0 }
      if let softCap { reft_softcap_f32(seen.count, scale, softCap, own + seen.lowerBound) }
      var logSumExp: Float = 0
      _ = reft_softmax_f32(
        seen.count,
        block.firstKey + block.width - seen.lowerBound,
        softCap == nil ? scale : 1,
        own + seen.lowerBound,
        &logSumExp
      )
      if let all = rows.logSumExp { all[(start + row) * heads + block.head] = logSumExp }
    }
  }

  /// out = weights · values, in runs of keys at fixed places, so that a row's bits do not depend
  /// on how many keys its block sees: weights of unseen keys are zero.
  private func weigh(
    _ weights: UnsafePointer<Float>,
    _ block: QueryBlock,
    _ keys: PackedKeys,
    out: UnsafeMutablePointer<Float>
  ) {
    var first = block.firstKey
    while first < block.end {
      let next = keys.runEnd(from: first, to: block.end)
      reft_gemm_packed_f32(
        block.count,
        headSize,
        next - first,
        weights + first,
        keys.padded,
        keys.valuePanels + first * 16,
        keys.count * 16,
        out,
        queryWidth,
        first > block.firstKey ? 1 : 0
      )
      first = next
    }
  }
}

/// A block of query rows of one head, in places of the packed keys.
struct QueryBlock {
  let head: Int
  /// Its first row in the span.
  let first: Int
  let count: Int
  /// The first key that is looked at, a multiple of 16.
  let firstKey: Int
  /// One behind the last key that a row of it sees.
  let end: Int
  /// The position of its first row.
  private let position: Int
  private let span: RowSpan

  init(
    head: Int,
    first: Int,
    count: Int,
    of span: RowSpan,
    keys: PackedKeys,
    attention: Attention
  ) {
    (self.head, self.first, self.count, self.span) = (head, first, count, span)
    position = span.past + first
    firstKey = (attention.firstKey(at: position) - keys.start) / 16 * 16
    end = attention.keyEnd(at: position + count - 1, of: span) - keys.start
  }

  /// Keys that are looked at, in whole panels.
  var width: Int { (end - firstKey + 15) / 16 * 16 }

  /// The keys that one of its rows sees.
  func seen(_ row: Int, _ attention: Attention, _ keys: PackedKeys) -> Range<Int> {
    let own = position + row
    let end = attention.keyEnd(at: own, of: span)
    return attention.firstKey(at: own) - keys.start..<end - keys.start
  }
}
