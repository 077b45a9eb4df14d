// SPDX-License-Identifier: Apache-2.0
// Counts answers and targets, text by text, and gives the measures of all.

public import ReFTHost

/// What is known of the answers so far.
public struct MetricTally: Sendable {
  private let task: HeadSpec.Task
  private var texts = 0
  private var right = 0
  /// How often each label was right, answered, and true.
  private var hits: [Int]
  private var answered: [Int]
  private var truths: [Int]
  /// Answers and targets of a regression.
  private var values: [(answer: Double, target: Double)] = []

  /// An empty tally for a head.
  public init(_ spec: HeadSpec) {
    task = spec.task
    let count = spec.task == .regression ? 0 : spec.outputCount
    hits = [Int](repeating: 0, count: count)
    (answered, truths) = (hits, hits)
  }

  /// Counts a text.
  ///
  /// - Precondition: both are of the head's task and labels.
  public mutating func add(_ answer: Prediction, _ target: Target) {
    texts += 1
    switch (answer, target) {
    case (.label(let answer), .label(let truth)):
      right += answer == truth ? 1 : 0
      count(answer, truth)
    case (.labels(let answers), .labels(let holds)):
      right += answers == holds ? 1 : 0
      for place in holds.indices {
        if answers[place] { answered[place] += 1 }
        if holds[place] { truths[place] += 1 }
        if answers[place], holds[place] { hits[place] += 1 }
      }
    case (.value(let answer), .value(let target)): values.append((answer, target))
    default: preconditionFailure("a target of another task")
    }
  }

  private mutating func count(_ answer: Int, _ truth: Int) {
    answered[answer] += 1
    truths[truth] += 1
    if answer == truth { hits[truth] += 1 }
  }

  /// The measures of the task, the usual one first; those that these answers do not define are left
  /// out, such as the correlation of answers that are all the same.
  public var metrics: [(metric: Metric, value: Double)] {
    Metric.metrics(of: task).compactMap { metric in value(of: metric).map { (metric, $0) } }
  }

  /// A measure; nil where the task or the answers do not define it.
  public func value(of metric: Metric) -> Double? {
    guard texts > 0, Metric.metrics(of: task).contains(metric) else { return nil }
    return switch metric {
    case .loss, .rewardMargin: nil
    case .accuracy: Double(right) / Double(texts)
    case .f1: f1
    case .matthews: matthews
    case .pearson: Correlation.pearson(values.map(\.answer), values.map(\.target))
    case .spearman: Correlation.spearman(values.map(\.answer), values.map(\.target))
    }
  }

  private var f1: Double {
    func score(_ hits: Int, _ sum: Int) -> Double { sum > 0 ? Double(2 * hits) / Double(sum) : 0 }
    if task == .multiLabel {
      return score(hits.reduce(0, +), answered.reduce(0, +) + truths.reduce(0, +))
    }
    if hits.count == 2 { return score(hits[1], answered[1] + truths[1]) }
    let known = hits.indices.filter { answered[$0] + truths[$0] > 0 }
    return known.reduce(0.0) { $0 + score(hits[$1], answered[$1] + truths[$1]) }
      / Double(known.count)
  }

  /// (c s − Σ aₖ tₖ) / √((s² − Σ aₖ²)(s² − Σ tₖ²)) with c right of s texts; 0 where one side is constant.
  private var matthews: Double {
    let (s, c) = (Double(texts), Double(right))
    func sum(_ one: [Int], _ other: [Int]) -> Double {
      zip(one, other).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    }
    let spread = (s * s - sum(answered, answered)) * (s * s - sum(truths, truths))
    guard spread > 0 else { return 0 }
    return (c * s - sum(answered, truths)) / spread.squareRoot()
  }
}

/// Correlations of two lists of numbers.
enum Correlation {
  /// Pearson's; nil where one list is constant or holds what is no number.
  static func pearson(_ x: [Double], _ y: [Double]) -> Double? {
    let n = Double(x.count)
    let (meanX, meanY) = (x.reduce(0, +) / n, y.reduce(0, +) / n)
    var (xx, yy, xy) = (0.0, 0.0, 0.0)
    for (a, b) in zip(x, y) {
      let (a, b) = (a - meanX, b - meanY)
      xx += a * a
      yy += b * b
      xy += a * b
    }
    // The spread that rounding alone gives to equal numbers is none.
    let floor = n * 0x1p-100
    guard xx > floor * meanX * meanX, yy > floor * meanY * meanY else { return nil }
    let value = xy / (xx.squareRoot() * yy.squareRoot())
    return value.isFinite ? min(1, max(-1, value)) : nil
  }

  /// Spearman's; nil as Pearson's.
  static func spearman(_ x: [Double], _ y: [Double]) -> Double? {
    guard (x + y).allSatisfy({ !$0.isNaN }) else { return nil }
    return pearson(ranks(x), ranks(y))
  }

  /// The rank of each number from 1; equal ones share the mean of theirs.
  static func ranks(_ values: [Double]) -> [Double] {
    let order = values.indices.sorted { (values[$0], $0) < (values[$1], $1) }
    var ranks = [Double](repeating: 0, count: values.count)
    var start = 0
    while start < order.count {
      var end = start
      while end < order.count, values[order[end]] == values[order[start]] { end += 1 }
      for place in start..<end { ranks[order[place]] = Double(start + 1 + end) / 2 }
      start = end
    }
    return ranks
  }
}
