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

/// `product_call` of product.cu, field by field.
private struct ProductCall {
  var weights: UInt64 = 0
  var n: Int32 = 0
  var rows: Int32 = 0
  var columns: Int32 = 0
  var half: Int32 = 0
  var x: UInt64 = 0
  var stream: UInt64 = 0
  var normWeight: UInt64 = 0
  var normBias: UInt64 = 0
  var epsilon: Float = 0
  var kind: Int32 = 0
  var bias: UInt64 = 0
  var floats: UInt64 = 0
  var activations: UInt64 = 0
  var gate: Int32 = -1
  var accumulates: Int32 = 0

  init(_ product: FewProduct) {
    let matrix = product.matrix
    weights = (matrix.packed?.memory.pointer ?? matrix.dense)?.address ?? 0
    (n, rows) = (Int32(product.rows), Int32(matrix.rows))
    (columns, half) = (Int32(matrix.columns), Int32(matrix.half))
    switch product.input {
    case .activations(let place): x = place.address
    case .stream(let place, let norm):
      (stream, epsilon, kind) = (place.address, norm.epsilon, Int32(norm.kind))
      normWeight = norm.weight.pointer.address
      normBias = norm.bias?.pointer.address ?? 0
    }
    bias = product.bias?.pointer.address ?? 0
    gate = Int32(product.gate ?? -1)
    switch product.output {
    case .floats(let place, let adds): (floats, accumulates) = (place.address, adds ? 1 : 0)
    case .activations(let place): activations = place.address
    }
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
    multipliesFew(matrix) && groups(matrix, rows: rows, isNormed: true) > 0
  }

  /// Multiplies few rows.
  ///
  /// - Throws: what the card reports.
  func multiply(_ product: FewProduct) throws(ReFTError) {
    let matrix = product.matrix
    var isNormed = false
    if case .stream = product.input { isNormed = true }
    let groups = max(1, groups(matrix, rows: product.rows, isNormed: isNormed))
    let needed = KernelShapes.productBytes(
      groups: groups,
      unitBytes: matrix.packed?.format.unitBytes ?? KernelShapes.plainUnitBytes,
      stages: matrix.packed?.format.stages ?? KernelShapes.plainStages,
      rows: product.rows,
      normed: isNormed ? matrix.columns : 0
    )
    var call = ProductCall(product)
    try device.launch(
      try kernel("product_\(matrix.packed?.format.rawValue ?? "plain")", .product),
      grid: (min(tiles(matrix), device.multiprocessors), 1, 1),
      block: groups * KernelShapes.groupThreads,
      // More than half of what there is: two blocks on one multiprocessor leave another idle.
      sharedBytes: max(needed, device.sharedBytesPerBlock / 2 + 1024),
      structure: &call,
      overlaps: true
    )
  }

  private func tiles(_ matrix: DeviceMatrix) -> Int {
    matrix.half > 0 ? matrix.half / 8 : KernelShapes.paddedRows(matrix.rows) / 16
  }

  /// How many groups of warps a block has: as many as have work and fit; 0 where not one fits.
  private func groups(_ matrix: DeviceMatrix, rows: Int, isNormed: Bool) -> Int {
    let wanted = tiles(matrix) > device.multiprocessors ? 2 : 1
    for groups in stride(from: wanted, to: 0, by: -1) {
      let bytes = KernelShapes.productBytes(
        groups: groups,
        unitBytes: matrix.packed?.format.unitBytes ?? KernelShapes.plainUnitBytes,
        stages: matrix.packed?.format.stages ?? KernelShapes.plainStages,
        rows: rows,
        normed: isNormed ? matrix.columns : 0
      )
      if bytes <= device.sharedBytesPerBlock { return groups }
    }
    return 0
  }
}
