// SPDX-License-Identifier: Apache-2.0
// Rows of activations that are rounded to codes before they meet weights: their memory, and how the
// many rows of a prompt go over the pieces of a weight.

import CReFTKernels
import ReFTTensor

enum RoundedRows {
  /// Rows of activations that are rounded at once.
  static let slabRows = 1024
  /// Rows that stay in the second-level cache while they meet some of a weight's.
  static let blockRows = 64

  /// Memory for rounded rows, whose codes have so many bytes: the calling thread's, valid until its next
  /// call.
  static func memory(
    rows n: Int,
    columns: Int,
    digits: Int,
    codeBytes: Int
  ) -> reft_activations_t {
    let blocks = columns / Int(REFT_DECODE_BLOCK)
    let bytes = n * digits * columns
    let memory = ThreadScratch.floats(bytes / 4 + 4 * n * blocks, .activations)
    let scales = memory + bytes / 4
    let raw = UnsafeMutableRawPointer(memory)
    return reft_activations_t(
      n: n,
      digits: digits,
      code_bytes: codeBytes,
      columns: columns,
      q: raw.assumingMemoryBound(to: Int8.self),
      scale: scales,
      sum: scales + n * blocks,
      counts: UnsafeMutableRawPointer(scales + 2 * n * blocks).assumingMemoryBound(to: Int32.self)
    )
  }

  /// Rounds the rows x[n, columns], which `work` makes before, and calls `multiply` for each task of a
  /// weight with many of them, at most `pieceRows`, the first's index before.
  static func multiply(
    rows n: Int,
    columns: Int,
    x: UnsafePointer<Float>,
    making work: RowWork?,
    digits: Int,
    codeBytes: Int,
    tasks: Int,
    pieceRows: Int = slabRows,
    pool: ThreadPool,
    _ multiply: (_ task: Int, _ firstRow: Int, reft_activations_t) -> Void
  ) {
    for first in stride(from: 0, to: n, by: slabRows) {
      let count = min(slabRows, n - first)
      let rounded = memory(rows: count, columns: columns, digits: digits, codeBytes: codeBytes)
      let prepare = { (row: Int) in
        work?(first + row)
        var rounded = rounded
        reft_quantize_rows(x + first * columns, columns, &rounded, row, 1)
      }
      let pieces = (count + pieceRows - 1) / pieceRows
      pool.run(preparing: count, prepare, then: tasks * pieces) { index in
        let row = index / tasks * pieceRows
        multiply(index % tasks, first + row, rounded.rows(row..<min(count, row + pieceRows)))
      }
    }
  }
}

extension reft_activations_t {
  /// How far ahead of what is added rows are asked for: those of a prompt lie in no near cache.
  private static let rowsAhead = 8

  /// Calls `body` with so many rows at a time, or what is left, and the index of the first.
  func forEachBlock(_ body: (_ firstRow: Int, Self) -> Void) {
    for row in stride(from: 0, to: n, by: RoundedRows.blockRows) {
      body(row, rows(row..<min(n, row + RoundedRows.blockRows)))
    }
  }

  /// Some of the rows.
  fileprivate func rows(_ range: Range<Int>) -> reft_activations_t {
    let blocks = columns / Int(REFT_DECODE_BLOCK)
    let first = range.lowerBound
    return reft_activations_t(
      n: range.count,
      digits: digits,
      code_bytes: code_bytes,
      columns: columns,
      q: q + first * digits * columns,
      scale: scale + first * blocks,
      sum: sum + first * blocks,
      counts: counts + 2 * first * blocks
    )
  }

  /// y[n, columns] (+)= what `product` writes to the place and with the stride that it is given.
  func add(
    to y: UnsafeMutablePointer<Float>,
    stride: Int,
    columns: Int,
    accumulate: Bool,
    _ product: (UnsafeMutablePointer<Float>, _ stride: Int) -> Void
  ) {
    guard accumulate else { return product(y, stride) }
    let sums = ThreadScratch.floats(n * columns, .productSums)
    product(sums, columns)
    for i in 0..<n {
      if i + Self.rowsAhead < n { reft_expect_writes(y + (i + Self.rowsAhead) * stride, columns) }
      reft_axpy_f32(columns, 1, sums + i * columns, y + i * stride)
    }
  }
}
