// SPDX-License-Identifier: Apache-2.0
// Measures of answers: which there are, and which suit a task.

public import ReFTHost

/// A measure of a head's answers, or of a model's loss.
public enum Metric: String, Sendable, CaseIterable, Codable {
  /// The mean loss; the lower the better, where of all others the higher is.
  case loss
  /// The part of the texts whose answer is right, of several labels all of them.
  case accuracy
  /// 2 · hits / (answered + true): of two labels that of label 1, of more the mean over the labels, of
  /// several at once that of all answers together.
  case f1
  /// Matthews' correlation of answers and labels (Gorodkin 2004 for more than two).
  case matthews
  /// Pearson's correlation.
  case pearson
  /// Spearman's correlation: Pearson's of the ranks, equal numbers sharing the mean of theirs.
  case spearman
  /// The mean by which the chosen answer's reward exceeds the rejected one's.
  case rewardMargin = "reward_margin"

  /// The measures of a task, the usual one first.
  public static func metrics(of task: HeadSpec.Task) -> [Metric] {
    switch task {
    case .classification: [.accuracy, .f1, .matthews]
    case .multiLabel: [.f1, .accuracy]
    case .regression: [.pearson, .spearman]
    }
  }

  /// The measures of pairs of answers; the accuracy is the part of them whose chosen answer has the
  /// larger reward.
  public static let ofPreferences: [Metric] = [.accuracy, .rewardMargin]

  /// Whether a value is better than another; a value that is not there is worse than any.
  func isBetter(_ value: Double?, than other: Double?) -> Bool {
    guard let value else { return false }
    guard let other else { return true }
    return self == .loss ? value < other : value > other
  }
}

/// What a head answered for a text.
public enum Prediction: Sendable, Equatable {
  /// The number of the likeliest label.
  case label(Int)
  /// Whether each label is likelier than not.
  case labels([Bool])
  /// A number.
  case value(Double)

  /// The answer that outputs mean; of equal ones the first label.
  public init(outputs: [Float], task: HeadSpec.Task) {
    switch task {
    case .classification:
      var best = 0
      for place in outputs.indices where outputs[place] > outputs[best] { best = place }
      self = .label(best)
    case .multiLabel: self = .labels(outputs.map { $0 > 0 })
    case .regression: self = .value(Double(outputs.first ?? .nan))
    }
  }
}
