// SPDX-License-Identifier: Apache-2.0
// Products with frozen weights: y = x Wᵀ forward, dx = dy W backward. Weights are expanded panel by
// panel; a panel is packed once per product, by the thread that uses it.

import CReFTKernels
import ReFTTensor

enum MatrixProduct {
  /// Columns of the result that one task computes.
  private static let taskWidth = 96
  /// Rows of the input that stay in the second-level cache while a task goes over its panels.
  private static let rowBlock = 192

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
    pool.run((weight.rows + taskWidth - 1) / taskWidth) { task in
      let first = task * taskWidth
      let width = min(taskWidth, weight.rows - first)
      let panels = ThreadScratch.floats(taskWidth * run, .weightPanels)
      let scratch = ThreadScratch.floats(16 * run, .unpackedRows)
      for k in stride(from: 0, to: weight.columns, by: run) {
        let length = min(run, weight.columns - k)
        source.packTransposed(
          row: first,
          count: width,
          k: k,
          run: length,
          into: panels,
          scratch: scratch
        )
        multiply(
          rows: m,
          columns: width,
          run: length,
          x: x + k,
          xStride: xStride,
          panels: panels,
          y: y + first,
          yStride: yStride,
          accumulate: accumulate || k > 0
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
    pool.run((weight.columns + taskWidth - 1) / taskWidth) { task in
      let first = task * taskWidth
      let width = min(taskWidth, weight.columns - first)
      let panels = ThreadScratch.floats((taskWidth + 16) * run, .weightPanels)
      let scratch = ThreadScratch.floats(16 * taskWidth, .unpackedRows)
      for k in stride(from: 0, to: weight.rows, by: run) {
        let length = min(run, weight.rows - k)
        source.pack(
          k: k,
          run: length,
          column: first,
          count: width,
          into: panels,
          scratch: scratch
        )
        multiply(
          rows: m,
          columns: width,
          run: length,
          x: dy + k,
          xStride: dyStride,
          panels: panels,
          y: dx + first,
          yStride: dxStride,
          accumulate: k > 0
        )
      }
    }
  }

  /// y[m, columns] (+)= x[m, run] · panels, in blocks of rows.
  static func multiply(
    rows m: Int,
    columns: Int,
    run: Int,
    x: UnsafePointer<Float>,
    xStride: Int,
    panels: UnsafePointer<Float>,
    y: UnsafeMutablePointer<Float>,
    yStride: Int,
    accumulate: Bool
  ) {
    for row in stride(from: 0, to: m, by: rowBlock) {
      reft_gemm_packed_f32(
        min(rowBlock, m - row),
        columns,
        run,
        x + row * xStride,
        xStride,
        panels,
        run * 16,
        y + row * yStride,
        yStride,
        accumulate ? 1 : 0
      )
    }
  }
}
