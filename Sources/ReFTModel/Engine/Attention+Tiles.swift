// SPDX-License-Identifier: Apache-2.0
// Attention of prompts over cached keys on matrix tiles: queries, keys, weights and values are split in
// two bfloat16 halves, as in SplitProduct. Keys come page by page, and what the pages before added up
// is scaled anew where a larger score comes (FlashAttention, arXiv 2205.14135), so that all that a
// piece works on stays in its cache, however long the context is.

import CReFTKernels
import ReFTTensor

extension Attention {
  private static let run = Int(REFT_SPLIT_RUN)
  private static let side = Int(REFT_SPLIT_SIDE)
  private static let tileBytes = Int(REFT_SPLIT_TILE)
  /// Query rows whose scores are computed at once: two tiles.
  private static let tileRows = 2 * side
  /// Weights are powers of two.
  private static let log2e: Float = 1.442_695_04

  /// Whether this processor's tiles take these heads.
  var fitsTiles: Bool { SplitProduct.isOffered && headSize % Self.run == 0 }

  /// Bytes of a tile row of sixteen keys or queries.
  private var groupBytes: Int { headSize / Self.run * Self.tileBytes }

  /// What `forward` does with a piece whose keys lie in a cache, on tiles.
  ///
  /// Pages begin at fixed positions, and weights of keys that a row does not see are zero, so a row's
  /// bits depend on no other row.
  func forwardOnTiles(_ task: Task, _ rows: Rows) {
    guard case .cache(let cache, _) = task.span.keys else {
      preconditionFailure("keys in no cache")
    }
    let piece = TilePiece(self, task, rows)
    let cached = cache.block(rows.block)
    cached.forEachPage(of: keyRange(of: task)) { part in
      let address = cached.address(head: task.keyValueHead, position: part.lowerBound)
      let page = split(address, cached.format, part)
      for block in piece.blocks { add(page, to: block) }
    }
    for block in piece.blocks {
      for row in 0..<block.queries.rows {
        reft_scale_f32(headSize, 1 / block.sums[row], block.out + row * queryWidth)
      }
    }
  }

  /// Keys and values of one page in tiles.
  private struct Page {
    let positions: Range<Int>
    /// How many keys there are, in whole runs.
    let padded: Int
    /// Columns of a right matrix [headSize, padded].
    let keys: UnsafeMutablePointer<UInt8>
    /// A right matrix [padded, headSize], zero behind the last value.
    let values: UnsafeMutablePointer<UInt8>
  }

  /// Some query rows of one head, and what was added up for them.
  private struct TileBlock {
    let span: RowSpan
    /// The position of the first row.
    let position: Int
    let queries: SplitProduct.Left
    /// Each row's largest score, and the sum of its weights.
    let largest: UnsafeMutablePointer<Float>
    let sums: UnsafeMutablePointer<Float>
    /// Takes its rows, queryWidth apart.
    let out: UnsafeMutablePointer<Float>
  }

  /// The blocks of a piece, in memory of the calling thread.
  private struct TilePiece {
    let blocks: [TileBlock]

    init(_ attention: Attention, _ task: Task, _ rows: Rows) {
      let (size, count) = (attention.headSize, task.rowCount)
      let blockCount = (count + tileRows - 1) / tileRows
      let heads = task.heads.count
      let tiles = ThreadScratch.floats(heads * blockCount * tileRows * size, .queryTiles)
      let state = ThreadScratch.floats(2 * heads * count, .rowSums)
      state.update(repeating: -.infinity, count: heads * count)
      (state + heads * count).update(repeating: 0, count: heads * count)
      blocks = task.heads.enumerated().flatMap { member, head in
        (0..<blockCount).map { block in
          let first = block * tileRows
          let queries = SplitProduct.Left(
            rows: min(tileRows, count - first),
            columns: size,
            memory: tiles + (member * blockCount + block) * tileRows * size
          )
          let row = task.span.start + task.firstRow + first
          let query = rows.heads + row * attention.rowWidth + head * size
          queries.split(query, stride: attention.rowWidth)
          return TileBlock(
            span: task.span,
            position: task.span.past + task.firstRow + first,
            queries: queries,
            largest: state + member * count + first,
            sums: state + (heads + member) * count + first,
            out: rows.out + row * attention.queryWidth + head * size
          )
        }
      }
    }
  }

  /// Adds what the keys of a page give to the rows of a block.
  private func add(_ page: Page, to block: TileBlock) {
    let count = block.queries.rows
    let first = firstKey(at: block.position)
    let end = keyEnd(at: block.position + count - 1, of: block.span)
    let seen = page.positions.clamped(to: first..<end)
    guard !seen.isEmpty else { return }
    let from = (seen.lowerBound - page.positions.lowerBound) / Self.run * Self.run
    let last = seen.upperBound - page.positions.lowerBound
    let width = (last - from + Self.run - 1) / Self.run * Self.run
    let scores = ThreadScratch.floats(Self.tileRows * width, .scores)
    multiply(
      block.queries,
      page.keys + from / Self.side * groupBytes,
      stride: groupBytes,
      columns: width,
      into: scores,
      width,
      accumulate: false
    )
    let weights = SplitProduct.Left(
      rows: count,
      columns: width,
      memory: ThreadScratch.floats(Self.tileRows * width, .weightTiles)
    )
    let base = page.positions.lowerBound + from
    let isFirst = first >= page.positions.lowerBound
    for row in 0..<count {
      let position = block.position + row
      let own = page.positions.clamped(
        to: firstKey(at: position)..<keyEnd(at: position, of: block.span)
      )
      let score = scores + row * width
      let firstOwn = own.isEmpty ? 0 : own.lowerBound - base
      if let softCap { reft_softcap_f32(own.count, scale, softCap, score + firstOwn) }
      let factor = reft_split_weights(
        width,
        firstOwn,
        firstOwn + own.count,
        (softCap == nil ? scale : 1) * Self.log2e,
        score,
        block.largest + row,
        block.sums + row,
        weights.tiles + row / Self.side * weights.groupBytes + row % Self.side * 64
      )
      if !isFirst, factor != 1 {
        reft_scale_f32(headSize, factor, block.out + row * queryWidth)
      }
    }
    multiply(
      weights,
      page.values + from / Self.run * Self.tileBytes,
      stride: page.padded / Self.run * Self.tileBytes,
      columns: headSize,
      into: block.out,
      queryWidth,
      accumulate: !isFirst
    )
  }

  /// C (+)= A B for panels of B that lie `stride` bytes apart.
  private func multiply(
    _ left: SplitProduct.Left,
    _ right: UnsafePointer<UInt8>,
    stride: Int,
    columns: Int,
    into c: UnsafeMutablePointer<Float>,
    _ cStride: Int,
    accumulate: Bool
  ) {
    reft_gemm_split(
      left.rows,
      columns,
      left.columns / Self.run,
      left.tiles,
      left.groupBytes,
      right,
      stride,
      SplitProduct.Halves.both.rawValue,
      c,
      cStride,
      accumulate ? 1 : 0
    )
  }

  /// Splits the keys and values of one page.
  private func split(
    _ address: CachedBlock.Address,
    _ format: UInt32,
    _ positions: Range<Int>
  ) -> Page {
    let count = positions.count
    let padded = (count + Self.run - 1) / Self.run * Self.run
    let panels = ThreadScratch.floats(padded * headSize, .keys)
    let values = ThreadScratch.floats(padded * headSize, .values)
    reft_cache_key_panels(format, headSize, count, address.keys, panels)
    reft_cache_value_rows(format, headSize, count, address.values, values)
    (values + count * headSize).update(repeating: 0, count: (padded - count) * headSize)
    let page = Page(
      positions: positions,
      padded: padded,
      keys: tiles(padded * headSize, .headPanels),
      values: tiles(padded * headSize, .valuePanels)
    )
    for first in stride(from: 0, to: count, by: Self.side) {
      for j in stride(from: 0, to: headSize, by: 2) {
        let pair = panels + first * headSize + j * Self.side
        let place = page.keys + first / Self.side * groupBytes + SplitProduct.pairOffset(j)
        reft_split_pair(Self.side, pair, pair + Self.side, place, 0)
      }
    }
    let panelBytes = padded / Self.run * Self.tileBytes
    for key in stride(from: 0, to: padded, by: 2) {
      let pair = values + key * headSize
      let place = page.values + SplitProduct.pairOffset(key)
      reft_split_pair(headSize, pair, pair + headSize, place, panelBytes)
    }
    return page
  }

  private func tiles(_ count: Int, _ use: ThreadScratch.Use) -> UnsafeMutablePointer<UInt8> {
    UnsafeMutableRawPointer(ThreadScratch.floats(count, use)).assumingMemoryBound(to: UInt8.self)
  }
}
