// SPDX-License-Identifier: Apache-2.0
// Where the keys and values of a piece lie: in the pass's own rows or in a cache; and their panels.

import CReFTKernels
import ReFTTensor

/// The keys and values of one head that a piece's rows may see, packed for products.
struct PackedKeys {
  /// The position of the first one.
  let start: Int
  /// How many there are.
  let count: Int
  /// The same in whole panels of 16.
  var padded: Int { (count + 15) / 16 * 16 }
  /// Keys in panels of 16, for products with Kᵀ.
  let keyPanels: UnsafeMutablePointer<Float>
  /// Values in panels of 16 columns, for products with V.
  let valuePanels: UnsafeMutablePointer<Float>

  /// Where the run of keys that begins at a place ends: at a fixed position, or at `end`.
  func runEnd(from place: Int, to end: Int) -> Int {
    let border = ((start + place) / Attention.keyRun + 1) * Attention.keyRun - start
    return min(end, border)
  }
}

extension Attention {
  /// The keys that rows of a piece see, from the beginning of a cache's panel on.
  func keyRange(of task: Task) -> Range<Int> {
    let first = task.span.past + task.firstRow
    let panel = Int(REFT_CACHE_PANEL)
    let start = firstKey(at: first) / panel * panel
    return start..<keyEnd(at: first + task.rowCount - 1, of: task.span)
  }

  /// Packs what the rows of a piece see.
  func packKeys(of task: Task, _ rows: Rows) -> PackedKeys {
    let span = task.span
    let range = keyRange(of: task)
    let (start, count) = (range.lowerBound, range.count)
    let padded = (count + 15) / 16 * 16
    let keyPanels = ThreadScratch.floats(padded * headSize, .headPanels)
    let valuePanels = ThreadScratch.floats(count * paddedHeadSize, .valuePanels)
    let head = task.keyValueHead
    switch span.keys {
    case .cache(let cache, _):
      let values = ThreadScratch.floats(count * headSize, .values)
      let cached = cache.block(rows.block)
      cached.forEachPage(of: range) { part in
        let (address, place) = (
          cached.address(head: head, position: part.lowerBound),
          (part.lowerBound - start) * headSize
        )
        let format = cached.format
        reft_cache_key_panels(format, headSize, part.count, address.keys, keyPanels + place)
        reft_cache_value_rows(format, headSize, part.count, address.values, values + place)
      }
      pack(values, count: count, into: valuePanels)
    case .rows:
      let keys = gather(.keys, of: span, head: head, range, rows.heads)
      packTransposed(keys, count: count, into: keyPanels)
      pack(
        gather(.values, of: span, head: head, range, rows.heads),
        count: count,
        into: valuePanels
      )
    }
    return PackedKeys(start: start, count: count, keyPanels: keyPanels, valuePanels: valuePanels)
  }

  /// Keys or values.
  enum Part: Int { case keys, values }

  /// The keys or values at some positions that lie in a pass's own rows, [count, headSize].
  func gather(
    _ part: Part,
    of span: RowSpan,
    head: Int,
    _ range: Range<Int>,
    _ rows: UnsafePointer<Float>
  ) -> UnsafePointer<Float> {
    var prefixCount = 0
    if case .rows(let count) = span.keys { prefixCount = count }
    let out = ThreadScratch.floats(range.count * headSize, part == .keys ? .keys : .values)
    let column = queryWidth + (part.rawValue * keyValueHeads + head) * headSize
    for (place, index) in range.enumerated() {
      let row = index < prefixCount ? index : span.start + index - prefixCount
      (out + place * headSize).update(from: rows + row * rowWidth + column, count: headSize)
    }
    return UnsafePointer(out)
  }

  /// Some of a sequence's rows whose keys and values go to the same panel of a cache.
  private struct StoredRows {
    var cache: KVCache
    /// The first one, and their positions.
    var row: Int
    var positions: Range<Int>
  }

  /// Appends the keys and values of a pass's rows to the caches of its sequences; `work` makes a row before.
  func store(
    _ spans: [RowSpan],
    block: Int,
    rows: UnsafePointer<Float>,
    after work: RowWork?,
    pool: ThreadPool
  ) {
    let pieces = spans.flatMap(storedRows)
    pool.run(pieces.count) { index in
      let piece = pieces[index]
      if let work { for row in piece.row..<piece.row + piece.positions.count { work(row) } }
      for head in 0..<keyValueHeads { store(piece, head: head, block: block, rows: rows) }
    }
  }

  private func storedRows(of span: RowSpan) -> [StoredRows] {
    guard case .cache(let cache, let past) = span.keys else { return [] }
    let (panel, end) = (Int(REFT_CACHE_PANEL), past + span.count)
    return stride(from: past / panel * panel, to: end, by: panel).map { start in
      let positions = max(past, start)..<min(start + panel, end)
      return StoredRows(
        cache: cache,
        row: span.start + positions.lowerBound - past,
        positions: positions
      )
    }
  }

  private func store(_ piece: StoredRows, head: Int, block: Int, rows: UnsafePointer<Float>) {
    let key = rows + piece.row * rowWidth + queryWidth + head * headSize
    let cached = piece.cache.block(block)
    let first = piece.positions.lowerBound
    let place = first % CachePages.tokenCount
    let page = cached.address(head: head, position: first - place)
    reft_cache_store(
      cached.format,
      headSize,
      place,
      piece.positions.count,
      key,
      key + keyValueHeads * headSize,
      rowWidth,
      page.keys,
      page.values
    )
  }

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
}
