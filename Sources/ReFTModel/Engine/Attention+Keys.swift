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

  /// Appends the keys and values of a pass's rows to the caches of its sequences.
  func store(_ spans: [RowSpan], block: Int, rows: UnsafePointer<Float>, pool: ThreadPool) {
    pool.run(spans.count * keyValueHeads) { index in
      store(spans[index / keyValueHeads], head: index % keyValueHeads, block: block, rows: rows)
    }
  }

  private func store(_ span: RowSpan, head: Int, block: Int, rows: UnsafePointer<Float>) {
    guard case .cache(let cache, let past) = span.keys else { return }
    let key = rows + span.start * rowWidth + queryWidth + head * headSize
    let cached = cache.block(block)
    cached.forEachPage(of: past..<past + span.count) { part in
      let place = part.lowerBound % CachePages.tokenCount
      let page = cached.address(head: head, position: part.lowerBound - place)
      let first = key + (part.lowerBound - past) * rowWidth
      reft_cache_store(
        cached.format,
        headSize,
        place,
        part.count,
        first,
        first + keyValueHeads * headSize,
        rowWidth,
        page.keys,
        page.values
      )
    }
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
