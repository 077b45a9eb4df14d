// SPDX-License-Identifier: Apache-2.0
// Pieces of a frozen weight as floats, for products: out of its repacked layout where there is one, so
// that one copy of the weights serves prompts, training and decoding, else out of the file's format.

import CReFTKernels
import ReFTTensor

/// Where products read a weight from.
struct WeightPanels {
  let weight: StackedWeight
  /// Holds the same numbers as the file; nil where the file is read.
  let repacked: RepackedWeight?

  /// Columns of a panel: as many as a group has rows.
  private static let side = Int(REFT_DECODE_ROWS)

  /// Packs Wᵀ[k..<k + run, row..<row + count] for y = x Wᵀ, in panels of 16 columns; `scratch` holds
  /// 16 × run floats.
  ///
  /// - Precondition: `row` is a multiple of 16, and `k` and `run` of 32 or the row's end.
  func packTransposed(
    row: Int,
    count: Int,
    k: Int,
    run: Int,
    into panels: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    for first in stride(from: 0, to: count, by: Self.side) {
      let panel = panels + first * run
      if let repacked {
        repacked.values(row: row + first, column: k, count: run, into: panel)
        continue
      }
      let width = min(Self.side, count - first)
      expand(rows: row + first, count: width, column: k, run: run, into: scratch)
      reft_pack_transposed_f32(run, width, scratch, run, panel)
    }
  }

  /// Packs W[k..<k + run, column..<column + count] for dx = dy W, in panels of 16 columns; `scratch`
  /// holds 16 × count floats.
  ///
  /// - Precondition: `k` and `run` are multiples of 32 or the end of the rows; `column` and `count`
  ///   are multiples of the block size, or the row's end.
  func pack(
    k: Int,
    run: Int,
    column: Int,
    count: Int,
    into panels: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let padded = (count + 15) / 16 * 16
    for first in stride(from: 0, to: run, by: Self.side) {
      let rows = min(Self.side, run - first)
      expand(rows: k + first, count: rows, columns: column..<column + count, into: scratch)
      for panel in 0..<padded / 16 {
        for row in 0..<rows {
          let target = panels + panel * run * 16 + (first + row) * 16
          let width = min(16, count - panel * 16)
          target.update(from: scratch + row * count + panel * 16, count: width)
          for j in width..<16 { target[j] = 0 }
        }
      }
    }
  }

  /// Expands W[row..<row + count, columns], up to 16 rows one after the other; `out` has room for 16.
  func expand(
    rows row: Int,
    count: Int,
    columns: Range<Int>,
    into out: UnsafeMutablePointer<Float>
  ) {
    guard let repacked else {
      return expand(
        rows: row,
        count: count,
        column: columns.lowerBound,
        run: columns.count,
        into: out
      )
    }
    let panel = ThreadScratch.floats(Self.side * columns.count, .weightColumns)
    repacked.values(row: row, column: columns.lowerBound, count: columns.count, into: panel)
    reft_transpose_f32(columns.count, Self.side, panel, Self.side, out, columns.count)
  }

  private func expand(
    rows row: Int,
    count: Int,
    column: Int,
    run: Int,
    into out: UnsafeMutablePointer<Float>
  ) {
    for offset in 0..<count {
      let (part, partRow) = weight.locate(row + offset)
      part.expand(row: partRow, column: column, count: run, into: out + offset * run)
    }
  }
}
