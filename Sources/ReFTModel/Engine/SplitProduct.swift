// SPDX-License-Identifier: Apache-2.0
// Products with frozen weights on matrix tiles: y = x Wᵀ forward, dx = dy W backward, of numbers that
// are split in two bfloat16 halves. Five times the arithmetic of float32 where a processor has tiles;
// what it does to the numbers is in docs/decisions/0014.

import CReFTKernels
import ReFTTensor

enum SplitProduct {
  /// Columns of the result that one task computes.
  private static let taskWidth = 96
  /// Rows of the input that stay in the second-level cache while a task goes over its panels.
  private static let rowBlock = 192
  /// Weights of fewer columns or rows go the way of float32.
  private static let smallest = 128

  private static let side = Int(REFT_SPLIT_SIDE)
  private static let tileRun = Int(REFT_SPLIT_RUN)
  private static let tileBytes = Int(REFT_SPLIT_TILE)

  /// Whether this processor multiplies split numbers.
  static var isOffered: Bool { reft_kernels_use_tiles() != 0 }

  /// Whether products with a weight, forward and backward, may go this way.
  ///
  /// It depends on the weight alone, so that a row's bits depend on no other row.
  static func fits(rows: Int, columns: Int) -> Bool {
    isOffered && min(rows, columns) >= smallest && rows % tileRun == 0 && columns % tileRun == 0
  }

  /// A left matrix in tiles, [rows, columns], in memory of whoever made it.
  struct Left {
    let rows: Int
    let columns: Int
    let tiles: UnsafeMutablePointer<UInt8>

    /// Bytes of sixteen rows.
    var groupBytes: Int { columns / tileRun * tileBytes }
    var groupCount: Int { (rows + side - 1) / side }

    /// Floats of memory that the tiles of so many rows and columns fill.
    static func floats(rows: Int, columns: Int) -> Int {
      (rows + side - 1) / side * side * columns
    }

    init(rows: Int, columns: Int, memory: UnsafeMutablePointer<Float>) {
      (self.rows, self.columns) = (rows, columns)
      tiles = UnsafeMutableRawPointer(memory).assumingMemoryBound(to: UInt8.self)
    }

    /// Fills the tiles from rows of floats.
    func split(_ x: UnsafePointer<Float>, stride: Int, pool: ThreadPool) {
      pool.run(groupCount) { group in
        let first = group * side
        reft_split_left(
          columns,
          min(side, rows - first),
          x + first * stride,
          stride,
          tiles + group * groupBytes
        )
      }
    }

    /// y[rows, width] = A · weightsᵀ for `width` rows of floats as long as A's; `panels` holds
    /// `width`, rounded up to 16, times `run` floats.
    func multiply(
      byRows weights: UnsafePointer<Float>,
      width: Int,
      run: Int,
      panels: UnsafeMutablePointer<Float>,
      y: UnsafeMutablePointer<Float>,
      yStride: Int
    ) {
      let panels = UnsafeMutableRawPointer(panels).assumingMemoryBound(to: UInt8.self)
      for k in stride(from: 0, to: columns, by: run) {
        let length = min(run, columns - k)
        for column in stride(from: 0, to: width, by: side) {
          reft_split_columns(
            length,
            min(side, width - column),
            weights + column * columns + k,
            columns,
            panels + column / side * (length / tileRun * tileBytes)
          )
        }
        multiply(
          k: k,
          run: length,
          width: width,
          panels: panels,
          y: y,
          yStride: yStride,
          accumulate: k > 0
        )
      }
    }

    /// C[rows, width] (+)= A[:, k..<k + run] · panels, in blocks of rows.
    func multiply(
      k: Int,
      run: Int,
      width: Int,
      panels: UnsafePointer<UInt8>,
      y: UnsafeMutablePointer<Float>,
      yStride: Int,
      accumulate: Bool
    ) {
      let runs = run / tileRun
      for row in stride(from: 0, to: rows, by: rowBlock) {
        reft_gemm_split(
          min(rowBlock, rows - row),
          width,
          runs,
          tiles + row / side * groupBytes + k / tileRun * tileBytes,
          groupBytes,
          panels,
          runs * tileBytes,
          y + row * yStride,
          yStride,
          accumulate ? 1 : 0
        )
      }
    }
  }

  /// y[m, W.rows] (+)= x[m, W.columns] Wᵀ.
  static func forward(
    _ weight: StackedWeight,
    rows m: Int,
    x: UnsafePointer<Float>,
    xStride: Int,
    y: UnsafeMutablePointer<Float>,
    yStride: Int,
    accumulate: Bool,
    pool: ThreadPool
  ) {
    let left = left(rows: m, columns: weight.columns)
    left.split(x, stride: xStride, pool: pool)
    let run = StackedWeight.run(extent: weight.columns, blockSize: weight.blockSize)
    pool.run((weight.rows + taskWidth - 1) / taskWidth) { task in
      let first = task * taskWidth
      let width = min(taskWidth, weight.rows - first)
      let panels = panels(width: taskWidth, run: run)
      let unpacked = ThreadScratch.floats(side * run, .unpackedRows)
      for k in stride(from: 0, to: weight.columns, by: run) {
        let length = min(run, weight.columns - k)
        for column in stride(from: 0, to: width, by: side) {
          let count = min(side, width - column)
          for row in 0..<count {
            let (part, partRow) = weight.locate(first + column + row)
            part.expand(row: partRow, column: k, count: length, into: unpacked + row * length)
          }
          let panel = panels + column / side * (length / tileRun * tileBytes)
          reft_split_columns(length, count, unpacked, length, panel)
        }
        left.multiply(
          k: k,
          run: length,
          width: width,
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
    _ weight: StackedWeight,
    rows m: Int,
    dy: UnsafePointer<Float>,
    dyStride: Int,
    dx: UnsafeMutablePointer<Float>,
    dxStride: Int,
    pool: ThreadPool
  ) {
    let left = left(rows: m, columns: weight.rows)
    left.split(dy, stride: dyStride, pool: pool)
    let taskWidth = max(taskWidth, weight.blockSize)
    let run = StackedWeight.run(extent: weight.rows, blockSize: 1)
    pool.run((weight.columns + taskWidth - 1) / taskWidth) { task in
      let first = task * taskWidth
      let width = min(taskWidth, weight.columns - first)
      let panels = panels(width: taskWidth, run: run)
      let even = ThreadScratch.floats(2 * taskWidth, .unpackedRows)
      let odd = even + taskWidth
      for k in stride(from: 0, to: weight.rows, by: run) {
        let length = min(run, weight.rows - k)
        let panelBytes = length / tileRun * tileBytes
        for row in stride(from: 0, to: length, by: 2) {
          for (offset, target) in [even, odd].enumerated() {
            let (part, partRow) = weight.locate(k + row + offset)
            part.expand(row: partRow, column: first, count: width, into: target)
          }
          let place = row / tileRun * tileBytes + row % tileRun / 2 * 64
          reft_split_pair(width, even, odd, panels + place, panelBytes)
        }
        left.multiply(
          k: k,
          run: length,
          width: width,
          panels: panels,
          y: dx + first,
          yStride: dxStride,
          accumulate: k > 0
        )
      }
    }
  }

  /// Memory for a left matrix: the calling thread's, valid until its next call.
  private static func left(rows: Int, columns: Int) -> Left {
    let count = Left.floats(rows: rows, columns: columns)
    return Left(
      rows: rows,
      columns: columns,
      memory: ThreadScratch.floats(count, .activations)
    )
  }

  private static func panels(width: Int, run: Int) -> UnsafeMutablePointer<UInt8> {
    UnsafeMutableRawPointer(ThreadScratch.floats(width * run, .weightPanels))
      .assumingMemoryBound(to: UInt8.self)
  }
}
