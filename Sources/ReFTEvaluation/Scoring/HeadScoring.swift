// SPDX-License-Identifier: Apache-2.0
// Classes and numbers by a head: the adapter's, or the model's own.

import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import ReFTTraining

/// Scores the answers of heads.
struct HeadScoring: TaskScoring {
  let rule: HeadRule
  let context: TaskContext
  /// One for each contender.
  private let scorers: [Scorer]
  private let heads: [HeadSpec]

  /// - Throws: `usage` for a contender without a head, or with one of another task.
  init(rule: HeadRule, context: TaskContext) throws(ReFTError) {
    self.rule = rule
    self.context = context
    var heads: [HeadSpec] = []
    for contender in context.contenders {
      let head = contender.adapters.answeringHead?.spec ?? context.model.ownHead
      guard let head, (head.task == .regression) == rule.isRegression else {
        throw ReFTError(
          .usage,
          "the task '\(context.task.name)' is scored by a head for "
            + "\(rule.isRegression ? "a number" : "classes"), and '\(contender.name)' has "
            + "\(head == nil ? "none" : "one of another task"); train one with 'head' in the "
            + "configuration, or take another task"
        )
      }
      heads.append(head)
    }
    self.heads = heads
    scorers = context.contenders.map { contender in
      Scorer(
        model: context.model,
        adapters: contender.adapters,
        microBatchTokens: context.options.passTokens ?? 1024,
        device: context.device,
        precision: context.options.precision
      )
    }
  }

  func ask(_ rows: [PendingRow], emit: (PendingRow, RowOutcome) throws -> Void) throws {
    let words = PromptEncoder(context.model.text)
    for contender in context.contenders.indices {
      let own = rows.filter { $0.contender == contender }
      guard !own.isEmpty else { continue }
      var examples: [Example] = []
      for pending in own { examples.append(try example(pending.row, words)) }
      for (pending, outputs) in zip(own, try scorers[contender].answers(to: examples)) {
        guard outputs.allSatisfy(\.isFinite) else {
          throw context.model.frozen.explainNotFinite()
            ?? .likelihoodNotFinite(
              pending.row,
              Double(outputs.first { !$0.isFinite } ?? .nan),
              context.contenders[contender].name
            )
        }
        var outcome = RowOutcome(pending.row)
        outcome.outputs = outputs
        outcome.answer = try rule.label.text(pending.row)
        try emit(pending, outcome)
      }
    }
  }

  private func example(_ row: TaskRow, _ words: PromptEncoder) throws(ReFTError) -> Example {
    let text = try rule.text.text(row)
    let pair = try rule.pair?.text(row)
    let encoded: EncodedPair
    do throws(ReFTError) {
      encoded = try words.encode(text: text, pair: pair)
    } catch {
      throw .ofRow(row, error)
    }
    guard !encoded.ids.isEmpty else { throw .emptyTaskText(row, "text") }
    var ids = encoded.ids
    var types = encoded.types
    if ids.count > context.longest {
      ids = Array(ids.prefix(context.longest))
      types = Array(types.prefix(context.longest))
    }
    var example = Example(ids: ids, target: nil)
    if types.contains(where: { $0 != 0 }) { example.types = types }
    return example
  }

  // MARK: Measures

  func measures(
    _ outcomes: [RowOutcome],
    rows: [TaskRow],
    contender: Int
  ) throws -> [Measure] {
    let head = heads[contender]
    let targets = try targets(rows, head)
    let answers = outcomes.map { Prediction(outputs: $0.outputs ?? [], task: head.task) }
    func tally(_ rows: [Int]) -> MetricTally {
      var tally = MetricTally(head)
      for row in rows { tally.add(answers[row], targets[row]) }
      return tally
    }
    let all = tally(Array(outcomes.indices))
    return all.metrics.map { metric, value in
      let error: Double? =
        if metric == .accuracy, outcomes.count > 1 {
          (value * (1 - value) / Double(outcomes.count - 1)).squareRoot()
        } else {
          Statistics.bootstrap(outcomes.count) { tally($0).value(of: metric) }
        }
      return Measure(
        metric: metric.rawValue,
        value: value,
        standardError: error,
        chance: Self.chance(metric, targets)
      )
    }
  }

  /// What a head must answer to each row.
  private func targets(_ rows: [TaskRow], _ head: HeadSpec) throws(ReFTError) -> [Target] {
    let reader = LabelReader(head)
    var targets: [Target] = []
    for row in rows {
      let label = LabelValue(cell: try rule.label.text(row))
      targets.append(try reader.target(label, place: row.place))
    }
    return targets
  }

  /// What the commonest label comes to, and no relation at all.
  private static func chance(_ metric: Metric, _ targets: [Target]) -> Double? {
    switch metric {
    case .matthews, .pearson, .spearman: return 0
    case .loss, .f1, .rewardMargin: return nil
    case .accuracy:
      var counts: [Int: Int] = [:]
      for case .label(let label) in targets { counts[label, default: 0] += 1 }
      return Double(counts.values.max() ?? 0) / Double(max(1, targets.count))
    }
  }
}
