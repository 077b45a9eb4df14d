// SPDX-License-Identifier: Apache-2.0
// Orthonormal rows or columns of small matrices, in double precision.

import Foundation
import ReFTTensor

/// A row-major matrix in memory that somebody else owns.
package struct SmallMatrix {
  /// The values.
  package let values: UnsafeMutableBufferPointer<Float>
  /// The number of rows.
  package let rows: Int
  /// The number of columns.
  package let columns: Int

  /// Views memory as a matrix.
  package init(_ values: UnsafeMutableBufferPointer<Float>, rows: Int, columns: Int) {
    self.values = values
    self.rows = rows
    self.columns = columns
  }

  /// The vectors along one side: rows, or columns.
  func vectors(rowwise: Bool) -> [[Double]] {
    rowwise
      ? (0..<rows).map { row in (0..<columns).map { Double(values[row * columns + $0]) } }
      : (0..<columns).map { column in (0..<rows).map { Double(values[$0 * columns + column]) } }
  }

  func store(_ vectors: [[Double]], rowwise: Bool) {
    for (i, vector) in vectors.enumerated() {
      for (j, value) in vector.enumerated() {
        values[rowwise ? i * columns + j : j * columns + i] = Float(value)
      }
    }
  }
}

/// Orthonormal bases of small matrices.
package enum Orthonormal {
  /// Makes the rows orthonormal, or the columns where there are more rows than columns.
  ///
  /// Gram and Schmidt's method, twice, which is as exact as Householder's here; it is the QR
  /// decomposition with a positive diagonal, so that normal numbers become a uniformly random basis.
  package static func makeShorterSideOrthonormal(_ matrix: SmallMatrix) {
    let rowwise = matrix.rows <= matrix.columns
    var basis: [[Double]] = []
    for start in matrix.vectors(rowwise: rowwise) {
      var next = residual(of: start, against: basis)
      // A vector inside the span of the others: the first unit vector that is not does as well.
      for place in start.indices where next.length < 1e-9 {
        next = residual(of: start.indices.map { $0 == place ? 1 : 0 }, against: basis)
      }
      basis.append(next.vector.map { $0 / next.length })
    }
    matrix.store(basis, rowwise: rowwise)
  }

  /// What is left of a vector at right angles to a basis, and its length.
  private static func residual(
    of start: [Double],
    against basis: [[Double]]
  ) -> (vector: [Double], length: Double) {
    var vector = start
    for _ in 0..<2 {
      for other in basis {
        let share = zip(vector, other).reduce(0) { $0 + $1.0 * $1.1 }
        for place in vector.indices { vector[place] -= share * other[place] }
      }
    }
    return (vector, vector.reduce(0) { $0 + $1 * $1 }.squareRoot())
  }

  /// The largest difference between V Vᵀ and the identity, V being the rows or columns.
  package static func deviation(of matrix: SmallMatrix, rowwise: Bool) -> Double {
    let vectors = matrix.vectors(rowwise: rowwise)
    var worst = 0.0
    for (i, left) in vectors.enumerated() {
      for (j, right) in vectors[...i].enumerated() {
        let product = zip(left, right).reduce(0) { $0 + $1.0 * $1.1 }
        worst = max(worst, abs(product - (i == j ? 1 : 0)))
      }
    }
    return worst
  }
}
