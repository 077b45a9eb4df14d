// SPDX-License-Identifier: Apache-2.0
// Gradients of queries, keys and values. Weights are computed again from what the forward pass kept.

import CReFTKernels
import ReFTTensor

extension Attention {
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
  ///   - partSums: gives memory of a size, for sequences whose heads are shared among threads.
  func backward(
    _ spans: [RowSpan],
    rows: UnsafePointer<Float>,
    logSumExp: UnsafePointer<Float>,
    gradient: UnsafePointer<Float>,
    result: UnsafeMutablePointer<Float>,
    prefixCount: Int,
    prefixGradients: UnsafeMutablePointer<Float>,
    partSums: (_ count: Int) -> UnsafeMutablePointer<Float>
  ) {
    let groups = tasks(spans, rowsPerTask: Int.max)
    func prefixGradient(_ task: Task) -> UnsafeMutablePointer<Float> {
      let place = task.spanIndex * keyValueHeads + task.keyValueHead
      return prefixGradients + place * prefixCount * 2 * headSize
    }
    // One head after the other of a long sequence would leave threads without work at the end.
    var pieces: [(task: Task, sums: Int?)] = []
    var joints: [(task: Task, sums: Int)] = []
    var size = 0
    for task in groups {
      guard task.span.past + task.span.count >= Self.longSpan else {
        pieces.append((task, nil))
        continue
      }
      joints.append((task, size))
      for head in task.heads {
        var piece = task
        piece.heads = head..<head + 1
        pieces.append((piece, size))
        size += sumCount(task)
      }
    }
    let sums = partSums(size)
    pool.run(pieces.count) { index in
      let (task, place) = pieces[index]
      let memory = place.map { sums + $0 } ?? ThreadScratch.floats(sumCount(task), slot: 5)
      backward(
        task,
        rows: rows,
        logSumExp: logSumExp,
        gradient: gradient,
        result: result,
        sums: memory
      )
      if place == nil { scatter(task, memory, result, prefixGradient(task)) }
    }
    pool.run(joints.count) { index in
      let (task, place) = joints[index]
      let count = sumCount(task)
      for member in 1..<group {
        reft_axpy_f32(count, 1, sums + place + member * count, sums + place)
      }
      scatter(task, sums + place, result, prefixGradient(task))
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

  /// Keys from which on the queries of a group are pieces of their own.
  private static let longSpan = 320

  /// Numbers of a piece's sums: gradients of keys, then of values.
  private func sumCount(_ task: Task) -> Int {
    (task.span.past + task.span.count + 15) / 16 * 16 * headSize * 2
  }

  /// Writes the gradients of a piece's queries, and into `sums` what its keys and values get.
  private func backward(
    _ task: Task,
    rows: UnsafePointer<Float>,
    logSumExp: UnsafePointer<Float>,
    gradient: UnsafePointer<Float>,
    result: UnsafeMutablePointer<Float>,
    sums: UnsafeMutablePointer<Float>
  ) {
    let span = task.span
    let keyCount = span.past + span.count
    let padded = (keyCount + 15) / 16 * 16
    let block = Self.queryBlock
    let keys = gather(
      0,
      of: span,
      head: task.keyValueHead,
      count: keyCount,
      rows: rows,
      slot: 0
    )
    let values = gather(
      1,
      of: span,
      head: task.keyValueHead,
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
    sums.update(repeating: 0, count: 2 * padded * headSize)
    let keySums = sums
    let valueSums = sums + padded * headSize
    for head in task.heads {
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
  }

  private func scatter(
    _ task: Task,
    _ keySums: UnsafePointer<Float>,
    _ result: UnsafeMutablePointer<Float>,
    _ prefixGradients: UnsafeMutablePointer<Float>
  ) {
    let past = task.span.past
    let valueSums = keySums + sumCount(task) / 2
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
