// SPDX-License-Identifier: Apache-2.0
// The direction of the largest sum of squares, by the Lanczos iteration with full
// reorthogonalisation (Golub and Van Loan, Matrix Computations, section 10.3), from a fixed start.

import ReFTTensor

/// The first right singular vector of some rows.
struct PrincipalComponent {
  /// The direction, of length 1; its sign is arbitrary.
  let direction: [Double]
  /// The sum of squares along it.
  let squareSum: Double

  /// Steps before the iteration starts again from the best direction so far.
  private static let steps = 120
  private static let restarts = 40
  /// How small the rest ‖AᵀA v − λ v‖ must be, in parts of λ.
  private static let tolerance = 1e-12

  /// Iterates until the direction stands.
  init(_ rows: RowMatrix) {
    // A mixture of the rows holds all that the rows hold.
    let random = CounterRandom(key: 0x57EE_A001)
    let weights = (0..<rows.rows).map { Double(random.normal(offset: UInt64($0))) }
    var best = rows.transposedProduct(weights)
    var value = 0.0
    for _ in 0..<Self.restarts {
      let (next, found, rest) = Self.iterate(rows, from: best)
      (best, value) = (next, found)
      if rest <= Self.tolerance * max(found, .leastNormalMagnitude) { break }
    }
    direction = best
    squareSum = value
  }

  /// One run of steps.
  ///
  /// - Returns: the best direction, its sum of squares, and how far it is from being one.
  private static func iterate(
    _ rows: RowMatrix,
    from start: [Double]
  ) -> (direction: [Double], value: Double, rest: Double) {
    var basis: [[Double]] = [scaled(start)]
    var matrix = Tridiagonal()
    while true {
      let last = basis[basis.count - 1]
      var next = rows.transposedProduct(rows.product(last))
      matrix.diagonal.append(RowMatrix.dot(last, next))
      // Twice, so that rounding leaves nothing of the others.
      for _ in 0..<2 {
        for vector in basis { add(vector, times: -RowMatrix.dot(vector, next), to: &next) }
      }
      let length = RowMatrix.length(next)
      let (value, parts) = matrix.largest()
      let rest = length * abs(parts[parts.count - 1])
      if rest <= tolerance * value || basis.count == min(steps, rows.columns) || length == 0 {
        var direction = [Double](repeating: 0, count: rows.columns)
        for (vector, part) in zip(basis, parts) { add(vector, times: part, to: &direction) }
        return (scaled(direction), value, rest)
      }
      matrix.offDiagonal.append(length)
      basis.append(next.map { $0 / length })
    }
  }

  private static func scaled(_ x: [Double]) -> [Double] {
    let length = RowMatrix.length(x)
    return length > 0 ? x.map { $0 / length } : x
  }

  private static func add(_ x: [Double], times factor: Double, to y: inout [Double]) {
    y.withUnsafeMutableBufferPointer { y in
      x.withUnsafeBufferPointer { x in for j in y.indices { y[j] += factor * x[j] } }
    }
  }
}

/// A symmetric matrix with numbers on the diagonal and beside it alone.
struct Tridiagonal {
  var diagonal: [Double] = []
  var offDiagonal: [Double] = []

  /// The largest eigenvalue and its eigenvector, of length 1.
  func largest() -> (value: Double, vector: [Double]) {
    let value = largestValue()
    guard diagonal.count > 1 else { return (value, [1]) }
    // (μ I − T) with μ just above the value has no zero on its way down, and its inverse turns
    // anything into the eigenvector.
    let shift = value + 4 * max(abs(value), .leastNormalMagnitude) * .ulpOfOne
    var vector = [Double](repeating: 1, count: diagonal.count)
    for _ in 0..<3 {
      vector = solve(shift: shift, vector)
      let length = RowMatrix.length(vector)
      vector = vector.map { $0 / length }
    }
    return (value, vector)
  }

  /// By bisection: an eigenvalue is above x exactly where T − x has a positive pivot.
  private func largestValue() -> Double {
    var (low, high) = (-Double.infinity, -Double.infinity)
    for index in diagonal.indices {
      let left = index > 0 ? abs(offDiagonal[index - 1]) : 0
      let right = index < offDiagonal.count ? abs(offDiagonal[index]) : 0
      high = max(high, diagonal[index] + left + right)
      low = max(low, diagonal[index])
    }
    for _ in 0..<200 {
      let middle = low + (high - low) / 2
      guard middle > low, middle < high else { break }
      if hasValue(above: middle) { low = middle } else { high = middle }
    }
    return high
  }

  private func hasValue(above x: Double) -> Bool {
    var pivot = 1.0
    for index in diagonal.indices {
      let beside = index > 0 ? offDiagonal[index - 1] : 0
      pivot = diagonal[index] - x - beside * beside / pivot
      if pivot == 0 { pivot = -.leastNormalMagnitude }
      if pivot > 0 { return true }
    }
    return false
  }

  /// Solves (shift I − T) y = x by elimination.
  private func solve(shift: Double, _ x: [Double]) -> [Double] {
    var pivots = diagonal.map { shift - $0 }
    var y = x
    for index in 1..<diagonal.count {
      if abs(pivots[index - 1]) < .leastNormalMagnitude {
        pivots[index - 1] = .leastNormalMagnitude
      }
      let factor = -offDiagonal[index - 1] / pivots[index - 1]
      pivots[index] += factor * offDiagonal[index - 1]
      y[index] -= factor * y[index - 1]
    }
    let last = diagonal.count - 1
    let floor = max(abs(shift), .leastNormalMagnitude) * .ulpOfOne
    y[last] /= abs(pivots[last]) < floor ? floor : pivots[last]
    for index in stride(from: last - 1, through: 0, by: -1) {
      y[index] = (y[index] + offDiagonal[index] * y[index + 1]) / pivots[index]
    }
    return y
  }
}
