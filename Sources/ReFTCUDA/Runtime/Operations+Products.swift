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
    if isFew, rows <= Self.mostFewRows {
      if multipliesFew(matrix) {
        return try multiply(
          FewProduct(
            matrix: matrix,
            rows: rows,
            input: .activations(x),
            output: isFloat ? .floats(y, accumulates: accumulates) : .activations(y)
          )
        )
      } else if matrix.dense != nil {
        return try multiplyExactly(matrix, rows, x, to: y, isFloat, accumulates)
      }
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
    to dx: DevicePointer,
    isFloat: Bool = false
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
        output: isFloat ? .float32 : format,
        accumulates: false,
        exact: format == .float32
      )
    )
  }

  private func multiplyExactly(
    _ matrix: DeviceMatrix,
    _ rows: Int,
    _ x: DevicePointer,
    to y: DevicePointer,
    _ isFloat: Bool,
    _ accumulates: Bool
  ) throws(ReFTError) {
    let none: DevicePointer? = nil
    try launch(
      try kernel(
        isFloat ? "matvec_act" : "matvec_act_to_act",
        .matvec,
        defines: ["REFT_N": rows],
        variant: "/\(rows)"
      ),
      grid: ((matrix.rows + 3) / 4, 1, 1),
      block: 128,
      matrix.rows,
      matrix.columns,
      matrix.dense,
      x,
      none,
      accumulates ? 1 : 0,
      y
    )
  }
}
