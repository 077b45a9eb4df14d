// SPDX-License-Identifier: Apache-2.0
// Causal attention with grouped queries; the way back is in Attention+Backward. Query rows go in blocks; blocks of
// keys that lie in the future are skipped. Scores of a block are the only thing kept.

import CReFTKernels
import ReFTTensor

struct Attention {
  let heads: Int
  let keyValueHeads: Int
  let headSize: Int
  let pool: ThreadPool

  /// Query rows whose scores are computed at once.
  static let queryBlock = 48
  /// Query rows that one task handles.
  private static let taskRows = 192
  /// Keys that one packed run of the value product holds.
  static let keyRun = 256

  var group: Int { heads / keyValueHeads }
  var queryWidth: Int { heads * headSize }
  var rowWidth: Int { (heads + 2 * keyValueHeads) * headSize }
  var scale: Float { 1 / Float(headSize).squareRoot() }

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

  /// The keys that a span's rows may see, in panels of 16.
  func keyPanels(
    of span: RowSpan,
    head: Int,
    block: Int,
    count: Int,
    rows: UnsafePointer<Float>,
    into panels: UnsafeMutablePointer<Float>
  ) {
    switch span.keys {
    case .cache(let cache, _):
      let keys = cache.keys(block: block, head: head)
      reft_cache_key_panels(cache.format.raw, headSize, count, keys, panels)
    case .rows:
      let keys = gather(0, of: span, head: head, count: count, rows: rows, slot: 0)
      packTransposed(keys, count: count, into: panels)
    }
  }

  /// The values that a span's rows may see, [count, headSize].
  func values(
    of span: RowSpan,
    head: Int,
    block: Int,
    count: Int,
    rows: UnsafePointer<Float>,
    slot: Int
  ) -> UnsafePointer<Float> {
    switch span.keys {
    case .cache(let cache, _):
      let out = ThreadScratch.floats(count * headSize, slot: slot)
      let values = cache.values(block: block, head: head)
      reft_cache_value_rows(cache.format.raw, headSize, count, values, out)
      return UnsafePointer(out)
    case .rows:
      return gather(1, of: span, head: head, count: count, rows: rows, slot: slot)
    }
  }

  /// The keys (part 0) or values (part 1) that lie in a pass's own rows, [count, headSize].
  func gather(
    _ part: Int,
    of span: RowSpan,
    head: Int,
    count: Int,
    rows: UnsafePointer<Float>,
    slot: Int
  ) -> UnsafePointer<Float> {
    var prefixCount = 0
    if case .rows(let count) = span.keys { prefixCount = count }
    let out = ThreadScratch.floats(count * headSize, slot: slot)
    let column = queryWidth + (part * keyValueHeads + head) * headSize
    for index in 0..<count {
      let row = index < prefixCount ? index : span.start + index - prefixCount
      (out + index * headSize).update(from: rows + row * rowWidth + column, count: headSize)
    }
    return UnsafePointer(out)
  }

  /// Appends the keys and values of a pass's rows to the caches of its sequences.
  func store(
    _ spans: [RowSpan],
    block: Int,
    rows: UnsafePointer<Float>
  ) {
    pool.run(spans.count * keyValueHeads) { index in
      store(
        spans[index / keyValueHeads],
        head: index % keyValueHeads,
        block: block,
        rows: rows
      )
    }
  }

  /// The same for one sequence, on the calling thread.
  func store(_ span: RowSpan, block: Int, rows: UnsafePointer<Float>) {
    for head in 0..<keyValueHeads { store(span, head: head, block: block, rows: rows) }
  }

  private func store(_ span: RowSpan, head: Int, block: Int, rows: UnsafePointer<Float>) {
    guard case .cache(let cache, let past) = span.keys else { return }
    let key = rows + span.start * rowWidth + queryWidth + head * headSize
    reft_cache_store(
      cache.format.raw,
      headSize,
      past,
      span.count,
      key,
      key + keyValueHeads * headSize,
      rowWidth,
      cache.keys(block: block, head: head),
      cache.values(block: block, head: head)
    )
  }

  /// out[row, queryWidth] = softmax(q Kᵀ / √headSize) V for all rows of all spans.
  ///
  /// - Parameters:
  ///   - spans: the sequences.
  ///   - block: whose caches to read, where keys lie in caches.
  ///   - rows: queries, keys and values after rotation, [rows, rowWidth].
  ///   - out: takes [rows, queryWidth].
  ///   - logSumExp: takes [rows, heads] when a backward pass follows.
  func forward(
    _ spans: [RowSpan],
    block: Int,
    rows: UnsafePointer<Float>,
    out: UnsafeMutablePointer<Float>,
    logSumExp: UnsafeMutablePointer<Float>?
  ) {
    let decoded = spans.filter(\.isDecodedToken)
    if !decoded.isEmpty {
      let join = forward(decoded: decoded, block: block, rows: rows, out: out)
      for index in decoded.indices { join(index) }
    }
    let prompts = decoded.isEmpty ? spans : spans.filter { !$0.isDecodedToken }
    let tasks = tasks(prompts, rowsPerTask: Self.taskRows)
    pool.run(tasks.count) { index in
      forward(tasks[index], block: block, rows: rows, out: out, logSumExp: logSumExp)
    }
  }

  private func forward(
    _ task: Task,
    block: Int,
    rows: UnsafePointer<Float>,
    out: UnsafeMutablePointer<Float>,
    logSumExp: UnsafeMutablePointer<Float>?
  ) {
    let span = task.span
    let keyCount = span.past + task.firstRow + task.rowCount
    let padded = (keyCount + 15) / 16 * 16
    let panels = ThreadScratch.floats(padded * headSize, slot: 2)
    let valuePanels = ThreadScratch.floats(keyCount * paddedHeadSize, slot: 3)
    let scores = ThreadScratch.floats(Self.queryBlock * padded, slot: 4)
    keyPanels(
      of: span,
      head: task.keyValueHead,
      block: block,
      count: keyCount,
      rows: rows,
      into: panels
    )
    let values = values(
      of: span,
      head: task.keyValueHead,
      block: block,
      count: keyCount,
      rows: rows,
      slot: 1
    )
    pack(values, count: keyCount, into: valuePanels)
    for head in task.heads {
      for first in stride(
        from: task.firstRow,
        to: task.firstRow + task.rowCount,
        by: Self.queryBlock
      ) {
        let count = min(Self.queryBlock, task.firstRow + task.rowCount - first)
        let seen = span.past + first + count
        let width = (seen + 15) / 16 * 16
        let query = rows + (span.start + first) * rowWidth + head * headSize
        reft_gemm_packed_f32(
          count,
          width,
          headSize,
          query,
          rowWidth,
          panels,
          headSize * 16,
          scores,
          padded,
          0
        )
        for row in 0..<count {
          var lse: Float = 0
          _ = reft_softmax_f32(
            span.past + first + row + 1,
            width,
            scale,
            scores + row * padded,
            &lse
          )
          if let logSumExp { logSumExp[(span.start + first + row) * heads + head] = lse }
        }
        weigh(
          scores,
          stride: padded,
          rows: count,
          keys: seen,
          panels: valuePanels,
          keyCount: keyCount,
          out: out + (span.start + first) * queryWidth + head * headSize
        )
      }
    }
  }

  var paddedHeadSize: Int { (headSize + 15) / 16 * 16 }

  /// Panels of 16 keys, for products with Kᵀ.
  func packTransposed(
    _ rows: UnsafePointer<Float>,
    count: Int,
    into panels: UnsafeMutablePointer<Float>
  ) {
    for first in stride(from: 0, to: count, by: 16) {
      reft_pack_transposed_f32(
        headSize,
        min(16, count - first),
        rows + first * headSize,
        headSize,
        panels + first * headSize
      )
    }
  }

  /// Panels of 16 columns over `count` rows, for products with a [count, headSize] matrix.
  func pack(
    _ rows: UnsafePointer<Float>,
    count: Int,
    stride rowStride: Int? = nil,
    into panels: UnsafeMutablePointer<Float>
  ) {
    let rowStride = rowStride ?? headSize
    for panel in 0..<paddedHeadSize / 16 {
      let width = min(16, headSize - panel * 16)
      for row in 0..<count {
        let target = panels + (panel * count + row) * 16
        target.update(from: rows + row * rowStride + panel * 16, count: width)
        for column in width..<16 { target[column] = 0 }
      }
    }
  }

  /// out = weights · values, in runs of keys at fixed places, so that a row's bits do not depend
  /// on how many keys its block sees: weights of unseen keys are zero.
  private func weigh(
    _ weights: UnsafePointer<Float>,
    stride weightStride: Int,
    rows: Int,
    keys: Int,
    panels: UnsafePointer<Float>,
    keyCount: Int,
    out: UnsafeMutablePointer<Float>
  ) {
    for first in stride(from: 0, to: keys, by: Self.keyRun) {
      let run = min(Self.keyRun, keys - first)
      reft_gemm_packed_f32(
        rows,
        headSize,
        run,
        weights + first,
        weightStride,
        panels + first * 16,
        keyCount * 16,
        out,
        queryWidth,
        first > 0 ? 1 : 0
      )
    }
  }
}
