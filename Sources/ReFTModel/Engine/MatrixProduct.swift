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
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool,
    pool: ThreadPool
  ) {
    let weight = source.weight
    let run = StackedWeight.run(extent: weight.columns, blockSize: weight.blockSize)
    product(
      rows: m,
      columns: weight.rows,
      extent: weight.columns,
      run: run,
      taskWidth: taskWidth,
      x: x,
      y: y,
      accumulate: accumulate,
      pool: pool
    ) { columns, k, panels in
      source.packTransposed(
        row: columns.lowerBound,
        count: columns.count,
        k: k.lowerBound,
        run: k.count,
        into: panels,
        scratch: ThreadScratch.floats(16 * run, .unpackedRows)
      )
    }
  }

  /// dx[m, W.columns] = dy[m, W.rows] W.
  static func backward(
    _ source: WeightPanels,
    rows m: Int,
    dy: UnsafePointer<Float>,
    dx: UnsafeMutablePointer<Float>,
    pool: ThreadPool
  ) {
    let weight = source.weight
    let taskWidth = max(taskWidth, weight.blockSize)
    product(
      rows: m,
      columns: weight.columns,
      extent: weight.rows,
      run: StackedWeight.run(extent: weight.rows, blockSize: 1),
      taskWidth: taskWidth,
      x: dy,
      y: dx,
      accumulate: false,
      pool: pool
    ) { columns, k, panels in
      source.pack(
        k: k.lowerBound,
        run: k.count,
        column: columns.lowerBound,
        count: columns.count,
        into: panels,
        scratch: ThreadScratch.floats(16 * taskWidth, .unpackedRows)
      )
    }
  }

  /// y[m, columns] (+)= x[m, extent] times a weight that `pack` brings into panels.
  ///
  /// It is asked for some columns, a task's or the last ones, and at most a run of the extent at once.
  private static func product(
    rows m: Int,
    columns: Int,
    extent: Int,
    run: Int,
    taskWidth: Int,
    x: UnsafePointer<Float>,
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool,
    pool: ThreadPool,
    pack: (_ columns: Range<Int>, _ k: Range<Int>, UnsafeMutablePointer<Float>) -> Void
  ) {
    let depth = min(extent, max(1, longestDepth / run) * run)
    pool.run((columns + taskWidth - 1) / taskWidth) { task in
      let first = task * taskWidth
      let width = min(taskWidth, columns - first)
      let panels = ThreadScratch.floats(padded(taskWidth) * depth, .weightPanels)
      for start in stride(from: 0, to: extent, by: depth) {
        let end = min(extent, start + depth)
        for k in stride(from: start, to: end, by: run) {
          let piece = k..<min(k + run, end)
          pack(first..<first + width, piece, panels + (k - start) * padded(width))
        }
        multiply(
          rows: m,
          columns: width,
          extent: end - start,
          run: run,
          x: x + start,
          xStride: extent,
          panels: panels,
          y: y + first,
          yStride: columns,
          accumulate: accumulate || start > 0
        )
      }
    }
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
