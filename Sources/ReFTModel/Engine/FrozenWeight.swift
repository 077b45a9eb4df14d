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

  /// The weight in the layouts of int8 products; nil when its number format has none.
  func repacked(pool: ThreadPool) -> RepackedWeight? { repacked.value(of: self, pool: pool) }

  /// Whence panels of the weight are expanded: from where it is read in any case; `repacks` tells that
  /// it will be read repacked, so that it may as well be made so now.
  func panels(repacks: Bool, pool: ThreadPool) -> WeightPanels {
    let made = repacks ? repacked(pool: pool) : repacked.known
    return WeightPanels(weight: self, repacked: made?.servesPanels == true ? made : nil)
  }

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
    return evenRun(extent: extent, longest: longestRun, unit: 32)
  }

  /// The length of pieces of `extent` that are alike, whole units, and about as long as `longest`.
  static func evenRun(extent: Int, longest: Int, unit: Int) -> Int {
    let pieces = (extent + longest - 1) / longest
    return min(extent, ((extent + pieces - 1) / pieces + unit - 1) / unit * unit)
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

  /// Calls `body` for the rows of a range, part by part: the first's index in the stack, the part, and
  /// which of its rows they are.
  func forEachPart(_ range: Range<Int>, _ body: (Int, FrozenWeight, Range<Int>) -> Void) {
    var first = range.lowerBound
    while first < range.upperBound {
      let (part, row) = locate(first)
      let count = min(range.upperBound - first, part.rows - row)
      body(first, part, row..<row + count)
      first += count
    }
  }
}
