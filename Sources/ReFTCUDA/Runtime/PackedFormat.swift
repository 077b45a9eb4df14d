// SPDX-License-Identifier: Apache-2.0
// The orders in which kernels of few rows read weights; Kernels/packed.cuh says what they are.

import ReFTModel
import ReFTTensor

/// Codes of a file's blocks in tiles of sixteen rows, ready for a warp.
enum PackedFormat: String {
  case nibbles
  case nibblesFrom = "nibbles_from"
  case bytes
  case bytesFrom = "bytes_from"
  case bytesOfHalves = "bytes_of_halves"

  /// The format that a type of a file is packed in, if it is one.
  init?(_ type: TensorType) {
    switch type {
    case .q4_0: self = .nibbles
    case .q4_1, .q4_K: self = .nibblesFrom
    case .q5_0, .q8_0: self = .bytes
    case .q5_1, .q5_K: self = .bytesFrom
    case .q6_K: self = .bytesOfHalves
    default: return nil
    }
  }

  /// What the kernel that packs a type calls it.
  static func name(of type: TensorType) -> String? {
    switch type {
    case .q4_0: "q4_0"
    case .q4_1: "q4_1"
    case .q5_0: "q5_0"
    case .q5_1: "q5_1"
    case .q8_0: "q8_0"
    case .q4_K: "q4_k"
    case .q5_K: "q5_k"
    case .q6_K: "q6_k"
    default: nil
    }
  }

  private var hasNibbles: Bool { self == .nibbles || self == .nibblesFrom }
  private var numbersOfBlock: Int { self == .nibbles || self == .bytes ? 1 : 2 }

  /// The columns of a unit, which a warp reads at once.
  var columns: Int { hasNibbles ? 256 : 128 }
  /// The bytes of a unit.
  var unitBytes: Int { 2048 + columns * numbersOfBlock }
  /// How many units a warp has under way or under its hands.
  var stages: Int { 3 }

  /// The bytes of a packed matrix.
  func byteCount(rows: Int, columns: Int) -> Int {
    KernelShapes.paddedRows(rows) / 16 * ((columns + self.columns - 1) / self.columns) * unitBytes
  }
}

extension Operations {
  /// Packs a matrix of a file's blocks.
  ///
  /// - Parameters:
  ///   - type: the file's type, which has a packed format.
  ///   - shape: rows, columns, and the rows of a half where two stand one below the other.
  ///   - blocks: the blocks, row by row.
  ///   - packed: takes them.
  /// - Throws: what the card reports.
  func pack(
    _ type: TensorType,
    _ shape: MatrixShape,
    _ blocks: DevicePointer,
    to packed: DevicePointer
  ) throws(ReFTError) {
    guard let name = PackedFormat.name(of: type), let format = PackedFormat(type) else {
      preconditionFailure("\(type) has no packed format")
    }
    digitRoom.expect(
      KernelShapes.digitBytes(
        rows: Self.mostFewRows,
        columns: shape.columns,
        unitColumns: format.columns
      )
    )
    try onPacked("pack_\(name)", shape, blocks, packed)
  }

  /// Turns a packed matrix into activations.
  func unpack(
    _ format: PackedFormat,
    _ shape: MatrixShape,
    _ packed: DevicePointer,
    to numbers: DevicePointer
  ) throws(ReFTError) {
    try onPacked("unpack_\(format.rawValue)", shape, packed, numbers)
  }

  private func onPacked(
    _ name: String,
    _ shape: MatrixShape,
    _ source: DevicePointer,
    _ target: DevicePointer
  ) throws(ReFTError) {
    try launch(
      try kernel(name, .pack),
      grid: runs(shape.rows * shape.columns),
      shape.rows,
      shape.columns,
      shape.half,
      source,
      target
    )
  }
}
