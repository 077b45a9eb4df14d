// SPDX-License-Identifier: Apache-2.0
// Products with frozen weights, and the expansion of their blocks.

import ReFTModel
import ReFTTensor

extension Operations {
  /// Whether the card expands blocks of a type.
  static func expands(_ type: TensorType) -> Bool { expansion(of: type) != nil }

  private static func expansion(of type: TensorType) -> String? {
    switch type {
    case .f32: "expand_f32"
    case .f16: "expand_f16"
    case .bf16: "expand_bf16"
    case .q4_0: "expand_q4_0"
    case .q4_1: "expand_q4_1"
    case .q5_0: "expand_q5_0"
    case .q5_1: "expand_q5_1"
    case .q8_0: "expand_q8_0"
    case .q4_K: "expand_q4_k"
    case .q5_K: "expand_q5_k"
    case .q6_K: "expand_q6_k"
    default: nil
    }
  }

  /// Whether products with few rows read blocks of a type as they are.
  static func multipliesBlocks(_ type: TensorType) -> Bool { packedName(of: type) != nil }

  /// What kernels of packed blocks call a type.
  private static func packedName(of type: TensorType) -> String? {
    switch type {
    case .q4_0: "q4_0"
    case .q4_1: "q4_1"
    case .q8_0: "q8_0"
    default: nil
    }
  }

  /// Packs a matrix of blocks for products with few rows: four rows side by side.
  func repack(
    _ type: TensorType,
    rows: Int,
    columns: Int,
    _ blocks: DevicePointer,
    to packed: DevicePointer
  ) throws(ReFTError) {
    try onPacked("repack", type, rows, columns, blocks, packed)
  }

  /// Turns a packed matrix into numbers.
  func unpack(
    _ type: TensorType,
    rows: Int,
    columns: Int,
    _ packed: DevicePointer,
    to numbers: DevicePointer
  ) throws(ReFTError) {
    try onPacked("unpack", type, rows, columns, packed, numbers)
  }

  private func onPacked(
    _ verb: String,
    _ type: TensorType,
    _ rows: Int,
    _ columns: Int,
    _ source: DevicePointer,
    _ target: DevicePointer
  ) throws(ReFTError) {
    guard let name = Self.packedName(of: type) else {
      preconditionFailure("\(type) is not packed")
    }
    try launch(
      try kernel("\(verb)_\(name)", .matvecQuantised, defines: ["REFT_N": 1], variant: "/1"),
      grid: runs(rows * columns),
      rows,
      columns,
      source,
      target
    )
  }

  /// Turns `count` numbers of blocks into activations.
  func expand(
    _ type: TensorType,
    _ blocks: DevicePointer,
    _ count: Int,
    to out: DevicePointer
  ) throws(ReFTError) {
    guard let name = Self.expansion(of: type) else {
      preconditionFailure("\(type) is expanded on the host")
    }
    try launch(
      try kernel(name, .expand),
      grid: runs(count),
      blocks,
      LongCount(value: count),
      out
    )
  }

  /// y [rows, W's rows] (+)= x Wᵀ.
  ///
  /// - Parameters:
  ///   - matrix: W.
  ///   - rows: rows of x and y.
  ///   - x: activations [rows, W's columns].
  ///   - y: takes the product.
  ///   - isFloat: whether y is float32, not activations.
  ///   - accumulates: whether the product is added to y.
  ///   - isFew: whether the rows are decoded tokens, whose products read the weights as they are kept.
  /// - Throws: what the card reports.
  func multiply(
    _ matrix: DeviceMatrix,
    rows: Int,
    _ x: DevicePointer,
    to y: DevicePointer,
    isFloat: Bool,
    accumulates: Bool = false,
    isFew: Bool = false
  ) throws(ReFTError) {
    if isFew, rows <= Self.mostFewRows, matrix.columns % 32 == 0 {
      return try multiplyFew(matrix, rows, x, to: y, isFloat: isFloat, accumulates: accumulates)
    }
    try device.gemm(
      GEMM(
        rows: rows,
        n: matrix.rows,
        k: matrix.columns,
        x: x,
        xStride: matrix.columns,
        weight: try matrix.expanded(),
        weightStride: matrix.columns,
        y: y,
        yStride: matrix.rows,
        transposesWeight: true,
        input: format,
        output: isFloat ? .float32 : format,
        accumulates: accumulates,
        exact: format == .float32
      )
    )
  }

  /// dx [rows, W's columns] = dy W.
  func multiplyBack(
    _ matrix: DeviceMatrix,
    rows: Int,
    _ dy: DevicePointer,
    to dx: DevicePointer
  ) throws(ReFTError) {
    try device.gemm(
      GEMM(
        rows: rows,
        n: matrix.rows,
        k: matrix.columns,
        x: dy,
        xStride: matrix.rows,
        weight: try matrix.expanded(),
        weightStride: matrix.columns,
        y: dx,
        yStride: matrix.columns,
        transposesWeight: false,
        input: format,
        output: format,
        accumulates: false,
        exact: format == .float32
      )
    )
  }

  /// How many rows products of decoded tokens take at once.
  static let mostFewRows = 8

  private func multiplyFew(
    _ matrix: DeviceMatrix,
    _ rows: Int,
    _ x: DevicePointer,
    to y: DevicePointer,
    isFloat: Bool,
    accumulates: Bool
  ) throws(ReFTError) {
    let blocks = matrix.packed.flatMap { Self.packedName(of: $0.type) }
    let name = "matvec_" + (blocks ?? "act") + (isFloat ? "" : "_to_act")
    let source: KernelSource = blocks == nil ? .matvec : .matvecQuantised
    let none: DevicePointer? = nil
    try launch(
      try kernel(name, source, defines: ["REFT_N": rows], variant: "/\(rows)"),
      grid: (blocks == nil ? (matrix.rows + 3) / 4 : (matrix.rows + 15) / 16, 1, 1),
      block: blocks == nil ? 128 : 256,
      matrix.rows,
      matrix.columns,
      matrix.packed?.memory.pointer ?? matrix.dense,
      x,
      none,
      accumulates ? 1 : 0,
      y
    )
  }
}
