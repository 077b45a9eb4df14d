// SPDX-License-Identifier: Apache-2.0
// Products of up to eight rows in bfloat16, with the norm before them and the activation or the sum
// behind them in one kernel (Kernels/product.cu).

import ReFTTensor

/// What a matrix's rows and columns are.
struct MatrixShape {
  var rows: Int
  var columns: Int
  /// Where gate and up stand one below the other in whole tiles, the rows of each; else 0.
  var half = 0
}

/// y = end(x Wᵀ) for few rows of x.
struct FewProduct {
  /// What is multiplied.
  enum Input {
    case activations(DevicePointer)
    /// The float32 stream, normed on the way.
    case stream(DevicePointer, DeviceNorm)
  }

  /// Where the product goes.
  enum Output {
    case floats(DevicePointer, accumulates: Bool)
    case activations(DevicePointer)
  }

  var matrix: DeviceMatrix
  var rows: Int
  var input: Input
  var bias: DeviceFloats?
  /// f(gate) · up instead of both, with an activation as gate.cu counts them.
  var gate: Int?
  var output: Output
}

/// `product_operand` of operand.cuh, field by field.
private struct ProductOperand {
  var x: UInt64 = 0
  var stream: UInt64 = 0
  var normWeight: UInt64 = 0
  var normBias: UInt64 = 0
  var digits: UInt64 = 0
  var epsilon: Float = 0
  var kind: Int32 = 0
  var n: Int32
  var columns: Int32

  init(_ product: FewProduct) {
    (n, columns) = (Int32(product.rows), Int32(product.matrix.columns))
    switch product.input {
    case .activations(let place): x = place.address
    case .stream(let place, let norm):
      (stream, epsilon, kind) = (place.address, norm.epsilon, Int32(norm.kind))
      normWeight = norm.weight.pointer.address
      normBias = norm.bias?.pointer.address ?? 0
    }
  }
}

/// `product_call` of product.cu, field by field.
private struct ProductCall {
  var weights: UInt64
  var operand: ProductOperand
  var rows: Int32
  var half: Int32
  var bias: UInt64
  var floats: UInt64 = 0
  var activations: UInt64 = 0
  var gate: Int32
  var accumulates: Int32 = 0

  init(_ product: FewProduct) {
    let matrix = product.matrix
    weights = (matrix.packed?.memory.pointer ?? matrix.dense)?.address ?? 0
    operand = ProductOperand(product)
    (rows, half) = (Int32(matrix.rows), Int32(matrix.half))
    bias = product.bias?.pointer.address ?? 0
    gate = Int32(product.gate ?? -1)
    switch product.output {
    case .floats(let place, let adds): (floats, accumulates) = (place.address, adds ? 1 : 0)
    case .activations(let place): activations = place.address
    }
  }
}

/// `digits_…` of product.cu take these.
private struct DigitCall {
  var operand: ProductOperand
  var target: UInt64
}

/// Memory for the digits of rows, whose place stays, since recorded steps name it.
final class DigitRoom {
  private var byteCount = 0
  private var made: DeviceMemory?

  /// Notes how much will be needed; nothing does so once a step was made.
  func expect(_ byteCount: Int) { self.byteCount = max(self.byteCount, byteCount) }

  /// The memory.
  ///
  /// - Throws: what the card reports.
  func memory(_ device: CUDADevice) throws(ReFTError) -> DevicePointer {
    if let made { return made.pointer }
    let memory = try device.allocate(byteCount, for: "digits of a decode step")
    made = memory
    return memory.pointer
  }
}

extension Operations {
  /// How many rows products of decoded tokens take at once.
  static let mostFewRows = 8

  /// Whether few rows are multiplied by `product.cu`.
  func multipliesFew(_ matrix: DeviceMatrix) -> Bool {
    format == .bfloat16 && matrix.columns % 32 == 0
  }

  /// Whether a product can take in the norm of so many rows.
  func takesNorm(_ matrix: DeviceMatrix, rows: Int) -> Bool {
    multipliesFew(matrix) && groups(matrix, rows: rows, operandBytes(matrix, rows, true)) > 0
  }

  /// Multiplies few rows.
  ///
  /// - Throws: what the card reports.
  func multiply(_ product: FewProduct) throws(ReFTError) {
    let matrix = product.matrix
    var isNormed = false
    if case .stream = product.input { isNormed = true }
    var operand = operandBytes(matrix, product.rows, isNormed)
    var groups = groups(matrix, rows: product.rows, operand)
    var call = ProductCall(product)
    if !isNormed, matrix.packed != nil, groups < wantedGroups(matrix) {
      call.operand.digits = try digits(call.operand, matrix).address
      operand = 0
      groups = self.groups(matrix, rows: product.rows, 0)
    }
    try device.launch(
      try kernel("product_\(matrix.packed?.format.rawValue ?? "plain")", .product),
      grid: (min(tiles(matrix), device.multiprocessors), 1, 1),
      block: max(1, groups) * KernelShapes.groupThreads,
      // More than half of what there is: two blocks on one multiprocessor leave another idle.
      sharedBytes: max(
        sharedBytes(matrix, product.rows, max(1, groups), operand),
        device.sharedBytesPerBlock / 2 + 1024
      ),
      structure: &call,
      overlaps: true
    )
  }

  /// The digits of rows for which a product has no room, in memory that the next such product takes
  /// over.
  private func digits(
    _ operand: ProductOperand,
    _ matrix: DeviceMatrix
  ) throws(ReFTError) -> DevicePointer {
    guard let packed = matrix.packed else { preconditionFailure("only codes are met by digits") }
    let target = try digitRoom.memory(device)
    var call = DigitCall(operand: operand, target: target.address)
    let padded = matrix.columns + packed.format.columns
    try device.launch(
      try kernel("digits_\(packed.format.rawValue)", .product),
      grid: ((padded + 1023) / 1024, Int(operand.n), 1),
      block: 128,
      sharedBytes: 0,
      structure: &call,
      overlaps: true
    )
    return target
  }

  private func tiles(_ matrix: DeviceMatrix) -> Int {
    matrix.half > 0 ? matrix.half / 8 : KernelShapes.paddedRows(matrix.rows) / 16
  }

  /// What a product makes of its rows for itself, in bytes.
  private func operandBytes(_ matrix: DeviceMatrix, _ rows: Int, _ isNormed: Bool) -> Int {
    if let packed = matrix.packed {
      return KernelShapes.digitBytes(
        rows: rows,
        columns: matrix.columns,
        unitColumns: packed.format.columns
      )
    }
    return isNormed ? KernelShapes.normedBytes(rows: rows, columns: matrix.columns) : 0
  }

  private func sharedBytes(_ matrix: DeviceMatrix, _ rows: Int, _ groups: Int, _ operand: Int)
    -> Int
  {
    KernelShapes.productBytes(
      groups: groups,
      unitBytes: matrix.packed?.format.unitBytes ?? KernelShapes.plainUnitBytes,
      stages: matrix.packed?.format.stages ?? KernelShapes.plainStages,
      rows: rows,
      operand: operand
    )
  }

  /// How many groups of warps a block has work for.
  private func wantedGroups(_ matrix: DeviceMatrix) -> Int {
    tiles(matrix) > device.multiprocessors ? 2 : 1
  }

  /// How many groups of warps a block has: as many as have work and fit; 0 where not one fits.
  private func groups(_ matrix: DeviceMatrix, rows: Int, _ operand: Int) -> Int {
    var groups = wantedGroups(matrix)
    while groups > 0, sharedBytes(matrix, rows, groups, operand) > device.sharedBytesPerBlock {
      groups -= 1
    }
    return groups
  }
}
