// SPDX-License-Identifier: Apache-2.0
// Causal attention with grouped queries, forward and backward. Query rows go in blocks; blocks of
// keys that lie in the future are skipped. Scores of a block are the only thing kept.

import CReFTKernels
import ReFTTensor

struct Attention {
  let heads: Int
  let keyValueHeads: Int
  let headSize: Int
  let pool: ThreadPool

  /// Query rows whose scores are computed at once.
  private static let queryBlock = 48
  /// Query rows that one task handles.
  private static let taskRows = 192
  /// Keys that one packed run of the value product holds.
  private static let keyRun = 256

  var group: Int { heads / keyValueHeads }
  var queryWidth: Int { heads * headSize }
  var rowWidth: Int { (heads + 2 * keyValueHeads) * headSize }
  var scale: Float { 1 / Float(headSize).squareRoot() }

  /// One piece of the work: some query rows of one sequence, for one key-value head.
  private struct Task {
    var span: RowSpan
    var spanIndex: Int
    var keyValueHead: Int
    var firstRow: Int
    var rowCount: Int
  }

  private func tasks(_ spans: [RowSpan], rowsPerTask: Int) -> [Task] {
    var tasks: [Task] = []
    for (index, span) in spans.enumerated() {
      for first in stride(from: 0, to: span.count, by: rowsPerTask) {
        for head in 0..<keyValueHeads {
          tasks.append(
            Task(
              span: span,
              spanIndex: index,
              keyValueHead: head,
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

  /// The keys (part 0) or values (part 1) that a span's rows may see, [count, headSize].
  private func gather(
    _ part: Int,
    of span: RowSpan,
    head: Int,
    block: Int,
    count: Int,
    rows: UnsafePointer<Float>,
    slot: Int
  ) -> UnsafePointer<Float> {
    switch span.keys {
    case .cache(let cache, _):
      return UnsafePointer(
        part == 0 ? cache.keys(block: block, head: head) : cache.values(block: block, head: head)
      )
    case .rows(let prefixCount):
      let out = ThreadScratch.floats(count * headSize, slot: slot)
      let column = queryWidth + (part * keyValueHeads + head) * headSize
      for index in 0..<count {
        let row = index < prefixCount ? index : span.start + index - prefixCount
        (out + index * headSize).update(from: rows + row * rowWidth + column, count: headSize)
      }
      return UnsafePointer(out)
    }
  }

  /// Appends the keys and values of a pass's rows to the caches of its sequences.
  func store(
    _ spans: [RowSpan],
    block: Int,
    rows: UnsafePointer<Float>
  ) {
    for span in spans {
      guard case .cache(let cache, let past) = span.keys else { continue }
      for head in 0..<keyValueHeads {
        let keys = cache.keys(block: block, head: head) + past * headSize
        let values = cache.values(block: block, head: head) + past * headSize
        for index in 0..<span.count {
          let row = rows + (span.start + index) * rowWidth + queryWidth + head * headSize
          (keys + index * headSize).update(from: row, count: headSize)
          (values + index * headSize).update(
            from: row + keyValueHeads * headSize,
            count: headSize
          )
        }
      }
    }
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
    if !decoded.isEmpty { forward(decoded: decoded, block: block, rows: rows, out: out) }
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
    let keys = gather(
      0,
      of: span,
      head: task.keyValueHead,
      block: block,
      count: keyCount,
      rows: rows,
      slot: 0
    )
    let values = gather(
      1,
      of: span,
      head: task.keyValueHead,
      block: block,
      count: keyCount,
      rows: rows,
      slot: 1
    )
    let keyPanels = ThreadScratch.floats(padded * headSize, slot: 2)
    let valuePanels = ThreadScratch.floats(keyCount * paddedHeadSize, slot: 3)
    let scores = ThreadScratch.floats(Self.queryBlock * padded, slot: 4)
    packTransposed(keys, count: keyCount, into: keyPanels)
    pack(values, count: keyCount, into: valuePanels)
    for head in task.keyValueHead * group..<(task.keyValueHead + 1) * group {
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
          keyPanels,
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

  private var paddedHeadSize: Int { (headSize + 15) / 16 * 16 }

  /// Panels of 16 keys, for products with Kᵀ.
  private func packTransposed(
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
  private func pack(
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

  // MARK: Backward

  /// Writes d loss / d (q, k, v after rotation) for all rows of all spans.
  ///
  /// With P the weights and dP = dO Vᵀ: dS = P (dP − Σ P dP) / √headSize, dQ = dS K, dK = dSᵀ Q,
  /// dV = Pᵀ dO. P is computed again from the scores and their log-sum-exp.
  ///
  /// - Parameters:
  ///   - spans: the sequences.
  ///   - rows: queries, keys and values after rotation, [rows, rowWidth].
  ///   - logSumExp: what `forward` wrote.
  ///   - gradient: d loss / d out, [rows, queryWidth].
  ///   - result: [rows, rowWidth].
  ///   - prefixCount: how many rows the shared prefix has.
  ///   - prefixGradients: memory for [spans, keyValueHeads, prefixCount, 2, headSize].
  func backward(
    _ spans: [RowSpan],
    rows: UnsafePointer<Float>,
    logSumExp: UnsafePointer<Float>,
    gradient: UnsafePointer<Float>,
    result: UnsafeMutablePointer<Float>,
    prefixCount: Int,
    prefixGradients: UnsafeMutablePointer<Float>
  ) {
    let tasks = tasks(spans, rowsPerTask: Int.max)
    pool.run(tasks.count) { index in
      backward(
        tasks[index],
        rows: rows,
        logSumExp: logSumExp,
        gradient: gradient,
        result: result,
        prefixGradients: prefixGradients
          + (tasks[index].spanIndex * keyValueHeads + tasks[index].keyValueHead)
          * prefixCount * 2 * headSize
      )
    }
    guard prefixCount > 0 else { return }
    // The first span is the prefix itself; the others add what their keys there received.
    pool.run(keyValueHeads) { head in
      for span in 1..<spans.count {
        let source = prefixGradients + (span * keyValueHeads + head) * prefixCount * 2 * headSize
        for row in 0..<prefixCount {
          let target = result + row * rowWidth + queryWidth + head * headSize
          reft_axpy_f32(headSize, 1, source + row * 2 * headSize, target)
          reft_axpy_f32(
            headSize,
            1,
            source + (row * 2 + 1) * headSize,
            target + keyValueHeads * headSize
          )
        }
      }
    }
  }

  private func backward(
    _ task: Task,
    rows: UnsafePointer<Float>,
    logSumExp: UnsafePointer<Float>,
    gradient: UnsafePointer<Float>,
    result: UnsafeMutablePointer<Float>,
    prefixGradients: UnsafeMutablePointer<Float>
  ) {
    let span = task.span
    let keyCount = span.past + span.count
    let padded = (keyCount + 15) / 16 * 16
    let block = Self.queryBlock
    let keys = gather(
      0,
      of: span,
      head: task.keyValueHead,
      block: 0,
      count: keyCount,
      rows: rows,
      slot: 0
    )
    let values = gather(
      1,
      of: span,
      head: task.keyValueHead,
      block: 0,
      count: keyCount,
      rows: rows,
      slot: 1
    )
    let panels = ThreadScratch.floats(
      padded * headSize * 2 + keyCount * paddedHeadSize + 2 * block * paddedHeadSize,
      slot: 2
    )
    let keysAcross = panels
    let valuesAcross = keysAcross + padded * headSize
    let keyPanels = valuesAcross + padded * headSize
    let queryPanels = keyPanels + keyCount * paddedHeadSize
    let gradientPanels = queryPanels + block * paddedHeadSize
    packTransposed(keys, count: keyCount, into: keysAcross)
    packTransposed(values, count: keyCount, into: valuesAcross)
    pack(keys, count: keyCount, into: keyPanels)
    let weights = ThreadScratch.floats(2 * block * padded, slot: 3)
    let slopes = weights + block * padded
    let across = ThreadScratch.floats(padded * block, slot: 4)
    let sums = ThreadScratch.floats(2 * padded * headSize, slot: 5)
    sums.update(repeating: 0, count: 2 * padded * headSize)
    let keySums = sums
    let valueSums = sums + padded * headSize
    for head in task.keyValueHead * group..<(task.keyValueHead + 1) * group {
      for first in stride(from: 0, to: span.count, by: block) {
        let count = min(block, span.count - first)
        let seen = span.past + first + count
        let width = (seen + 15) / 16 * 16
        let row = span.start + first
        let query = rows + row * rowWidth + head * headSize
        let dOut = gradient + row * queryWidth + head * headSize
        reft_gemm_packed_f32(
          count,
          width,
          headSize,
          query,
          rowWidth,
          keysAcross,
          headSize * 16,
          weights,
          padded,
          0
        )
        reft_gemm_packed_f32(
          count,
          width,
          headSize,
          dOut,
          queryWidth,
          valuesAcross,
          headSize * 16,
          slopes,
          padded,
          0
        )
        for index in 0..<count {
          let visible = span.past + first + index + 1
          reft_exp_scores_f32(
            visible,
            width,
            scale,
            logSumExp[(row + index) * heads + head],
            weights + index * padded
          )
          reft_softmax_backward_f32(
            visible,
            width,
            scale,
            weights + index * padded,
            slopes + index * padded
          )
        }
        let dQuery = result + row * rowWidth + head * headSize
        for key in stride(from: 0, to: seen, by: Self.keyRun) {
          reft_gemm_packed_f32(
            count,
            headSize,
            min(Self.keyRun, seen - key),
            slopes + key,
            padded,
            keyPanels + key * 16,
            keyCount * 16,
            dQuery,
            rowWidth,
            key > 0 ? 1 : 0
          )
        }
        pack(query, count: count, stride: rowWidth, into: queryPanels)
        pack(dOut, count: count, stride: queryWidth, into: gradientPanels)
        reft_transpose_f32(count, seen, slopes, padded, across, block)
        reft_gemm_packed_f32(
          seen,
          headSize,
          count,
          across,
          block,
          queryPanels,
          count * 16,
          keySums,
          headSize,
          1
        )
        reft_transpose_f32(count, seen, weights, padded, across, block)
        reft_gemm_packed_f32(
          seen,
          headSize,
          count,
          across,
          block,
          gradientPanels,
          count * 16,
          valueSums,
          headSize,
          1
        )
      }
    }
    scatter(
      task,
      keySums: keySums,
      valueSums: valueSums,
      result: result,
      prefixGradients: prefixGradients
    )
  }

  private func scatter(
    _ task: Task,
    keySums: UnsafePointer<Float>,
    valueSums: UnsafePointer<Float>,
    result: UnsafeMutablePointer<Float>,
    prefixGradients: UnsafeMutablePointer<Float>
  ) {
    let past = task.span.past
    for key in 0..<past {
      (prefixGradients + key * 2 * headSize).update(
        from: keySums + key * headSize,
        count: headSize
      )
      (prefixGradients + (key * 2 + 1) * headSize).update(
        from: valueSums + key * headSize,
        count: headSize
      )
    }
    for index in 0..<task.span.count {
      let target =
        result + (task.span.start + index) * rowWidth + queryWidth + task.keyValueHead * headSize
      target.update(from: keySums + (past + index) * headSize, count: headSize)
      (target + keyValueHeads * headSize).update(
        from: valueSums + (past + index) * headSize,
        count: headSize
      )
    }
  }
}
