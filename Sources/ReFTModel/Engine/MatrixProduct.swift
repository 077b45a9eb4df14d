// SPDX-License-Identifier: Apache-2.0
// Products with frozen weights: y = x Wᵀ forward, dx = dy W backward. Weights are expanded panel by
// panel; a panel is packed once per product, by the thread that uses it.

import CReFTKernels
import ReFTTensor

enum MatrixProduct {
  /// Columns of the result that one task computes.
  private static let taskWidth = 96
  /// Rows of the result that stay in the second-level cache until all that is packed was added.
  private static let rowBlock = 48
  /// Values of k that are packed before rows are multiplied: the result's rows come once for as many.
  private static let longestDepth = 2048

  /// y[m, W.rows] (+)= x[m, W.columns] Wᵀ; a row's bits depend on no other row.
  static func forward(
    _ source: WeightPanels,
    rows m: Int,
    x: UnsafePointer<Float>,
    xStride: Int,
    y: UnsafeMutablePointer<Float>,
    yStride: Int,
    accumulate: Bool,
    pool: ThreadPool
  ) {
    let weight = source.weight
    let run = StackedWeight.run(extent: weight.columns, blockSize: weight.blockSize)
    let depth = depth(extent: weight.columns, run: run)
    pool.run((weight.rows + taskWidth - 1) / taskWidth) { task in
      let first = task * taskWidth
      let width = min(taskWidth, weight.rows - first)
      let panels = ThreadScratch.floats(taskWidth * depth, .weightPanels)
      let scratch = ThreadScratch.floats(16 * run, .unpackedRows)
      for start in stride(from: 0, to: weight.columns, by: depth) {
        let end = min(weight.columns, start + depth)
        for k in stride(from: start, to: end, by: run) {
          source.packTransposed(
            row: first,
            count: width,
            k: k,
            run: min(run, end - k),
            into: panels + (k - start) * padded(width),
            scratch: scratch
          )
        }
        multiply(
          rows: m,
          columns: width,
          extent: end - start,
          run: run,
          x: x + start,
          xStride: xStride,
          panels: panels,
          y: y + first,
          yStride: yStride,
          accumulate: accumulate || start > 0
        )
      }
    }
  }

  /// dx[m, W.columns] = dy[m, W.rows] W.
  static func backward(
    _ source: WeightPanels,
    rows m: Int,
    dy: UnsafePointer<Float>,
    dyStride: Int,
    dx: UnsafeMutablePointer<Float>,
    dxStride: Int,
    pool: ThreadPool
  ) {
    let weight = source.weight
    let taskWidth = max(taskWidth, weight.blockSize)
    let run = StackedWeight.run(extent: weight.rows, blockSize: 1)
    let depth = depth(extent: weight.rows, run: run)
    pool.run((weight.columns + taskWidth - 1) / taskWidth) { task in
      let first = task * taskWidth
      let width = min(taskWidth, weight.columns - first)
      let panels = ThreadScratch.floats((taskWidth + 16) * depth, .weightPanels)
      let scratch = ThreadScratch.floats(16 * taskWidth, .unpackedRows)
      for start in stride(from: 0, to: weight.rows, by: depth) {
        let end = min(weight.rows, start + depth)
        for k in stride(from: start, to: end, by: run) {
          source.pack(
            k: k,
            run: min(run, end - k),
            column: first,
            count: width,
            into: panels + (k - start) * padded(width),
            scratch: scratch
          )
        }
        multiply(
          rows: m,
          columns: width,
          extent: end - start,
          run: run,
          x: dy + start,
          xStride: dyStride,
          panels: panels,
          y: dx + first,
          yStride: dxStride,
          accumulate: start > 0
        )
      }
    }
  }

  /// How many of `extent` values of k are packed before rows are multiplied, in whole runs.
  private static func depth(extent: Int, run: Int) -> Int {
    min(extent, max(1, longestDepth / run) * run)
  }

  /// The columns of the panels that hold so many.
  static func padded(_ columns: Int) -> Int { (columns + 15) / 16 * 16 }

  /// y[m, columns] (+)= x[m, extent] · panels: panels of 16 columns for each run of the extent, one
  /// run behind the other.
  static func multiply(
    rows m: Int,
    columns: Int,
    extent: Int,
    run: Int,
    x: UnsafePointer<Float>,
    xStride: Int,
    panels: UnsafePointer<Float>,
    y: UnsafeMutablePointer<Float>,
    yStride: Int,
    accumulate: Bool
  ) {
    for row in stride(from: 0, to: m, by: rowBlock) {
      for k in stride(from: 0, to: extent, by: run) {
        let length = min(run, extent - k)
        reft_gemm_packed_f32(
          min(rowBlock, m - row),
          columns,
          length,
          x + row * xStride + k,
          xStride,
          panels + k * padded(columns),
          length * 16,
          y + row * yStride,
          yStride,
          accumulate || k > 0 ? 1 : 0
        )
      }
    }
  }
}
