// SPDX-License-Identifier: Apache-2.0
// A weight matrix as it lies in the model's file, and its expansion into panels for products.

import CReFTKernels
package import ReFTTensor

/// A frozen matrix W [rows, columns] in the file's own number format.
package struct FrozenWeight: @unchecked Sendable {
  // Sendable: points into what the model keeps alive and nobody writes to.

  package let type: TensorType
  package let rows: Int
  package let columns: Int
  private let data: UnsafeRawPointer
  /// Whether the rows lie in a mapped file, not in memory of the model's own.
  private let isInFile: Bool
  /// Bytes from one row to the next.
  package let rowByteCount: Int

  init(
    _ tensor: StoredTensor,
    rows: Int,
    columns: Int,
    slice: ModelPlan.Slice? = nil,
    source: any TensorSource
  ) throws(ReFTError) {
    let size = tensor.type.blockSize
    let total = slice?.total ?? rows
    guard tensor.shape == [total, columns], columns % size == 0,
      let base = tensor.bytes.baseAddress
    else {
      throw .tensorShape(
        tensor.name,
        found: source.inFileOrder(tensor.shape),
        expected: source.inFileOrder([total, columns / size * size]),
        source.path
      )
    }
    let first = (slice?.first ?? 0) * tensor.type.byteCount(elements: columns)
    self.init(
      type: tensor.type,
      rows: rows,
      columns: columns,
      data: base + first,
      isInFile: true
    )
  }

  /// Rows that lie one after the other, in memory that the model keeps.
  init(
    type: TensorType,
    rows: Int,
    columns: Int,
    data: UnsafeRawPointer,
    isInFile: Bool = false
  ) {
    (self.type, self.rows, self.columns, self.data) = (type, rows, columns, data)
    self.isInFile = isInFile
    rowByteCount = type.byteCount(elements: columns)
  }

  /// Where `row` starts from `column` on; `column` is a multiple of the block size.
  package func address(row: Int, column: Int = 0) -> UnsafeRawPointer {
    data + row * rowByteCount + type.byteCount(elements: column)
  }

  /// Gives back the memory that reading the rows from their file filled; the next reader fills it again.
  func letGo() {
    guard isInFile else { return }
    MappedFile.letGo(of: UnsafeRawBufferPointer(start: data, count: rows * rowByteCount))
  }

  /// Expands W[row, column..<column + count].
  package func expand(row: Int, column: Int, count: Int, into out: UnsafeMutablePointer<Float>) {
    type.dequantize(address(row: row, column: column), count: count, into: out)
  }
}

/// Several weights that read the same input, one below the other: W [Σ rows, columns].
package struct StackedWeight: Sendable {
  package let parts: [FrozenWeight]
  package let rows: Int
  package let columns: Int
  private let repacked = LazyRepackedWeight()

  /// The weight as decoding wants it; nil when its number format has no int8 products.
  func repacked(pool: ThreadPool) -> RepackedWeight? { repacked.value(of: self, pool: pool) }

  package init(_ parts: FrozenWeight...) { self.init(parts: parts) }

  init(parts: [FrozenWeight]) {
    self.parts = parts
    rows = parts.reduce(0) { $0 + $1.rows }
    columns = parts[0].columns
  }

  /// The longest run of k that is packed at once: a panel of it fits the first-level cache.
  static let longestRun = 320

  /// How many of `extent` values of k are packed at once, in whole blocks.
  static func run(extent: Int, blockSize: Int) -> Int {
    if blockSize > 32 { return min(extent, blockSize) }
    let pieces = (extent + longestRun - 1) / longestRun
    return min(extent, ((extent + pieces - 1) / pieces + 31) / 32 * 32)
  }

  /// The largest block size of the parts.
  var blockSize: Int { parts.reduce(1) { max($0, $1.type.blockSize) } }

  /// The part that holds a row, and the row's index in it.
  func locate(_ row: Int) -> (part: FrozenWeight, row: Int) {
    var rest = row
    for part in parts {
      if rest < part.rows { return (part, rest) }
      rest -= part.rows
    }
    preconditionFailure("row \(row) of \(rows)")
  }

  /// Packs Wᵀ[k..<k + run, row..<row + count] for y = x Wᵀ; `scratch` holds 16 × run floats.
  func packTransposed(
    row: Int,
    count: Int,
    k: Int,
    run: Int,
    into panels: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    for first in stride(from: 0, to: count, by: 16) {
      let width = min(16, count - first)
      for j in 0..<width {
        let (part, partRow) = locate(row + first + j)
        part.expand(row: partRow, column: k, count: run, into: scratch + j * run)
      }
      reft_pack_transposed_f32(run, width, scratch, run, panels + first * run)
    }
  }

  /// Packs W[k..<k + run, column..<column + count] for dx = dy W; `scratch` holds `count` floats.
  ///
  /// - Precondition: `column` and `count` are multiples of the block size, or the row's end.
  func pack(
    k: Int,
    run: Int,
    column: Int,
    count: Int,
    into panels: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let padded = (count + 15) / 16 * 16
    for j in count..<max(count, padded) { scratch[j] = 0 }
    for offset in 0..<run {
      let (part, row) = locate(k + offset)
      part.expand(row: row, column: column, count: count, into: scratch)
      for panel in 0..<padded / 16 {
        (panels + panel * run * 16 + offset * 16).update(from: scratch + panel * 16, count: 16)
      }
    }
  }
}
