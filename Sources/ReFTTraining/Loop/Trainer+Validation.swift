// SPDX-License-Identifier: Apache-2.0
// What a run is judged by: validation rows, tasks, which step is the best, and when patience ends.

import ReFTHost
import ReFTModel

extension Trainer {
  /// The name of what the best step is judged by.
  var metricName: String { configuration.train.taskMetric ?? metric.rawValue }

  /// What the best step is judged by, where no task judges.
  var metric: Metric {
    configuration.train.metric
      ?? (configuration.head?.task ?? model.ownHead?.task)
      .flatMap { Metric.metrics(of: $0).first } ?? .loss
  }

  /// Whether there were as many validations without a better one as the run has patience for.
  func isOutOfPatience(_ run: TrainingRun) -> Bool {
    configuration.train.patience.map { run.state.validationsSinceBest ?? 0 >= $0 } ?? false
  }

  /// Measures the validation rows, and the adapter at tasks; true when that is the best so far.
  func validate(
    _ run: TrainingRun,
    into record: inout StepRecord,
    observer: (TrainingEvent) -> Void
  ) throws -> Bool {
    var now = CheckpointState.Best(step: run.state.step)
    let metrics = try measureRows(run, into: &record)
    now.loss = record.validationLoss
    now.measure = metrics.first { $0.metric == metric }?.value
    let judged = try judge?.judge(run.adapter) ?? []
    if !judged.isEmpty {
      let values = judged.map { ($0.name, $0.value) }
      record.taskMetrics = Dictionary(values) { first, _ in first }
    }
    let byTask = configuration.train.taskMetric
    if let byTask { now.measure = judged.first { $0.name == byTask }?.value }
    guard now.loss != nil || byTask != nil else {
      if !judged.isEmpty { observer(.judged(step: now.step, judged, isBest: false)) }
      return false
    }
    let isBest = run.state.best.map { isBetter(now, than: $0) } ?? true
    if isBest { run.state.best = now }
    run.state.validationsSinceBest = isBest ? 0 : (run.state.validationsSinceBest ?? 0) + 1
    if !judged.isEmpty {
      observer(.judged(step: now.step, judged, isBest: isBest && byTask != nil))
    }
    if let loss = now.loss {
      let values = record.validationMetrics ?? MetricValues()
      let isTold = isBest && byTask == nil
      observer(.validated(step: now.step, loss: loss, metrics: values, isBest: isTold))
    }
    return isBest
  }

  /// Whether a validation is better than another.
  private func isBetter(
    _ now: CheckpointState.Best,
    than then: CheckpointState.Best
  ) -> Bool {
    guard let name = configuration.train.taskMetric else {
      return metric.isBetter(now, than: then)
    }
    guard let value = now.measure else { return false }
    guard let other = then.measure else { return true }
    let isHigher = judge?.measures.first { $0.name == name }?.isHigherBetter ?? true
    return isHigher ? value > other : value < other
  }

  /// Measures the validation rows.
  ///
  /// - Returns: what a head's answers are worth; nothing where there is none, or there are no rows.
  private func measureRows(
    _ run: TrainingRun,
    into record: inout StepRecord
  ) throws -> [(metric: Metric, value: Double)] {
    guard let data = run.data.validation else { return [] }
    let first = run.data.training.examples.count
    let losses = try run.runner.losses(
      data.examples,
      keys: data.examples.indices.map { first + $0 }
    )
    let loss = losses.reduce(0.0) { $0 + $1.sum } / Double(losses.reduce(0) { $0 + $1.labels })
    guard loss.isFinite else {
      throw Diverged(
        reason: .diverged(
          step: run.state.step,
          what: "validation loss",
          value: loss,
          rate: record.learningRate
        )
      )
    }
    record.validationLoss = loss
    let head = run.adapter.head?.spec ?? model.ownHead
    let metrics =
      configuration.train.preference == nil
      ? head.map { MetricTally($0, data, losses).metrics } ?? []
      : PreferenceTally(losses).metrics
    if !metrics.isEmpty { record.validationMetrics = MetricValues(metrics) }
    return metrics
  }
}
