// SPDX-License-Identifier: Apache-2.0
// Products of few rows with frozen weights, in float32: floating-point weights are read as they lie in
// the file, others are expanded row by row.

import CReFTKernels
import ReFTTensor

extension MatrixProduct {
  /// Bytes of weights that one task reads, about.
  private static let taskBytes = 64 << 10

  /// y[n, W.rows] (+)= x[n, W.columns] Wᵀ for few rows; `work` makes a row of x before it is read.
  ///
  /// A weight row is read once and multiplied with each row of x. A row's bits depend on no other row,
  /// and on the weight's values alone, not on their format.
  static func forwardFew(
    _ weight: StackedWeight,
    rows n: Int,
    x: UnsafePointer<Float>,
    making work: RowWork? = nil,
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool,
    pool: ThreadPool
  ) {
    let rowBytes = max(1, weight.parts[0].rowByteCount)
    let taskRows = max(4, taskBytes / rowBytes / 4 * 4)
    let count = (weight.rows + taskRows - 1) / taskRows
    pool.run(preparing: work == nil ? 0 : n, { work?($0) }, then: count) { task in
      weight.forEachPart(task * taskRows..<min(weight.rows, (task + 1) * taskRows)) {
        first,
        part,
        rows in
        let out = y + first
        if var plain = part.plainRows(rows) {
          reft_plain_rows_dot(&plain, n, x, weight.columns, out, weight.rows, accumulate ? 1 : 0)
        } else {
          multiplyExpanded(
            part,
            rows,
            rows: n,
            x: x,
            y: out,
            yStride: weight.rows,
            accumulate: accumulate
          )
        }
      }
    }
  }

  /// Rows of a quantised weight times n rows of x.
  private static func multiplyExpanded(
    _ weight: FrozenWeight,
    _ range: Range<Int>,
    rows n: Int,
    x: UnsafePointer<Float>,
    y: UnsafeMutablePointer<Float>,
    yStride: Int,
    accumulate: Bool
  ) {
    let columns = weight.columns
    let expanded = ThreadScratch.floats(columns, .weightRows)
    for row in range {
      weight.expand(row: row, column: 0, count: columns, into: expanded)
      for index in 0..<n {
        let dot = reft_dot_f32(columns, expanded, x + index * columns)
        let out = y + index * yStride + row - range.lowerBound
        out.pointee = accumulate ? out.pointee + dot : dot
      }
    }
  }
}

extension FrozenWeight {
  /// Rows that are read as they lie in the file; nil where the format is not a floating-point one.
  func plainRows(_ rows: Range<Int>) -> reft_plain_rows_t? {
    guard reft_is_plain(type.rawValue) != 0 else { return nil }
    return reft_plain_rows_t(
      type: type.rawValue,
      data: address(row: rows.lowerBound),
      bytes: rowByteCount,
      rows: rows.count,
      columns: columns
    )
  }
}
