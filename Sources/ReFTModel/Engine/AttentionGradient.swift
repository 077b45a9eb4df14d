// SPDX-License-Identifier: Apache-2.0
// The way back through the attention of one piece: all query rows of one sequence, for some queries
// of one key-value head. Attention+Backward says what is computed.

import CReFTKernels
import ReFTTensor

struct AttentionGradient {
  private let attention: Attention
  private let task: Attention.Task
  private let places: Attention.Gradients
  private let keySums: UnsafeMutablePointer<Float>
  private let valueSums: UnsafeMutablePointer<Float>
  /// Keys and values in panels of 16 rows, and keys in panels of 16 columns.
  private let keysAcross: UnsafeMutablePointer<Float>
  private let valuesAcross: UnsafeMutablePointer<Float>
  private let keyPanels: UnsafeMutablePointer<Float>
  /// Queries of a block and their gradients in panels of 16 columns.
  private let queryPanels: UnsafeMutablePointer<Float>
  private let gradientPanels: UnsafeMutablePointer<Float>
  /// Weights of a block and d loss / d scores, [queryBlock, padded].
  private let weights: UnsafeMutablePointer<Float>
  private let slopes: UnsafeMutablePointer<Float>
  /// One row's capped scores.
  private let capped: UnsafeMutablePointer<Float>
  private let keys: PackedKeys

  private var headSize: Int { attention.headSize }
  private var padded: Int { keys.padded }

  /// Packs what the piece reads.
  ///
  /// - Parameters:
  ///   - attention: the heads.
  ///   - task: the piece.
  ///   - places: what it reads and writes.
  ///   - sums: takes the gradients of its keys, then of its values, [padded, headSize] each.
  init(
    _ attention: Attention,
    _ task: Attention.Task,
    _ places: Attention.Gradients,
    sums: UnsafeMutablePointer<Float>
  ) {
    (self.attention, self.task, self.places) = (attention, task, places)
    let count = task.span.past + task.span.count
    let padded = (count + 15) / 16 * 16
    let (size, wide) = (attention.headSize, attention.paddedHeadSize)
    let block = Attention.queryBlock
    (keySums, valueSums) = (sums, sums + padded * size)
    sums.update(repeating: 0, count: 2 * padded * size)
    let panels = ThreadScratch.floats(
      padded * size * 2 + count * wide + 2 * block * wide,
      .headPanels
    )
    keysAcross = panels
    valuesAcross = keysAcross + padded * size
    keyPanels = valuesAcross + padded * size
    queryPanels = keyPanels + count * wide
    gradientPanels = queryPanels + block * wide
    weights = ThreadScratch.floats((2 * block + 1) * padded, .attentionWeights)
    slopes = weights + block * padded
    capped = slopes + block * padded
    let (span, head) = (task.span, task.keyValueHead)
    let keys = attention.gather(.keys, of: span, head: head, 0..<count, places.rows)
    let values = attention.gather(.values, of: span, head: head, 0..<count, places.rows)
    attention.packTransposed(keys, count: count, into: keysAcross)
    attention.packTransposed(values, count: count, into: valuesAcross)
    attention.pack(keys, count: count, into: keyPanels)
    self.keys = PackedKeys(
      start: 0,
      count: count,
      keyPanels: keysAcross,
      valuePanels: valuesAcross
    )
  }

  /// Writes the gradients of the piece's queries, and into the sums what its keys and values get.
  func run() {
    for head in task.heads {
      for first in stride(from: 0, to: task.span.count, by: Attention.queryBlock) {
        let block = QueryBlock(
          head: head,
          first: first,
          count: min(Attention.queryBlock, task.span.count - first),
          of: task.span,
          keys: keys,
          attention: attention
        )
        slope(block)
        addQueries(block)
        addKeysAndValues(block)
      }
    }
  }

  private func query(_ block: QueryBlock) -> UnsafePointer<Float> {
    places.rows + (task.span.start + block.first) * attention.rowWidth + block.head * headSize
  }

  private func gradient(_ block: QueryBlock) -> UnsafePointer<Float> {
    places.gradient + (task.span.start + block.first) * attention.queryWidth
      + block.head * headSize
  }

  /// The weights of a block, and d loss / d scores.
  private func slope(_ block: QueryBlock) {
    for (rows, stride, panels, out) in [
      (query(block), attention.rowWidth, keysAcross, weights),
      (gradient(block), attention.queryWidth, valuesAcross, slopes),
    ] {
      reft_gemm_packed_f32(
        block.count,
        block.width,
        headSize,
        rows,
        stride,
        panels + block.firstKey * headSize,
        headSize * 16,
        out + block.firstKey,
        padded,
        0
      )
    }
    let row = task.span.start + block.first
    for index in 0..<block.count {
      let seen = block.seen(index, attention, keys)
      let rest = block.firstKey + block.width - seen.lowerBound
      let (own, slope) = (weights + index * padded, slopes + index * padded)
      for key in block.firstKey..<seen.lowerBound { (own[key], slope[key]) = (0, 0) }
      let (count, scores) = (seen.count, own + seen.lowerBound)
      if let cap = attention.softCap {
        reft_softcap_f32(count, attention.scale, cap, scores)
        capped.update(from: scores, count: count)
      }
      let scale = attention.softCap == nil ? attention.scale : 1
      reft_exp_scores_f32(
        count,
        rest,
        scale,
        places.logSumExp[(row + index) * attention.heads + block.head],
        scores
      )
      reft_softmax_backward_f32(count, rest, scale, scores, slope + seen.lowerBound)
      if let cap = attention.softCap {
        reft_softcap_backward_f32(
          count,
          attention.scale,
          cap,
          capped,
          slope + seen.lowerBound
        )
      }
    }
  }

  /// dQ = dS K.
  private func addQueries(_ block: QueryBlock) {
    let row = task.span.start + block.first
    let out = places.result + row * attention.rowWidth + block.head * headSize
    var first = block.firstKey
    while first < block.end {
      let next = keys.runEnd(from: first, to: block.end)
      reft_gemm_packed_f32(
        block.count,
        headSize,
        next - first,
        slopes + first,
        padded,
        keyPanels + first * 16,
        keys.count * 16,
        out,
        attention.rowWidth,
        first > block.firstKey ? 1 : 0
      )
      first = next
    }
  }

  /// dK += dSᵀ Q and dV += Pᵀ dO.
  private func addKeysAndValues(_ block: QueryBlock) {
    let (first, count) = (block.firstKey, block.end - block.firstKey)
    attention.pack(
      query(block),
      count: block.count,
      stride: attention.rowWidth,
      into: queryPanels
    )
    attention.pack(
      gradient(block),
      count: block.count,
      stride: attention.queryWidth,
      into: gradientPanels
    )
    let across = ThreadScratch.floats(padded * Attention.queryBlock, .transposed)
    for (rows, panels, sums) in [
      (slopes, queryPanels, keySums), (weights, gradientPanels, valueSums),
    ] {
      reft_transpose_f32(
        block.count,
        count,
        rows + first,
        padded,
        across,
        Attention.queryBlock
      )
      reft_gemm_packed_f32(
        count,
        headSize,
        block.count,
        across,
        Attention.queryBlock,
        panels,
        block.count * 16,
        sums + first * headSize,
        headSize,
        1
      )
    }
  }
}
