// SPDX-License-Identifier: Apache-2.0
// What a layer says of a contrast: a direction, how long a step along it is, how well it separates.

import ReFTModel
public import ReFTTensor

/// The direction of one layer.
public struct SteeringVector: Sendable {
  /// The layer.
  public let layer: Int
  /// The direction, of length 1, towards the positive texts.
  public let direction: [Float]
  /// The distance of the class means along it.
  public let gap: Double
  /// The length of the mean difference.
  public let norm: Double
  /// The median length of a row there.
  public let medianNorm: Double
  /// How well it separates held-out texts; where none are held out, those that it was found from.
  public let separation: Separation
  /// The part of the spread that lies along it; see `DirectionMethod`.
  public let explainedVariance: Double

  /// Finds the direction of a layer's rows.
  ///
  /// - Throws: `badData` where the classes do not differ.
  public init(
    _ activations: SiteActivations,
    method: DirectionMethod,
    isPaired: Bool,
    penalty: Double = 0.01
  ) throws(ReFTError) {
    let direction = try method.direction(of: activations, isPaired: isPaired, penalty: penalty)
    let difference = DirectionMethod.gap(activations)
    layer = activations.site.block
    self.direction = direction.map { Float($0) }
    gap = RowMatrix.dot(direction, difference)
    norm = RowMatrix.length(difference)
    medianNorm = Double(activations.medianNorm)
    let middle =
      (RowMatrix.dot(direction, activations.positives.mean)
        + RowMatrix.dot(direction, activations.negatives.mean)) / 2
    let isHeldOut = activations.heldOutPositives.rows > 0 && activations.heldOutNegatives.rows > 0
    separation = Separation(
      positives: (isHeldOut ? activations.heldOutPositives : activations.positives)
        .product(direction),
      negatives: (isHeldOut ? activations.heldOutNegatives : activations.negatives)
        .product(direction),
      threshold: middle
    )
    explainedVariance = method.explainedVariance(
      of: activations,
      isPaired: isPaired,
      along: direction
    )
  }
}

/// What strength 1 means.
public enum StrengthUnit: String, Sendable, CaseIterable, Codable {
  /// As long as the median row at the layer: strengths mean the same at every layer.
  case medianNorm = "median-norm"
  /// The distance of the class means along the direction.
  case raw

  /// The length of a step of strength 1.
  func length(of vector: SteeringVector) -> Double {
    switch self {
    case .medianNorm: vector.medianNorm
    case .raw: vector.gap
    }
  }
}
