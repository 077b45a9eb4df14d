// SPDX-License-Identifier: Apache-2.0
// The ways to find the direction in which two classes differ. The equations are in
// docs/steering.md.

public import ReFTTensor

/// How a direction is found.
public enum DirectionMethod: String, Sendable, CaseIterable, Codable {
  /// From the mean of the negative texts to that of the positive ones.
  case meanDifference = "mean-difference"
  /// The first principal component of the rows about zero.
  case pca = "pca-uncentred"
  /// The first principal component of the rows about their mean.
  case centredPCA = "pca-centred"
  /// The normal of the plane that a logistic regression with an L2 penalty puts between the
  /// classes.
  case logistic

  /// The direction of a site's rows, of length 1, pointing from the negative to the positive class.
  ///
  /// - Parameters:
  ///   - activations: the rows.
  ///   - isPaired: whether rows of the two classes belong together.
  ///   - penalty: the L2 penalty of the probe.
  /// - Returns: the direction.
  /// - Throws: `badData` where the classes do not differ.
  public func direction(
    of activations: SiteActivations,
    isPaired: Bool,
    penalty: Double = 0.01
  ) throws(ReFTError) -> [Double] {
    let gap = Self.gap(activations)
    guard RowMatrix.length(gap) > 0 else { throw .noDifference(activations) }
    var direction: [Double]
    switch self {
    case .meanDifference: direction = gap
    case .pca, .centredPCA:
      direction =
        PrincipalComponent(
          rows(of: activations, isPaired: isPaired)
        ).direction
    case .logistic:
      direction =
        LogisticProbe(
          positives: activations.positives,
          negatives: activations.negatives,
          penalty: penalty
        ).normal
    }
    // A component has no sign of its own: it points to where the positive texts are.
    let length = RowMatrix.length(direction)
    guard length > 0 else { throw .noDifference(activations) }
    let factor = (RowMatrix.dot(direction, gap) < 0 ? -1 : 1) / length
    for j in direction.indices { direction[j] *= factor }
    return direction
  }

  /// From the mean of the negative rows to that of the positive ones.
  static func gap(_ activations: SiteActivations) -> [Double] {
    let (positive, negative) = (activations.positives.mean, activations.negatives.mean)
    return zip(positive, negative).map { $0 - $1 }
  }

  /// The rows whose spread is looked at: differences of pairs, or the rows of both classes about
  /// the middle between them; about their mean where that is asked for.
  func rows(of activations: SiteActivations, isPaired: Bool) -> RowMatrix {
    var rows: RowMatrix
    if isPaired {
      rows = activations.positives.subtracting(activations.negatives)
    } else {
      rows = activations.positives
      rows.append(activations.negatives)
      let (positive, negative) = (activations.positives.mean, activations.negatives.mean)
      rows.subtract(zip(positive, negative).map { ($0 + $1) / 2 })
    }
    if self == .centredPCA { rows.subtract(rows.mean) }
    return rows
  }

  /// The part of the squares of `rows(of:isPaired:)` that lies along a direction, from 0 to 1.
  func explainedVariance(
    of activations: SiteActivations,
    isPaired: Bool,
    along direction: [Double]
  ) -> Double {
    let rows = rows(of: activations, isPaired: isPaired)
    let along = rows.product(direction)
    let whole = rows.squareSum
    return whole > 0 ? RowMatrix.dot(along, along) / whole : 0
  }
}

extension ReFTError {
  fileprivate static func noDifference(_ activations: SiteActivations) -> ReFTError {
    ReFTError(
      .badData,
      "at the \(activations.site) positive and negative texts have the same mean, so that no "
        + "direction leads from one to the other; read at another --position, or give texts that "
        + "differ there"
    )
  }
}
