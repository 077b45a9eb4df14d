// SPDX-License-Identifier: Apache-2.0
// Everything that a run holds while it runs.

import ReFTHost
import ReFTTensor

/// The parts of a running training.
final class TrainingRun {
  let plan: TrainingPlan
  let data: TrainingData
  let adapter: Adapter
  let order: DataOrder
  let rate: LearningRate
  /// The peaks of those who have their own.
  let ownPeaks: OwnRates
  let optimiser: AdamW
  let gradients: FloatBuffer
  let runner: BatchRunner
  let metrics: MetricsFile
  /// The same for TensorBoard; nil where it is switched off.
  let events: EventFile?
  /// Names the random numbers of dropout.
  let randomKey: UInt64
  var state: CheckpointState
  /// Whether the last step is done with all that belongs to it, so that it can be saved.
  var isAtRest = true
  private var epochOrder: (epoch: Int, order: [Int])?
  /// Wall time of this process's steps.
  var ownSeconds = 0.0

  init(
    plan: TrainingPlan,
    data: TrainingData,
    adapter: Adapter,
    order: DataOrder,
    rate: LearningRate,
    ownPeaks: OwnRates,
    optimiser: AdamW,
    runner: BatchRunner,
    metrics: MetricsFile,
    events: EventFile?,
    seed: UInt64,
    state: CheckpointState
  ) {
    self.plan = plan
    self.data = data
    self.adapter = adapter
    self.order = order
    self.rate = rate
    self.ownPeaks = ownPeaks
    self.optimiser = optimiser
    gradients = adapter.parameters.makeGradients()
    self.runner = runner
    self.metrics = metrics
    self.events = events
    randomKey = CounterRandom(key: seed, step: DataOrder.dropoutStream).bits(offset: 0)
    self.state = state
  }

  /// The examples of a step, from 0.
  func batch(step: Int) -> [Int] {
    let epoch = step / order.stepsPerEpoch
    let examples = epochOrder?.epoch == epoch ? epochOrder?.order : nil
    let current = examples ?? order.order(epoch: epoch)
    epochOrder = (epoch, current)
    return order.batch(step: step, of: current)
  }

  /// Adds a step to the mean loss of its epoch.
  func countLoss(_ sum: Double, labels: Int, beginsEpoch: Bool) {
    if beginsEpoch { (state.epochLossSum, state.epochLabels) = (0, 0) }
    state.epochLossSum += sum
    state.epochLabels += labels
  }

  /// The mean loss of the running epoch, or of the last one.
  var epochLoss: Double { state.epochLossSum / Double(max(1, state.epochLabels)) }

  /// Adds a step to the mean auxiliary loss of its epoch.
  func countAuxiliary(_ sum: Double, sequences: Int, beginsEpoch: Bool) {
    let before = beginsEpoch ? nil : state.epochAuxiliary
    state.epochAuxiliary = CheckpointState.Auxiliary(
      sum: (before?.sum ?? 0) + sum,
      sequences: (before?.sequences ?? 0) + sequences
    )
  }

  /// The mean auxiliary loss per sequence of the running epoch, or of the last one.
  var epochAuxiliary: Double? {
    state.epochAuxiliary.map { $0.sum / Double(max(1, $0.sequences)) }
  }

  /// How long the steps that are left will take at the pace so far.
  var remainingSeconds: Double {
    let done = state.step - plan.doneSteps
    guard done > 0 else { return 0 }
    return ownSeconds / Double(done) * Double(plan.totalSteps - state.step)
  }
}
