// SPDX-License-Identifier: Apache-2.0
// A matrix product as a value.

/// The format of numbers in the memory of a card.
package enum NumberFormat: Sendable, Hashable {
  /// IEEE single precision.
  case float32
  /// The upper half of single precision.
  case bfloat16
  /// IEEE half precision.
  case float16

  /// Bytes of one number.
  package var byteCount: Int { self == .float32 ? 4 : 2 }

  var cudaDataType: Int32 {
    switch self {
    case .float32: CuBLASConstant.float32
    case .bfloat16: CuBLASConstant.bfloat16
    case .float16: CuBLASConstant.float16
    }
  }
}

/// A product with a weight matrix W of [n, k], all matrices row-major, strides in numbers.
///
/// Forward, `y[rows, n] (+)= x[rows, k] · Wᵀ`; backward (`transposesWeight` false),
/// `y[rows, k] (+)= x[rows, n] · W`, where x is the gradient of the outputs and y that of the inputs.
/// With `transposesInput`, `y[rows, k] (+)= xᵀ · W` for x of [n, rows]: the sum of outer products of rows.
/// The sums are float32.
package struct GEMM: Sendable {
  /// Rows of x and y.
  package var rows: Int
  /// Rows of the weight: outputs of the layer.
  package var n: Int
  /// Columns of the weight: inputs of the layer.
  package var k: Int
  /// The left factor, in `input`.
  package var x: DevicePointer
  /// Numbers from one row of x to the next.
  package var xStride: Int
  /// The weight, in `input`.
  package var weight: DevicePointer
  /// Numbers from one row of the weight to the next.
  package var weightStride: Int
  /// The result, in `output`.
  package var y: DevicePointer
  /// Numbers from one row of y to the next.
  package var yStride: Int
  /// Forward (true) or backward.
  package var transposesWeight: Bool
  /// Whether x is [n, rows]; only where the weight is not transposed.
  package var transposesInput: Bool
  /// The format of x and the weight.
  package var input: NumberFormat
  /// The format of y: float32, or that of the input.
  package var output: NumberFormat
  /// Adds to y instead of replacing it.
  package var accumulates: Bool
  /// Uses float32 throughout, with no shortcuts of tensor cores.
  package var exact: Bool

  /// Describes a product; the strides are those of whole matrices unless given.
  package init(
    rows: Int,
    n: Int,
    k: Int,
    x: DevicePointer,
    xStride: Int? = nil,
    weight: DevicePointer,
    weightStride: Int? = nil,
    y: DevicePointer,
    yStride: Int? = nil,
    transposesWeight: Bool = true,
    transposesInput: Bool = false,
    input: NumberFormat,
    output: NumberFormat,
    accumulates: Bool = false,
    exact: Bool = false
  ) {
    (self.rows, self.n, self.k) = (rows, n, k)
    (self.x, self.weight, self.y) = (x, weight, y)
    self.xStride = xStride ?? (transposesInput ? rows : transposesWeight ? k : n)
    self.weightStride = weightStride ?? k
    self.yStride = yStride ?? (transposesWeight ? n : k)
    self.transposesWeight = transposesWeight
    self.transposesInput = transposesInput
    (self.input, self.output) = (input, output)
    (self.accumulates, self.exact) = (accumulates, exact)
  }
}
