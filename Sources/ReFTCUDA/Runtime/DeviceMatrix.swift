// SPDX-License-Identifier: Apache-2.0
// One weight matrix on the card: as numbers that products read, or as the file's blocks.

import ReFTModel
import ReFTTensor

/// W [rows, columns]; either form, or both.
final class DeviceMatrix {
  /// The codes of the file, packed for products with few rows.
  struct Packed {
    let memory: DeviceMemory
    let format: PackedFormat
  }

  let rows: Int
  let columns: Int
  /// Where products with few rows read two halves side by side, the rows of each; else 0.
  let half: Int
  private let numbers: DeviceMemory?
  let packed: Packed?
  private let operations: Operations
  private let loader: WeightLoader

  fileprivate init(
    _ shape: MatrixShape,
    numbers: DeviceMemory?,
    packed: Packed?,
    _ loader: WeightLoader
  ) {
    (rows, columns, half) = (shape.rows, shape.columns, shape.half)
    (self.numbers, self.packed) = (numbers, packed)
    (self.loader, operations) = (loader, loader.operations)
  }

  /// The numbers, where they lie on the card.
  var dense: DevicePointer? { numbers?.pointer }

  /// The numbers; expanded into memory that the next matrix takes over where only blocks are kept.
  func expanded() throws(ReFTError) -> DevicePointer {
    if let numbers { return numbers.pointer }
    let target = try loader.sharedSpace(rows * columns * operations.actSize)
    if let packed {
      try operations.unpack(
        packed.format,
        MatrixShape(rows: rows, columns: columns, half: half),
        packed.memory.pointer,
        to: target
      )
    }
    return target
  }
}

/// Copies weights to the card.
final class WeightLoader {
  let operations: Operations
  /// Whether blocks that few-row products can read stay as they are.
  let keepsQuantised: Bool
  private var space: DeviceMemory?

  init(_ operations: Operations, keepsQuantised: Bool) {
    (self.operations, self.keepsQuantised) = (operations, keepsQuantised)
  }

  /// Space that a later call may take over, in the order of the stream.
  func sharedSpace(_ byteCount: Int) throws(ReFTError) -> DevicePointer {
    if let space, space.byteCount >= byteCount { return space.pointer }
    let memory = try operations.device.allocate(byteCount, for: "an expanded weight")
    space = memory
    return memory.pointer
  }

  /// Copies a matrix, or several that stand one below the other.
  ///
  /// - Parameters:
  ///   - weight: the matrices.
  ///   - isEmbedding: whether single rows are read, so that numbers are needed.
  ///   - isGated: whether the upper half of the rows are a gate of the lower.
  /// - Returns: the matrix on the card.
  /// - Throws: what the card reports.
  func matrix(
    _ weight: StackedWeight,
    isEmbedding: Bool = false,
    isGated: Bool = false
  ) throws(ReFTError) -> DeviceMatrix {
    var shape = MatrixShape(rows: weight.rows, columns: weight.columns)
    if isGated, weight.rows % 16 == 0 { shape.half = weight.rows / 2 }
    if keepsQuantised, !isEmbedding, let format = Self.packedFormat(weight) {
      let packed = DeviceMatrix.Packed(memory: try pack(weight, shape, format), format: format)
      return DeviceMatrix(shape, numbers: nil, packed: packed, self)
    }
    return DeviceMatrix(shape, numbers: try numbers(weight), packed: nil, self)
  }

  /// The format in which products with few rows read a weight as it is in the file, if they do.
  static func packedFormat(_ weight: StackedWeight) -> PackedFormat? {
    let type = weight.parts[0].type
    guard weight.columns % 32 == 0, weight.parts.allSatisfy({ $0.type == type }) else {
      return nil
    }
    return PackedFormat(type)
  }

  /// The parts' blocks, packed for products with few rows.
  private func pack(
    _ weight: StackedWeight,
    _ shape: MatrixShape,
    _ format: PackedFormat
  ) throws(ReFTError) -> DeviceMemory {
    let blocks = try blocks(weight)
    let memory = try operations.device.allocate(
      format.byteCount(rows: shape.rows, columns: shape.columns),
      for: "packed weights of \(weight.rows) rows"
    )
    try operations.pack(weight.parts[0].type, shape, blocks.pointer, to: memory.pointer)
    return memory
  }

  /// The parts' bytes, one after the other.
  private func blocks(_ weight: StackedWeight) throws(ReFTError) -> DeviceMemory {
    let device = operations.device
    let byteCount = weight.parts.reduce(0) { $0 + $1.rows * $1.rowByteCount }
    let memory = try device.allocate(byteCount, for: "weights of \(weight.rows) rows")
    var offset = 0
    for part in weight.parts {
      let count = part.rows * part.rowByteCount
      try device.copyIn(part.address(row: 0), count, to: memory.pointer.advanced(byBytes: offset))
      offset += count
    }
    return memory
  }

  /// The parts' numbers in the format of activations, expanded on the card where it knows the type.
  private func numbers(_ weight: StackedWeight) throws(ReFTError) -> DeviceMemory {
    let device = operations.device
    let size = operations.actSize
    let memory = try device.allocate(
      KernelShapes.paddedRows(weight.rows) * weight.columns * size,
      for: "a weight matrix of \(weight.rows) × \(weight.columns)"
    )
    var target = memory.pointer
    for part in weight.parts {
      let count = part.rows * part.columns
      if Operations.expands(part.type) {
        let raw = try device.allocate(part.rows * part.rowByteCount, for: "a weight's blocks")
        try device.copyIn(part.address(row: 0), part.rows * part.rowByteCount, to: raw.pointer)
        try operations.expand(part.type, raw.pointer, count, to: target)
      } else {
        try copyExpanded(part, to: target)
      }
      target = target.advanced(byBytes: count * size)
    }
    return memory
  }

  /// Expands rows here and rounds them there, some rows at a time.
  private func copyExpanded(
    _ part: FrozenWeight,
    to target: DevicePointer
  ) throws(ReFTError) {
    let device = operations.device
    let perChunk = max(1, (8 << 20) / part.columns)
    let floats = FloatBuffer(count: min(part.rows, perChunk) * part.columns)
    let raw = try device.allocate(floats.count * 4, for: "rows of a weight")
    for first in stride(from: 0, to: part.rows, by: perChunk) {
      let count = min(perChunk, part.rows - first)
      let base = floats.base
      ThreadPool.shared.run(count) { row in
        part.expand(
          row: first + row,
          column: 0,
          count: part.columns,
          into: base + row * part.columns
        )
      }
      try device.copyIn(base, count * part.columns * 4, to: raw.pointer)
      try operations.cast(
        rows: count,
        width: part.columns,
        raw.pointer,
        to: target.advanced(byBytes: first * part.columns * operations.actSize)
      )
      try device.synchronise()
    }
  }
}
