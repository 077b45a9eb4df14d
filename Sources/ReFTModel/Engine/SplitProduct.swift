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
  /// Floats of the left matrix that are split at once, unless its rows alone are more: 2 MiB, which
  /// the second-level caches of two cores hold.
  private static let leftFloats = 1 << 19
  /// The longest run of k that is packed at once: sums go to C and come back once a run.
  private static let longestRun = 768
  /// The most columns of a weight whose product is gated at once: all of a sum is made in one run.
  private static let widestGated = 1024
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

  /// How much of both sides of a product counts.
  enum Halves: Int32 {
    /// The high parts: both sides are rounded to bfloat16, for a third of the work.
    case high = 1
    /// All of them.
    case both = 2
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
      let tiles = UnsafeMutableRawPointer(memory).assumingMemoryBound(to: UInt8.self)
      self.init(rows: rows, columns: columns, tiles: tiles)
    }

    private init(rows: Int, columns: Int, tiles: UnsafeMutablePointer<UInt8>) {
      (self.rows, self.columns, self.tiles) = (rows, columns, tiles)
    }

    /// Some of the rows, from a multiple of 16 on.
    func rows(_ range: Range<Int>) -> Left {
      let first = tiles + range.lowerBound / side * groupBytes
      return Left(rows: range.count, columns: columns, tiles: first)
    }

    /// Fills the tiles from rows of floats.
    func split(_ x: UnsafePointer<Float>, stride: Int, pool: ThreadPool) {
      pool.run(groupCount) { split(group: $0, x, stride: stride) }
    }

    /// The same on the calling thread.
    func split(_ x: UnsafePointer<Float>, stride: Int) {
      for group in 0..<groupCount { split(group: group, x, stride: stride) }
    }

    private func split(group: Int, _ x: UnsafePointer<Float>, stride: Int) {
      let first = group * side
      reft_split_left(
        columns,
        min(side, rows - first),
        x + first * stride,
        stride,
        tiles + group * groupBytes
      )
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
      halves: Halves = .both,
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
          halves.rawValue,
          y + row * yStride,
          yStride,
          accumulate ? 1 : 0
        )
      }
    }
  }

  /// y[m, W.rows] (+)= x[m, W.columns] Wᵀ.
  static func forward(
    _ source: WeightPanels,
    rows m: Int,
    x: UnsafePointer<Float>,
    halves: Halves,
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool,
    pool: ThreadPool
  ) {
    let weight = source.weight
    let shape = Shape(
      rows: m,
      extent: weight.columns,
      width: weight.rows,
      taskWidth: taskWidth,
      run: run(extent: weight.columns, blockSize: weight.blockSize),
      halves: halves
    )
    multiply(shape, x, y, accumulate: accumulate, pool) { columns, k, panels in
      pack(source, columns, k, into: panels)
    }
  }

  /// Fills panels with Wᵀ[k, columns].
  private static func pack(
    _ source: WeightPanels,
    _ columns: Range<Int>,
    _ k: Range<Int>,
    into panels: UnsafeMutablePointer<UInt8>
  ) {
    for column in stride(from: 0, to: columns.count, by: side) {
      let panel = panels + column / side * (k.count / tileRun * tileBytes)
      let first = columns.lowerBound + column
      if let repacked = source.repacked {
        repacked.split(row: first, column: k.lowerBound, count: k.count, into: panel)
      } else {
        let count = min(side, columns.count - column)
        let unpacked = ThreadScratch.floats(side * k.count, .unpackedRows)
        source.expand(rows: first, count: count, columns: k, into: unpacked)
        reft_split_columns(k.count, count, unpacked, k.count, panel)
      }
    }
  }

  /// How many of `extent` values of k are packed at once, in whole blocks and runs of a tile.
  private static func run(extent: Int, blockSize: Int) -> Int {
    let unit = max(tileRun, blockSize)
    return StackedWeight.evenRun(extent: extent, longest: longestRun, unit: unit)
  }

  /// Whether `gated` takes a weight of gates above as many rows of up.
  static func fitsGated(rows: Int, columns: Int) -> Bool {
    fits(rows: rows, columns: columns) && columns <= widestGated
  }

  /// hidden[m, f] = gate(x Gᵀ, x Uᵀ) for a weight of f rows of G above f rows of U, whose products are
  /// never in memory together: each task makes some columns of both, which stay in its cache.
  static func gated(
    _ source: WeightPanels,
    rows m: Int,
    x: UnsafePointer<Float>,
    halves: Halves,
    gate: GateKernels.Gated,
    hidden: UnsafeMutablePointer<Float>,
    pool: ThreadPool
  ) {
    let (columns, size) = (source.weight.columns, source.weight.rows / 2)
    let half = taskWidth / 2
    let slab = max(1, leftFloats / Left.floats(rows: rowBlock, columns: columns)) * rowBlock
    let memory = ThreadScratch.floats(
      Left.floats(rows: min(m, slab), columns: columns),
      .activations
    )
    for start in stride(from: 0, to: m, by: slab) {
      let left = Left(rows: min(slab, m - start), columns: columns, memory: memory)
      left.split(x + start * columns, stride: columns, pool: pool)
      pool.run((size + half - 1) / half) { task in
        let first = task * half
        let width = min(half, size - first)
        let panels = panels(width: taskWidth, run: columns)
        pack(source, first..<first + width, 0..<columns, into: panels)
        let ups = panels + width / side * left.groupBytes
        pack(source, size + first..<size + first + width, 0..<columns, into: ups)
        let sums = ThreadScratch.floats(rowBlock * taskWidth, .gateSums)
        for row in stride(from: 0, to: left.rows, by: rowBlock) {
          let some = left.rows(row..<min(left.rows, row + rowBlock))
          some.multiply(
            k: 0,
            run: columns,
            width: 2 * width,
            panels: panels,
            halves: halves,
            y: sums,
            yStride: 2 * width,
            accumulate: false
          )
          for index in 0..<some.rows {
            let gates = sums + index * 2 * width
            let out = hidden + (start + row + index) * size + first
            gate.gate(width, gates, gates + width, out)
          }
        }
      }
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
    let shape = Shape(
      rows: m,
      extent: weight.rows,
      width: weight.columns,
      taskWidth: max(taskWidth, weight.blockSize),
      run: run(extent: weight.rows, blockSize: 1),
      halves: .both
    )
    multiply(shape, dy, dx, accumulate: false, pool) { columns, k, panels in
      let unpacked = ThreadScratch.floats(side * shape.taskWidth, .unpackedRows)
      let panelBytes = k.count / tileRun * tileBytes
      for first in stride(from: 0, to: k.count, by: side) {
        source.expand(rows: k.lowerBound + first, count: side, columns: columns, into: unpacked)
        for row in stride(from: 0, to: side, by: 2) {
          let pair = unpacked + row * columns.count
          let place = panels + pairOffset(first + row)
          reft_split_pair(columns.count, pair, pair + columns.count, place, panelBytes)
        }
      }
    }
  }

  /// Where a panel has row `row` of its columns, which is even, and the one after it.
  static func pairOffset(_ row: Int) -> Int {
    row / tileRun * tileBytes + row % tileRun / 2 * 64
  }

  /// The sizes of a product C[rows, width] = A[rows, extent] B.
  private struct Shape {
    let rows: Int
    let extent: Int
    let width: Int
    /// Columns of C that one task computes.
    let taskWidth: Int
    /// How many of the extent are packed at once.
    let run: Int
    let halves: Halves

    /// How many of the extent are split at once: whole runs, as many as the memory for them takes.
    var slab: Int {
      max(1, SplitProduct.leftFloats / Left.floats(rows: rows, columns: run)) * run
    }
  }

  /// Fills panels with B[k, columns].
  private typealias Packing = (
    _ columns: Range<Int>,
    _ k: Range<Int>,
    _ panels: UnsafeMutablePointer<UInt8>
  ) -> Void

  /// C (+)= A B for a B that `pack` makes piece by piece, on the thread that uses it.
  private static func multiply(
    _ shape: Shape,
    _ a: UnsafePointer<Float>,
    _ c: UnsafeMutablePointer<Float>,
    accumulate: Bool,
    _ pool: ThreadPool,
    pack: Packing
  ) {
    let memory = ThreadScratch.floats(
      Left.floats(rows: shape.rows, columns: min(shape.slab, shape.extent)),
      .activations
    )
    for start in stride(from: 0, to: shape.extent, by: shape.slab) {
      let end = min(shape.extent, start + shape.slab)
      let left = Left(rows: shape.rows, columns: end - start, memory: memory)
      left.split(a + start, stride: shape.extent, pool: pool)
      pool.run((shape.width + shape.taskWidth - 1) / shape.taskWidth) { task in
        let first = task * shape.taskWidth
        let columns = first..<min(shape.width, first + shape.taskWidth)
        let panels = panels(width: shape.taskWidth, run: shape.run)
        for k in stride(from: start, to: end, by: shape.run) {
          let range = k..<min(end, k + shape.run)
          pack(columns, range, panels)
          left.multiply(
            k: k - start,
            run: range.count,
            width: columns.count,
            panels: panels,
            halves: shape.halves,
            y: c + first,
            yStride: shape.width,
            accumulate: accumulate || k > 0
          )
        }
      }
    }
  }

  private static func panels(width: Int, run: Int) -> UnsafeMutablePointer<UInt8> {
    UnsafeMutableRawPointer(ThreadScratch.floats(width * run, .weightPanels))
      .assumingMemoryBound(to: UInt8.self)
  }
}
