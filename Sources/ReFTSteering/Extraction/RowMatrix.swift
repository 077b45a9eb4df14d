// SPDX-License-Identifier: Apache-2.0
// Rows of numbers in double precision, and the few products that directions need. Sums run in a
// fixed order, so that the same rows give the same bits.

/// Some rows of equal width.
public struct RowMatrix: Sendable, Equatable {
  /// Numbers in a row.
  public let columns: Int
  /// How many rows there are.
  public private(set) var rows = 0
  /// All numbers, row after row.
  public private(set) var values: [Double] = []

  /// No rows yet.
  public init(columns: Int) { self.columns = columns }

  /// Adds a row.
  ///
  /// - Precondition: it has `columns` numbers.
  public mutating func append(_ row: some Collection<Float>) {
    append(row.lazy.map { Double($0) })
  }

  /// Adds a row in double precision.
  public mutating func append(_ row: some Collection<Double>) {
    precondition(row.count == columns)
    values += row
    rows += 1
  }

  /// Adds the rows of another matrix.
  public mutating func append(_ other: RowMatrix) {
    precondition(other.columns == columns)
    values += other.values
    rows += other.rows
  }

  /// One row.
  func row(_ index: Int) -> ArraySlice<Double> {
    values[index * columns..<(index + 1) * columns]
  }

  /// The mean of the rows; zeros where there are none.
  var mean: [Double] {
    var result = transposedProduct([Double](repeating: 1, count: rows))
    for j in result.indices { result[j] /= Double(max(1, rows)) }
    return result
  }

  /// The sum of the squares of all numbers.
  var squareSum: Double { RowMatrix.dot(values, values) }

  /// Takes a row from every row.
  mutating func subtract(_ row: [Double]) {
    values.withUnsafeMutableBufferPointer { values in
      for index in 0..<rows {
        for j in 0..<columns { values[index * columns + j] -= row[j] }
      }
    }
  }

  /// The difference of two matrices of one shape, row by row.
  func subtracting(_ other: RowMatrix) -> RowMatrix {
    precondition(other.rows == rows && other.columns == columns)
    var result = self
    result.values.withUnsafeMutableBufferPointer { values in
      for index in values.indices { values[index] -= other.values[index] }
    }
    return result
  }

  /// A x: one number for each row.
  func product(_ x: [Double]) -> [Double] {
    values.withUnsafeBufferPointer { values in
      x.withUnsafeBufferPointer { x in
        (0..<rows).map { index in
          let row = UnsafeBufferPointer(rebasing: values[index * columns..<(index + 1) * columns])
          return Self.dot(row, x)
        }
      }
    }
  }

  /// Aᵀ w: one number for each column.
  func transposedProduct(_ weights: [Double]) -> [Double] {
    var result = [Double](repeating: 0, count: columns)
    result.withUnsafeMutableBufferPointer { result in
      values.withUnsafeBufferPointer { values in
        for index in 0..<rows where weights[index] != 0 {
          let weight = weights[index]
          for j in 0..<columns { result[j] += weight * values[index * columns + j] }
        }
      }
    }
    return result
  }

  /// The sum of products of two lists of one length.
  static func dot(_ a: [Double], _ b: [Double]) -> Double {
    a.withUnsafeBufferPointer { a in b.withUnsafeBufferPointer { dot(a, $0) } }
  }

  /// Four sums side by side, which a processor adds at once.
  private static func dot(
    _ a: UnsafeBufferPointer<Double>,
    _ b: UnsafeBufferPointer<Double>
  ) -> Double {
    var (s0, s1, s2, s3) = (0.0, 0.0, 0.0, 0.0)
    let whole = a.count & ~3
    for index in stride(from: 0, to: whole, by: 4) {
      s0 += a[index] * b[index]
      s1 += a[index + 1] * b[index + 1]
      s2 += a[index + 2] * b[index + 2]
      s3 += a[index + 3] * b[index + 3]
    }
    for index in whole..<a.count { s0 += a[index] * b[index] }
    return (s0 + s1) + (s2 + s3)
  }

  /// The length of a list as a vector.
  static func length(_ x: [Double]) -> Double { dot(x, x).squareRoot() }
}
