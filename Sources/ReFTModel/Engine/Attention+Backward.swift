// SPDX-License-Identifier: Apache-2.0
// Gradients of queries, keys and values. Weights are computed again from what the forward pass kept;
// the arithmetic of one piece is in AttentionGradient.

import CReFTKernels
import ReFTTensor

extension Attention {
  /// Writes d loss / d (q, k, v after rotation) for all rows of all spans.
  ///
  /// With P the weights and dP = dO Vᵀ: dS = scale P (dP − Σ P dP), dQ = dS K, dK = dSᵀ Q,
  /// dV = Pᵀ dO. P is computed again from the scores and their log-sum-exp. With a soft cap c, dS is
  /// besides 1 − (S / c)² times that, S the capped score.
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
  ///   - pool: the threads to use.
  func backward(
    _ spans: [RowSpan],
    rows: UnsafePointer<Float>,
    logSumExp: UnsafePointer<Float>,
    gradient: UnsafePointer<Float>,
    result: UnsafeMutablePointer<Float>,
    prefixCount: Int,
    prefixGradients: UnsafeMutablePointer<Float>,
    partSums: (_ count: Int) -> UnsafeMutablePointer<Float>,
    pool: ThreadPool
  ) {
    let (pieces, joints, size) = pieces(spans)
    let sums = partSums(size)
    let places = Gradients(
      rows: rows,
      logSumExp: logSumExp,
      gradient: gradient,
      result: result,
      prefixCount: prefixCount,
      prefixGradients: prefixGradients
    )
    pool.run(pieces.count) { index in
      let (task, place) = pieces[index]
      let memory = place.map { sums + $0 } ?? ThreadScratch.floats(sumCount(task), .headSums)
      AttentionGradient(self, task, places, sums: memory).run()
      if place == nil { scatter(task, memory, places) }
    }
    pool.run(joints.count) { index in
      let (task, place) = joints[index]
      let count = sumCount(task)
      for member in 1..<group {
        reft_axpy_f32(count, 1, sums + place + member * count, sums + place)
      }
      scatter(task, sums + place, places)
    }
    if prefixCount > 0 { addPrefix(spans.count, places, pool) }
  }

  /// What every piece of the way back reads and writes.
  struct Gradients {
    var rows: UnsafePointer<Float>
    var logSumExp: UnsafePointer<Float>
    var gradient: UnsafePointer<Float>
    var result: UnsafeMutablePointer<Float>
    var prefixCount: Int
    var prefixGradients: UnsafeMutablePointer<Float>
  }

  /// Keys from which on the queries of a group are pieces of their own.
  ///
  /// One head after the other of a long sequence would leave threads without work at the end.
  private static let longSpan = 320

  /// The pieces of the way back with the places of their sums, where those are joined afterwards;
  /// what is to be joined; and how much memory the sums take.
  private func pieces(
    _ spans: [RowSpan]
  ) -> (pieces: [(task: Task, sums: Int?)], joints: [(task: Task, sums: Int)], size: Int) {
    var pieces: [(task: Task, sums: Int?)] = []
    var joints: [(task: Task, sums: Int)] = []
    var size = 0
    for task in tasks(spans, rowsPerTask: Int.max) {
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
    return (pieces, joints, size)
  }

  /// Numbers of a piece's sums: gradients of keys, then of values.
  private func sumCount(_ task: Task) -> Int {
    (task.span.past + task.span.count + 15) / 16 * 16 * headSize * 2
  }

  private func scatter(_ task: Task, _ keySums: UnsafePointer<Float>, _ places: Gradients) {
    let past = task.span.past
    let valueSums = keySums + sumCount(task) / 2
    let place = task.spanIndex * keyValueHeads + task.keyValueHead
    let prefix = places.prefixGradients + place * places.prefixCount * 2 * headSize
    for key in 0..<past {
      let target = prefix + key * 2 * headSize
      target.update(from: keySums + key * headSize, count: headSize)
      (target + headSize).update(from: valueSums + key * headSize, count: headSize)
    }
    for index in 0..<task.span.count {
      let row = places.result + (task.span.start + index) * rowWidth
      let target = row + queryWidth + task.keyValueHead * headSize
      target.update(from: keySums + (past + index) * headSize, count: headSize)
      (target + keyValueHeads * headSize).update(
        from: valueSums + (past + index) * headSize,
        count: headSize
      )
    }
  }

  /// The first span is the prefix itself; the others add what their keys there received.
  private func addPrefix(_ spanCount: Int, _ places: Gradients, _ pool: ThreadPool) {
    let count = places.prefixCount
    pool.run(keyValueHeads) { head in
      for span in 1..<spanCount {
        let source =
          places.prefixGradients + (span * keyValueHeads + head) * count * 2 * headSize
        for row in 0..<count {
          let target = places.result + row * rowWidth + queryWidth + head * headSize
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
}
