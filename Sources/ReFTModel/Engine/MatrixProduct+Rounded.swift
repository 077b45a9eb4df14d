// SPDX-License-Identifier: Apache-2.0
// Products of a prompt's rows with floating-point weights of 16 bits, both rounded to codes, where the
// processor is faster so.

import CReFTKernels
import ReFTTensor

extension MatrixProduct {
  /// Bytes of weights that one task reads, about.
  private static let roundedTaskBytes = 64 << 10
  /// Rows of a weight that are rounded together.
  private static let groupRows = Int(REFT_DECODE_ROWS)

  /// Whether `forwardRounded` takes a weight; the choice looks at the weight alone.
  static func fitsRounded(_ weight: StackedWeight) -> Bool {
    weight.columns % Int(REFT_DECODE_BLOCK) == 0
      && weight.parts.allSatisfy {
        $0.rows % groupRows == 0 && reft_plain_rows_serve_prompts($0.type.rawValue) != 0
      }
  }

  /// y[m, W.rows] (+)= x[m, W.columns] Wᵀ with x rounded to two digits, a scale for every 32 columns,
  /// and W to codes of thirteen bits, a scale for every 16; a row's bits depend on no other row.
  ///
  /// `work` makes a row of x before it is rounded.
  static func forwardRounded(
    _ weight: StackedWeight,
    rows m: Int,
    x: UnsafePointer<Float>,
    making work: RowWork?,
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool,
    pool: ThreadPool
  ) {
    let rowBytes = weight.parts[0].rowByteCount * groupRows
    let taskRows = max(1, roundedTaskBytes / rowBytes) * groupRows
    RoundedRows.multiply(
      rows: m,
      columns: weight.columns,
      x: x,
      making: work,
      digits: 2,
      codeBytes: MemoryLayout<Int16>.size,
      tasks: (weight.rows + taskRows - 1) / taskRows,
      pool: pool
    ) { task, firstRow, rounded in
      weight.forEachPart(task * taskRows..<min(weight.rows, (task + 1) * taskRows)) {
        first,
        part,
        rows in
        let y = y + firstRow * weight.rows + first
        multiply(part, rows, rounded, y: y, yStride: weight.rows, accumulate: accumulate)
      }
    }
  }

  /// Rows of a weight, rounded once for all rows of activations.
  private static func multiply(
    _ weight: FrozenWeight,
    _ rows: Range<Int>,
    _ x: reft_activations_t,
    y: UnsafeMutablePointer<Float>,
    yStride: Int,
    accumulate: Bool
  ) {
    guard var plain = weight.plainRows(rows) else { preconditionFailure("\(weight.type)") }
    let blocks = rows.count / groupRows * weight.columns / Int(REFT_DECODE_BLOCK)
    let bytes = blocks * Int(REFT_ROUNDED_BLOCK)
    let memory = UnsafeMutableRawPointer(ThreadScratch.floats(bytes / 4, .roundedRows))
    reft_round_plain_rows(&plain, memory)
    x.forEachBlock { row, some in
      some.add(
        to: y + row * yStride,
        stride: yStride,
        columns: rows.count,
        accumulate: accumulate
      ) {
        var some = some
        reft_rounded_rows_dot(memory, rows.count, &some, $0, $1)
      }
    }
  }
}
