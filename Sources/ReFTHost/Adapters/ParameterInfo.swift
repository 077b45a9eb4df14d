// SPDX-License-Identifier: Apache-2.0
// What a plugin says about one of its parameter tensors.

/// What the host keeps true of a parameter after each optimiser step.
public enum ParameterConstraint: Sendable, Hashable {
  /// Nothing.
  case none
  /// The rows are orthonormal.
  case orthonormalRows
  /// The columns are orthonormal.
  case orthonormalColumns
  /// Each row has unit length.
  case unitRows
  /// Each value lies between the bounds.
  case box(lower: Double, upper: Double)
}

/// How a parameter is filled at the start.
public enum ParameterInitialization: Sendable, Hashable {
  /// With zeros.
  case zeros
  /// With one value.
  case constant(Double)
  /// With uniform numbers in `[lower, upper)`.
  case uniform(lower: Double, upper: Double)
  /// With normal numbers.
  case normal(mean: Double, deviation: Double)
  /// With orthonormal rows, or columns where there are more rows than columns.
  case orthogonal
  /// With the values of an earlier parameter of the same instance.
  case copy(index: Int)
  /// By the plugin itself.
  case custom
  /// It is an input of the plugin's, which stays as it was read; since ABI 1.1.
  case input(index: Int)
}

/// Name, shape and rules of one parameter tensor.
public struct ParameterInfo: Sendable, Hashable {
  /// The key in files; of an instance `rotate.weight`, of an adapter
  /// `interventions.0.layers.2.rotate.weight`.
  public var name: String
  /// The dimensions, row-major.
  public var shape: [Int]
  /// Whether the optimiser changes it.
  public var isTrainable: Bool
  /// Whether weight decay may touch it.
  public var allowsDecay: Bool
  /// How it is filled at the start.
  public var initialization: ParameterInitialization
  /// What stays true of it.
  public var constraint: ParameterConstraint
  /// Multiplies the run's learning rate.
  public var learningRateScale: Double
  /// Multiplies the run's weight decay.
  public var weightDecayScale: Double
  /// What it belongs to; nil for a parameter of an instance that has no place yet.
  public var owner: ParameterOwner?

  /// Describes a parameter.
  public init(
    name: String,
    shape: [Int],
    isTrainable: Bool = true,
    allowsDecay: Bool = true,
    initialization: ParameterInitialization = .zeros,
    constraint: ParameterConstraint = .none,
    learningRateScale: Double = 1,
    weightDecayScale: Double = 1
  ) {
    self.name = name
    self.shape = shape
    self.isTrainable = isTrainable
    self.allowsDecay = allowsDecay
    self.initialization = initialization
    self.constraint = constraint
    self.learningRateScale = learningRateScale
    self.weightDecayScale = weightDecayScale
  }

  /// The input that it is; nil for a parameter that the adapter holds.
  public var inputIndex: Int? {
    if case .input(let index) = initialization { index } else { nil }
  }

  /// The number of values.
  public var count: Int { shape.reduce(1, *) }
}
