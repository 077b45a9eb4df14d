// SPDX-License-Identifier: Apache-2.0
// What a parameter's constraint asks of the optimiser.

package import ReFTHost

/// The set that a constrained tensor lives in.
package enum ParameterManifold: Equatable {
  /// All values.
  case free
  /// Orthonormal rows of a [rows, columns] matrix.
  case orthonormalRows(Int, Int)
  /// Orthonormal columns of a [rows, columns] matrix.
  case orthonormalColumns(Int, Int)
  /// Rows of length 1.
  case unitRows(Int, Int)
  /// Values within bounds.
  case box(Float, Float)

  /// The set that a layout declares.
  ///
  /// A tensor of more than two dimensions is a matrix of its last dimension's rows. More rows than
  /// columns cannot all be orthonormal; then the columns are, as in the initialisation.
  package init(_ info: ParameterInfo) {
    let columns = info.shape.last ?? 1
    let rows = columns > 0 ? info.count / columns : 0
    switch info.constraint {
    case .none: self = .free
    case .orthonormalRows:
      self =
        rows <= columns ? .orthonormalRows(rows, columns) : .orthonormalColumns(rows, columns)
    case .orthonormalColumns:
      self =
        columns <= rows ? .orthonormalColumns(rows, columns) : .orthonormalRows(rows, columns)
    case .unitRows: self = .unitRows(rows, columns)
    case .box(let lower, let upper): self = .box(Float(lower), Float(upper))
    }
  }

  /// Takes from a direction what leads off the set.
  package func project(
    _ direction: UnsafeMutablePointer<Float>,
    at point: UnsafeMutablePointer<Float>
  ) {
    switch self {
    case .free, .box: break
    case .orthonormalRows(let rows, let columns):
      StiefelManifold.project(.rows(direction, (rows, columns)), at: .rows(point, (rows, columns)))
    case .orthonormalColumns(let rows, let columns):
      StiefelManifold.project(
        .columns(direction, (rows, columns)),
        at: .columns(point, (rows, columns))
      )
    case .unitRows(let rows, let columns):
      for row in 0..<rows {
        StiefelManifold.project(
          .rows(direction + row * columns, (1, columns)),
          at: .rows(point + row * columns, (1, columns))
        )
      }
    }
  }

  /// Brings values back into the set after a step.
  ///
  /// - Parameters:
  ///   - values: the values behind the step.
  ///   - direction: of the step; orthonormal rows or columns where it is zero keep their bits. Nil: none do.
  package func retract(
    _ values: UnsafeMutableBufferPointer<Float>,
    along direction: UnsafeMutablePointer<Float>? = nil
  ) {
    guard let base = values.baseAddress else { return }
    switch self {
    case .free: break
    case .orthonormalRows(let rows, let columns):
      let still = direction.map { VectorFrame.rows($0, (rows, columns)).split.zero } ?? []
      StiefelManifold.retract(.rows(base, (rows, columns)), keeping: still)
    case .orthonormalColumns(let rows, let columns):
      let still = direction.map { VectorFrame.columns($0, (rows, columns)).split.zero } ?? []
      StiefelManifold.retract(.columns(base, (rows, columns)), keeping: still)
    case .unitRows(let rows, let columns):
      for row in 0..<rows { StiefelManifold.retract(.rows(base + row * columns, (1, columns))) }
    case .box(let lower, let upper):
      for index in values.indices { values[index] = min(max(values[index], lower), upper) }
    }
  }
}
