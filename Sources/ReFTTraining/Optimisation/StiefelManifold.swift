// SPDX-License-Identifier: Apache-2.0
// Matrices with orthonormal rows: tangent directions and the way back to the manifold. Everything is
// float64 inside, O(d r²), and needs no d × d memory.

import ReFTTensor

/// A matrix of `count` vectors of `length` numbers: rows of a tensor, or its columns.
package struct VectorFrame {
  package let base: UnsafeMutablePointer<Float>
  package var count: Int
  package let length: Int
  /// Values from one vector to the next, and from one number of a vector to the next.
  package let vectorStride: Int
  package let elementStride: Int
  /// Which vectors are meant, where these are not all.
  private var chosen: [Int]?

  /// The rows of a row-major matrix.
  package static func rows(_ base: UnsafeMutablePointer<Float>, _ shape: (Int, Int)) -> VectorFrame
  {
    VectorFrame(
      base: base,
      count: shape.0,
      length: shape.1,
      vectorStride: shape.1,
      elementStride: 1
    )
  }

  /// The columns of a row-major matrix.
  package static func columns(_ base: UnsafeMutablePointer<Float>, _ shape: (Int, Int))
    -> VectorFrame
  {
    VectorFrame(
      base: base,
      count: shape.1,
      length: shape.0,
      vectorStride: 1,
      elementStride: shape.1
    )
  }

  /// Some of the vectors.
  func only(_ vectors: [Int]) -> VectorFrame {
    var frame = self
    (frame.chosen, frame.count) = (vectors, vectors.count)
    return frame
  }

  private func vector(_ index: Int) -> UnsafeMutablePointer<Float> {
    base + (chosen?[index] ?? index) * vectorStride
  }

  /// The numbers of the vectors that are zero throughout, and of the others.
  package var split: (zero: [Int], other: [Int]) {
    var (zero, other): ([Int], [Int]) = ([], [])
    for i in 0..<count {
      let start = vector(i)
      let isZero = (0..<length).allSatisfy { start[$0 * elementStride] == 0 }
      if isZero { zero.append(i) } else { other.append(i) }
    }
    return (zero, other)
  }

  /// The numbers in float64, vector after vector.
  func load() -> [Double] {
    [Double](unsafeUninitializedCapacity: count * length) { out, filled in
      for i in 0..<count {
        let vector = vector(i)
        for j in 0..<length { out[i * length + j] = Double(vector[j * elementStride]) }
      }
      filled = count * length
    }
  }

  /// Rounds numbers back into the tensor.
  func store(_ values: [Double]) {
    values.withUnsafeBufferPointer { values in
      for i in 0..<count {
        let vector = vector(i)
        for j in 0..<length { vector[j * elementStride] = Float(values[i * length + j]) }
      }
    }
  }
}

/// The Stiefel manifold: matrices R [r, d] with R Rᵀ = I.
package enum StiefelManifold {
  /// Replaces a direction G by its tangent part G − ½ (G Rᵀ + R Gᵀ) R.
  ///
  /// What is taken away would only change lengths and angles between the rows of R, and so be undone
  /// by the retraction. Rows whose direction is zero stay where they are: the others move at right angles
  /// to them.
  package static func project(_ direction: VectorFrame, at point: VectorFrame) {
    let (fixed, moving) = direction.split
    let (r, d) = (moving.count, point.length)
    let rows = point.only(moving).load()
    var g = direction.only(moving).load()
    remove(point.only(fixed).load(), from: &g, d)
    let products = product(g, rows, r, d)
    var symmetric = [Double](repeating: 0, count: r * r)
    for i in 0..<r {
      for j in 0..<r {
        symmetric[i * r + j] = -0.5 * (products[i * r + j] + products[j * r + i])
      }
    }
    accumulate(symmetric, rows, r, d, into: &g)
    direction.only(moving).store(g)
  }

  /// Takes from rows what lies along others, which are orthonormal.
  private static func remove(_ others: [Double], from rows: inout [Double], _ d: Int) {
    guard !others.isEmpty else { return }
    for row in stride(from: 0, to: rows.count, by: d) {
      for other in stride(from: 0, to: others.count, by: d) {
        var dot = 0.0
        for k in 0..<d { dot += rows[row + k] * others[other + k] }
        for k in 0..<d { rows[row + k] -= dot * others[other + k] }
      }
    }
  }

  /// Replaces M by the matrix with orthonormal rows that is nearest to it: (M Mᵀ)^(−½) M.
  ///
  /// Among the retractions this one moves the least, and treats all rows alike, where QR would favour
  /// the first. The inverse root comes from a Newton iteration on r × r numbers, which needs a few
  /// rounds near the manifold. A matrix whose rows are dependent gets a Gram-Schmidt completion.
  ///
  /// Rows named in `fixed` stay as they are, and the others become orthonormal beside them.
  package static func retract(_ whole: VectorFrame, keeping fixed: [Int] = []) {
    let frame = fixed.isEmpty ? whole : whole.only((0..<whole.count).filter { !fixed.contains($0) })
    let (r, d) = (frame.count, frame.length)
    var rows = frame.load()
    if !fixed.isEmpty { remove(whole.only(fixed).load(), from: &rows, d) }
    var result = [Double](repeating: 0, count: r * d)
    accumulate(inverseRoot(product(rows, rows, r, d), r), rows, r, d, into: &result)
    if defect(result, r, d) > 1e-9 { result = gramSchmidt(rows, r, d) }
    frame.store(result)
  }

  /// The largest deviation of R Rᵀ from the identity.
  package static func defect(_ frame: VectorFrame) -> Double {
    defect(frame.load(), frame.count, frame.length)
  }

  private static func defect(_ rows: [Double], _ r: Int, _ d: Int) -> Double {
    let gram = product(rows, rows, r, d)
    var worst = 0.0
    for i in 0..<r {
      for j in 0..<r {
        let error = (gram[i * r + j] - (i == j ? 1 : 0)).magnitude
        // A comparison that NaN fails, so that NaN counts as the worst.
        if !(error <= worst) { worst = error.isNaN ? .infinity : error }
      }
    }
    return worst
  }

  /// A Bᵀ for A, B of r rows of d numbers.
  private static func product(_ a: [Double], _ b: [Double], _ r: Int, _ d: Int) -> [Double] {
    var result = [Double](repeating: 0, count: r * r)
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in
        for i in 0..<r {
          for j in 0..<r {
            var sum = 0.0
            for k in 0..<d { sum += a[i * d + k] * b[j * d + k] }
            result[i * r + j] = sum
          }
        }
      }
    }
    return result
  }

  /// out += S A for S of r × r and A of r rows of d numbers.
  private static func accumulate(
    _ s: [Double],
    _ a: [Double],
    _ r: Int,
    _ d: Int,
    into out: inout [Double]
  ) {
    out.withUnsafeMutableBufferPointer { out in
      a.withUnsafeBufferPointer { a in
        for i in 0..<r {
          for j in 0..<r {
            let factor = s[i * r + j]
            for k in 0..<d { out[i * d + k] += factor * a[j * d + k] }
          }
        }
      }
    }
  }

  private static func multiply(_ a: [Double], _ b: [Double], _ r: Int) -> [Double] {
    var result = [Double](repeating: 0, count: r * r)
    accumulate(a, b, r, r, into: &result)
    return result
  }

  /// M^(−½) of a symmetric positive definite matrix, by the coupled Newton-Schulz iteration
  /// (Higham, Functions of Matrices, 6.35).
  private static func inverseRoot(_ matrix: [Double], _ r: Int) -> [Double] {
    let norm = matrix.reduce(0) { $0 + $1 * $1 }.squareRoot()
    // Near the identity the iteration converges as it is; else the norm brings it into its range.
    var distance = 0.0
    for i in 0..<r * r {
      let value = matrix[i] - (i % (r + 1) == 0 ? 1 : 0)
      distance += value * value
    }
    let scale = distance < 0.25 ? 1 : norm
    guard scale > 0, scale.isFinite else { return matrix }
    var y = matrix.map { $0 / scale }
    var z = [Double](repeating: 0, count: r * r)
    for i in 0..<r { z[i * r + i] = 1 }
    for _ in 0..<60 {
      // T = (3 I − Z Y) / 2, Y ← Y T, Z ← T Z
      var t = multiply(z, y, r)
      var error = 0.0
      for i in 0..<r * r {
        let one = i % (r + 1) == 0 ? 1.0 : 0.0
        error = max(error, (t[i] - one).magnitude)
        t[i] = 0.5 * (3 * one - t[i])
      }
      if error < 1e-14 { break }
      y = multiply(y, t, r)
      z = multiply(t, z, r)
    }
    let root = scale.squareRoot()
    return z.map { $0 / root }
  }

  /// Orthonormal rows from any rows: twice modified Gram-Schmidt, unit vectors where a row vanishes.
  private static func gramSchmidt(_ rows: [Double], _ r: Int, _ d: Int) -> [Double] {
    var q = rows.map { $0.isFinite ? $0 : 0 }
    var nextUnit = 0
    for i in 0..<r {
      var before = length(q, i, d)
      var isDone = false
      while !isDone {
        for _ in 0..<2 { removeRows(before: i, from: &q, d) }
        let after = length(q, i, d)
        isDone = after > 1e-10 * before && after > 0 || nextUnit == d
        if isDone, after > 0 {
          for k in 0..<d { q[i * d + k] /= after }
        } else if !isDone {
          for k in 0..<d { q[i * d + k] = k == nextUnit ? 1 : 0 }
          nextUnit += 1
          before = 1
        }
      }
    }
    return q
  }

  private static func removeRows(before i: Int, from q: inout [Double], _ d: Int) {
    for j in 0..<i {
      var dot = 0.0
      for k in 0..<d { dot += q[i * d + k] * q[j * d + k] }
      for k in 0..<d { q[i * d + k] -= dot * q[j * d + k] }
    }
  }

  private static func length(_ q: [Double], _ row: Int, _ d: Int) -> Double {
    var sum = 0.0
    for k in 0..<d { sum += q[row * d + k] * q[row * d + k] }
    return sum.squareRoot()
  }
}
