// SPDX-License-Identifier: Apache-2.0
// What torch.nn.utils.parametrizations.orthogonal makes of its two tensors, and two tensors of which it
// makes a given matrix. With `base` B (n × n) and `original` X (n × r, r < n):
//
//     weight = B · H₁ … Hᵣ · [I; 0] · diag(int(diag X)),   Hⱼ = I − τⱼ vⱼ vⱼᵀ,   τⱼ = 2 / ‖vⱼ‖²
//
// where vⱼ has a 1 at place j, X's column j below it, and zeros above.

import ReFTTensor

/// Matrices with orthonormal columns in torch's parametrised form.
enum OrthogonalWeight {
  /// The columns of the weight, n × r.
  ///
  /// - Returns: nil where the shapes do not fit each other, or the matrix is square, which torch
  ///   parametrises in another way.
  static func columns(original: ImportedTensor, base: ImportedTensor) -> ImportedTensor? {
    let (n, rank) = (original.shape[0], original.shape[1])
    guard rank < n, base.shape == [n, n] else { return nil }
    // X by columns, in double precision.
    var factor = [[Double]](repeating: [Double](repeating: 0, count: n), count: rank)
    var signs = [Double](repeating: 0, count: rank)
    for j in 0..<rank {
      for i in (j + 1)..<n { factor[j][i] = Double(original.values[i * rank + j]) }
      factor[j][j] = 1
      let diagonal = original.values[j * rank + j]
      signs[j] = diagonal.isFinite ? Double(diagonal).rounded(.towardZero) : .nan
    }
    var product = (0..<rank).map { j in (0..<n).map { $0 == j ? 1.0 : 0.0 } }
    for j in (0..<rank).reversed() {
      let scale = 2 / factor[j].reduce(0) { $0 + $1 * $1 }
      for column in product.indices {
        let share = scale * zip(factor[j], product[column]).reduce(0) { $0 + $1.0 * $1.1 }
        guard share != 0 else { continue }
        for i in j..<n { product[column][i] -= share * factor[j][i] }
      }
    }
    var result = [Float](repeating: 0, count: n * rank)
    for column in 0..<rank {
      let used = (0..<n).filter { product[column][$0] != 0 }
      for row in 0..<n {
        let sum = used.reduce(0.0) { $0 + Double(base.values[row * n + $1]) * product[column][$1] }
        result[row * rank + column] = Float(sum * signs[column])
      }
    }
    return ImportedTensor(shape: [n, rank], values: result)
  }

  /// Tensors of which torch makes exactly these columns: B begins with them, and X = −I.
  ///
  /// - Parameter columns: n × r, r < n.
  /// - Returns: `original` and `base`; B's other columns are orthonormal, at right angles to the given
  ///   ones as far as those are orthonormal, so that training can go on from it.
  static func parametrised(
    _ columns: ImportedTensor
  ) -> (original: ImportedTensor, base: ImportedTensor) {
    let (n, rank) = (columns.shape[0], columns.shape[1])
    let vectors = reflectors(of: columns)
    var base = [Float](repeating: 0, count: n * n)
    for column in 0..<n {
      if column < rank {
        for row in 0..<n { base[row * n + column] = columns.values[row * rank + column] }
        continue
      }
      var unit = [Double](repeating: 0, count: n)
      unit[column] = 1
      for (j, vector) in vectors.enumerated().reversed() { reflect(&unit, by: vector, from: j) }
      for row in 0..<n { base[row * n + column] = Float(unit[row]) }
    }
    var original = [Float](repeating: 0, count: n * rank)
    for j in 0..<rank { original[j * rank + j] = -1 }
    return (
      ImportedTensor(shape: [n, rank], values: original),
      ImportedTensor(shape: [n, n], values: base)
    )
  }

  /// Householder's vectors, of unit length: the QR decomposition of the columns.
  private static func reflectors(of columns: ImportedTensor) -> [[Double]] {
    let (n, rank) = (columns.shape[0], columns.shape[1])
    var vectors: [[Double]] = []
    for column in 0..<rank {
      var rest = (0..<n).map { Double(columns.values[$0 * rank + column]) }
      for (j, vector) in vectors.enumerated() { reflect(&rest, by: vector, from: j) }
      for i in 0..<column { rest[i] = 0 }
      let length = rest.reduce(0) { $0 + $1 * $1 }.squareRoot()
      rest[column] += rest[column] < 0 ? -length : length
      let own = rest.reduce(0) { $0 + $1 * $1 }.squareRoot()
      vectors.append(own > 0 ? rest.map { $0 / own } : rest)
    }
    return vectors
  }

  private static func reflect(_ values: inout [Double], by vector: [Double], from start: Int) {
    var share = 0.0
    for i in start..<vector.count { share += vector[i] * values[i] }
    guard share != 0 else { return }
    for i in start..<vector.count { values[i] -= 2 * share * vector[i] }
  }
}
