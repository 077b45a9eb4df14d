// SPDX-License-Identifier: Apache-2.0
// Logistic regression with an L2 penalty, by Newton's method whose steps are found with conjugate
// gradients: deterministic, and exact to the last digits, since the problem is strongly convex.

import Foundation

/// The plane between two classes.
///
/// With rows x = (h − m) / s, where m is the mean of all rows and s² the mean of ‖h − m‖²,
///
///     min over w, b:   1/n Σ log(1 + exp(−y (w · x + b))) + λ/2 ‖w‖²
///
/// The scale makes λ mean the same at every layer. In scikit-learn's terms C = 1 / (λ n) on these
/// rows.
struct LogisticProbe {
  /// w, in the rows' own coordinates up to its length.
  private(set) var normal: [Double] = []

  private let rows: RowMatrix
  private let signs: [Double]
  private let penalty: Double

  private static let newtonSteps = 50
  /// The largest gradient that counts as none.
  private static let tolerance = 1e-11

  /// Fits the plane.
  init(positives: RowMatrix, negatives: RowMatrix, penalty: Double) {
    var rows = positives
    rows.append(negatives)
    rows.subtract(rows.mean)
    let scale = (rows.squareSum / Double(max(1, rows.rows))).squareRoot()
    var scaled = RowMatrix(columns: rows.columns + 1)
    for index in 0..<rows.rows {
      // The last column is that of b.
      scaled.append(rows.row(index).map { scale > 0 ? $0 / scale : 0 } + [1])
    }
    self.rows = scaled
    self.penalty = penalty
    signs =
      [Double](repeating: 1, count: positives.rows)
      + [Double](repeating: -1, count: negatives.rows)
    normal = Array(fit().dropLast())
  }

  private func fit() -> [Double] {
    var weights = [Double](repeating: 0, count: rows.columns)
    for _ in 0..<Self.newtonSteps {
      let (value, slopes, curvatures) = look(weights)
      let gradient = gradient(slopes, at: weights)
      guard RowMatrix.length(gradient) > Self.tolerance else { break }
      let step = newtonStep(gradient, curvatures)
      let descent = RowMatrix.dot(gradient, step)
      var length = 1.0
      var next = weights
      repeat {
        next = zip(weights, step).map { $0 - length * $1 }
        // Near the end a step gains less than rounding shows.
        let wanted = value - 1e-4 * length * descent + 1e-15 * abs(value)
        if look(next).value <= wanted { break }
        length /= 2
      } while length > 1e-8
      weights = next
    }
    return weights
  }

  /// The loss, and its first and second derivative by each row's w · x + b, over n.
  private func look(_ weights: [Double]) -> (
    value: Double, slopes: [Double], curvatures: [Double]
  ) {
    let outputs = rows.product(weights)
    let n = Double(rows.rows)
    var value = 0.0
    var (slopes, curvatures) = ([Double](), [Double]())
    for (output, sign) in zip(outputs, signs) {
      let margin = sign * output
      value += (margin > 0 ? log1p(exp(-margin)) : log1p(exp(margin)) - margin) / n
      let miss = 1 / (1 + exp(margin))
      slopes.append(-sign * miss / n)
      curvatures.append(miss * (1 - miss) / n)
    }
    let w = Array(weights.dropLast())
    return (value + penalty / 2 * RowMatrix.dot(w, w), slopes, curvatures)
  }

  private func gradient(_ slopes: [Double], at weights: [Double]) -> [Double] {
    penalised(rows.transposedProduct(slopes), weights)
  }

  /// Adds λ w, of which b has no part.
  private func penalised(_ x: [Double], _ weights: [Double]) -> [Double] {
    var result = x
    for j in 0..<result.count - 1 { result[j] += penalty * weights[j] }
    return result
  }

  /// Solves H step = gradient with conjugate gradients.
  private func newtonStep(_ gradient: [Double], _ curvatures: [Double]) -> [Double] {
    var step = [Double](repeating: 0, count: gradient.count)
    var rest = gradient
    var search = rest
    var square = RowMatrix.dot(rest, rest)
    let goal = max(1e-24, 1e-20 * square)
    for _ in 0..<10 * gradient.count {
      guard square > goal else { break }
      let along = rows.product(search)
      let bent = penalised(
        rows.transposedProduct(zip(along, curvatures).map { $0 * $1 }),
        search
      )
      let curvature = RowMatrix.dot(search, bent)
      guard curvature > 0 else { break }
      let length = square / curvature
      for j in step.indices {
        step[j] += length * search[j]
        rest[j] -= length * bent[j]
      }
      let next = RowMatrix.dot(rest, rest)
      for j in search.indices { search[j] = rest[j] + next / square * search[j] }
      square = next
    }
    return step
  }
}
