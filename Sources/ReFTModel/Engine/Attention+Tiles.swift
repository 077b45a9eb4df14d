// SPDX-License-Identifier: Apache-2.0
// Attention of prompts on matrix tiles: queries, keys, weights and values are split in two bfloat16
// halves, as in SplitProduct.

import CReFTKernels
import ReFTTensor

/// The keys and values of one head that a piece's rows may see, in tiles.
private struct KeyTiles {
  /// The position of the first one, a multiple of a tile's run.
  let start: Int
  /// How many there are, in whole runs.
  let padded: Int
  /// Columns of a right matrix [headSize, padded].
  let keys: UnsafeMutablePointer<UInt8>
  /// A right matrix [padded, headSize], zero behind the last value.
  let values: UnsafeMutablePointer<UInt8>
}

extension Attention {
  private static let run = Int(REFT_SPLIT_RUN)
  private static let side = Int(REFT_SPLIT_SIDE)
  private static let tileBytes = Int(REFT_SPLIT_TILE)
  /// Query rows whose scores are computed at once: two tiles.
  private static let tileRows = 2 * side

  /// Whether this processor's tiles take these heads.
  var fitsTiles: Bool { SplitProduct.isOffered && headSize % Self.run == 0 }

  /// What `forward` does with a piece, on tiles.
  ///
  /// A row's weights are added up run by run at fixed positions, so its bits depend on no other row.
  func forwardOnTiles(_ task: Task, _ rows: Rows) {
    let keys = keyTiles(of: task, rows)
    let scores = ThreadScratch.floats(Self.tileRows * keys.padded, .scores)
    let queryTiles = ThreadScratch.floats(Self.tileRows * headSize, .queryTiles)
    let weightTiles = ThreadScratch.floats(Self.tileRows * keys.padded, .weightTiles)
    let end = task.firstRow + task.rowCount
    for head in task.heads {
      for first in stride(from: task.firstRow, to: end, by: Self.tileRows) {
        let block = QueryBlock(
          head: head,
          first: first,
          count: min(Self.tileRows, end - first),
          of: task.span,
          firstPacked: keys.start,
          side: Self.run,
          attention: self
        )
        let row = task.span.start + first
        let (count, width) = (block.count, block.width)
        let queries = SplitProduct.Left(rows: count, columns: headSize, memory: queryTiles)
        queries.split(rows.heads + row * rowWidth + head * headSize, stride: rowWidth)
        let seen = scores + block.firstKey
        multiply(
          queries,
          keys.keys + block.firstKey * headSize / (Self.run * Self.side) * Self.tileBytes,
          stride: headSize / Self.run * Self.tileBytes,
          columns: width,
          into: seen,
          keys.padded
        )
        soften(scores, stride: keys.padded, block, task.span, rows)
        let weights = SplitProduct.Left(rows: count, columns: width, memory: weightTiles)
        weights.split(seen, stride: keys.padded)
        multiply(
          weights,
          keys.values + block.firstKey / Self.run * Self.tileBytes,
          stride: keys.padded / Self.run * Self.tileBytes,
          columns: headSize,
          into: rows.out + row * queryWidth + head * headSize,
          queryWidth
        )
      }
    }
  }

  /// C = A B for panels of B that lie `stride` bytes apart.
  private func multiply(
    _ left: SplitProduct.Left,
    _ right: UnsafePointer<UInt8>,
    stride: Int,
    columns: Int,
    into c: UnsafeMutablePointer<Float>,
    _ cStride: Int
  ) {
    let runs = left.columns / Self.run
    reft_gemm_split(
      left.rows,
      columns,
      runs,
      left.tiles,
      left.groupBytes,
      right,
      stride,
      SplitProduct.Halves.both.rawValue,
      c,
      cStride,
      0
    )
  }

  /// Splits what the rows of a piece see.
  private func keyTiles(of task: Task, _ rows: Rows) -> KeyTiles {
    let span = task.span
    let end = keyEnd(at: span.past + task.firstRow + task.rowCount - 1, of: span)
    let panel = Int(REFT_CACHE_PANEL)
    let start = firstKey(at: span.past + task.firstRow) / panel * panel
    let count = end - start
    let padded = (count + Self.run - 1) / Self.run * Self.run
    let result = KeyTiles(
      start: start,
      padded: padded,
      keys: tiles(padded * headSize, .headPanels),
      values: tiles(padded * headSize, .valuePanels)
    )
    let values = ThreadScratch.floats(padded * headSize, .values)
    let head = task.keyValueHead
    switch span.keys {
    case .cache(let cache, _):
      let panels = ThreadScratch.floats(padded * headSize, .keys)
      let cached = cache.block(rows.block)
      cached.forEachPage(of: start..<end) { part in
        let (address, place) = (
          cached.address(head: head, position: part.lowerBound),
          (part.lowerBound - start) * headSize
        )
        let format = cached.format
        reft_cache_key_panels(format, headSize, part.count, address.keys, panels + place)
        reft_cache_value_rows(format, headSize, part.count, address.values, values + place)
      }
      split(keyPanels: panels, count: count, into: result.keys)
    case .rows:
      let keys = gather(.keys, of: span, head: head, start..<end, rows.heads)
      split(keys: keys, count: count, into: result.keys)
      _ = gather(.values, of: span, head: head, start..<end, rows.heads)
    }
    (values + count * headSize).update(repeating: 0, count: (padded - count) * headSize)
    split(values: values, padded: padded, into: result.values)
    return result
  }

  private func tiles(_ count: Int, _ use: ThreadScratch.Use) -> UnsafeMutablePointer<UInt8> {
    UnsafeMutableRawPointer(ThreadScratch.floats(count, use)).assumingMemoryBound(to: UInt8.self)
  }

  /// Bytes of sixteen keys.
  private var keyBytes: Int { headSize / Self.run * Self.tileBytes }

  /// Splits keys that lie one after the other.
  private func split(
    keys: UnsafePointer<Float>,
    count: Int,
    into tiles: UnsafeMutablePointer<UInt8>
  ) {
    for first in stride(from: 0, to: count, by: Self.side) {
      reft_split_columns(
        headSize,
        min(Self.side, count - first),
        keys + first * headSize,
        headSize,
        tiles + first / Self.side * keyBytes
      )
    }
  }

  /// Splits keys that lie in panels of sixteen.
  private func split(
    keyPanels panels: UnsafePointer<Float>,
    count: Int,
    into tiles: UnsafeMutablePointer<UInt8>
  ) {
    for first in stride(from: 0, to: count, by: Self.side) {
      for j in stride(from: 0, to: headSize, by: 2) {
        let pair = panels + first * headSize + j * Self.side
        let place = tiles + first / Self.side * keyBytes + SplitProduct.pairOffset(j)
        reft_split_pair(Self.side, pair, pair + Self.side, place, 0)
      }
    }
  }

  private func split(
    values: UnsafePointer<Float>,
    padded: Int,
    into tiles: UnsafeMutablePointer<UInt8>
  ) {
    let panelBytes = padded / Self.run * Self.tileBytes
    for key in stride(from: 0, to: padded, by: 2) {
      let pair = values + key * headSize
      let place = tiles + SplitProduct.pairOffset(key)
      reft_split_pair(headSize, pair, pair + headSize, place, panelBytes)
    }
  }
}
