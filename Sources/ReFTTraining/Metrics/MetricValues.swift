// SPDX-License-Identifier: Apache-2.0
// Some measures with their values, in a fixed order, as files and messages have them.

import Foundation
import ReFTHost

/// Measures of some answers.
public struct MetricValues: Codable, Sendable, Equatable {
  /// One measure.
  public struct Item: Sendable, Equatable {
    /// Which.
    public var metric: Metric
    /// Its value.
    public var value: Double
  }

  /// The measures, the usual one of the task first.
  public var items: [Item]

  /// No measures.
  public init() { items = [] }

  init(_ metrics: [(metric: Metric, value: Double)]) {
    items = metrics.map { Item(metric: $0.metric, value: $0.value) }
  }

  /// The value of a measure.
  public subscript(metric: Metric) -> Double? { items.first { $0.metric == metric }?.value }

  /// Reads an object of numbers by the measures' names; names of other versions are left out.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.singleValueContainer().decode([String: Double].self)
    items = Metric.allCases.compactMap { metric in
      values[metric.rawValue].map { Item(metric: metric, value: $0) }
    }
  }

  /// Writes an object of numbers by the measures' names.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    let pairs = items.map { ($0.metric.rawValue, $0.value) }
    try container.encode(Dictionary(pairs, uniquingKeysWith: { first, _ in first }))
  }

  /// The object as text, in the order of the measures.
  var json: String {
    "{" + items.map { "\"\($0.metric.rawValue)\":\($0.value)" }.joined(separator: ",") + "}"
  }

  /// The measures in words: "accuracy 0.9127, f1 0.9085".
  public var description: String {
    items.map { "\($0.metric.rawValue) \(String(format: "%.4f", $0.value))" }
      .joined(separator: ", ")
  }
}

extension MetricTally {
  /// The answers to some rows.
  init(_ spec: HeadSpec, _ data: DataSet, _ losses: [ExampleLoss]) {
    self.init(spec)
    for (example, loss) in zip(data.examples, losses) {
      guard let target = example.target else { continue }
      add(Prediction(outputs: loss.outputs, task: spec.task), target)
    }
  }
}

extension Metric {
  /// Whether a validation is better than another: by the measure, and by the loss where that is equal.
  func isBetter(_ now: CheckpointState.Best, than then: CheckpointState.Best) -> Bool {
    if self == .loss || now.measure == then.measure {
      return (now.loss ?? .infinity) < (then.loss ?? .infinity)
    }
    return isBetter(now.measure, than: then.measure)
  }
}
