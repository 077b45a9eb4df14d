// SPDX-License-Identifier: Apache-2.0
// The training loop. What a run starts from is in `Trainer+Preparation`, what it leaves behind in
// `Trainer+Results`.

import Foundation
public import ReFTHost
public import ReFTModel
import ReFTTensor

/// Trains one adapter as a configuration says.
///
/// Everything that a step does is a function of the configuration, the data, and the number of the
/// step, so that a run that was ended anywhere goes on from its last checkpoint bit for bit.
public final class Trainer {
  /// What to do where the run folder holds a run already.
  public enum Mode: Sendable {
    /// Refuse.
    case fresh
    /// Go on from its last checkpoint, or start when there is none.
    case resume
    /// The same, also where a plugin is another build than the run began with, such as a mended one.
    case resumeWithOtherBuilds
    /// Remove it and start.
    case overwrite
  }

  let configuration: RunConfiguration
  let model: LoadedModel
  let catalog: PluginCatalog
  let device: any ComputeDevice
  let precision: DecodePrecision
  let sharing: SharedActivations?
  let judge: (any TrainingJudge)?
  let folder: RunFolder
  let checkpoints: CheckpointStore
  /// The run that is under way, for another thread that has to save it.
  var current: TrainingRun?

  /// Prepares a run; nothing is read or written before `run`.
  ///
  /// - Parameters:
  ///   - configuration: what to do.
  ///   - model: the model that the configuration names, opened.
  ///   - catalog: where plugins are found.
  ///   - device: where the model runs.
  ///   - precision: `float32` asks the device for float32 arithmetic.
  ///   - judge: measures the adapter at the tasks of `train.validate`.
  ///   - sharing: keeps activations for further runs; nil: they go with the run.
  public init(
    configuration: RunConfiguration,
    model: LoadedModel,
    catalog: PluginCatalog,
    device: any ComputeDevice = ProcessorDevice.shared,
    precision: DecodePrecision = .int16,
    judge: (any TrainingJudge)? = nil,
    sharing: SharedActivations? = nil
  ) {
    (self.judge, self.sharing) = (judge, sharing)
    self.configuration = configuration
    self.model = model
    self.catalog = catalog
    self.device = device
    self.precision = precision
    folder = RunFolder(configuration.output)
    checkpoints = CheckpointStore(folder: folder)
  }

  /// The arithmetic that the run's bits depend on.
  var kernels: String { device.kernels(precision) }

  /// Trains to the end.
  ///
  /// - Parameters:
  ///   - mode: what to do where the run folder holds a run.
  ///   - resumeCommand: how the user goes on after an interruption, for the message.
  ///   - stop: set by whoever wants the run to save and end.
  ///   - observer: receives events, on the calling thread.
  /// - Returns: what the run came to.
  /// - Throws: `interrupted` after saving when `stop` is set; `usage` when the folder holds a run;
  ///   errors of configuration, data, plugins and disk, with all finished steps saved.
  @discardableResult
  public func run(
    mode: Mode = .fresh,
    resumeCommand: String? = nil,
    stop: StopFlag = StopFlag(),
    observer: (TrainingEvent) -> Void = { _ in }
  ) throws -> TrainingSummary {
    let run = try prepare(mode: mode, observer: observer)
    current = run
    defer { current = nil }
    var lastSaved = run.plan.doneSteps
    while run.state.step < run.plan.totalSteps, !isOutOfPatience(run) {
      do {
        if stop.isSet { throw EndedEarly() }
        try step(run, stop: stop, lastSaved: &lastSaved, observer: observer)
      } catch let error as Diverged {
        // What led here is in the parameters already: the older checkpoints are worth more.
        try writeManifest(run, status: "stopped")
        throw model.frozen.explainNotFinite() ?? error.reason
      } catch {
        let isNew = lastSaved != run.state.step || run.state.step == 0
        // Nobody knows which of the steps since the last checkpoint saw the old model.
        let change = model.frozen.changeFault
        if isNew, run.isAtRest, change == nil { try save(run, observer: observer) }
        try writeManifest(run, status: "stopped")
        if let change { throw change }
        let isEnd = stop.isSet && (error as? ReFTError)?.code == .interrupted
        guard error is EndedEarly || isEnd else { throw error }
        throw ReFTError.interruptedRun(
          step: run.state.step,
          totalSteps: run.plan.totalSteps,
          command: resumeCommand ?? "reft train \(configuration.path) --resume"
        )
      }
    }
    if let fault = model.frozen.changeFault {
      try writeManifest(run, status: "stopped")
      throw fault
    }
    if run.state.step < run.plan.totalSteps {
      observer(
        .endedEarly(step: run.state.step, validations: run.state.validationsSinceBest ?? 0)
      )
    }
    return try finish(run, observer: observer)
  }

  /// A loss or gradient that is no number.
  struct Diverged: Error { var reason: ReFTError }

  /// One optimiser step, with the validation and the checkpoint that it is due.
  private func step(
    _ run: TrainingRun,
    stop: StopFlag,
    lastSaved: inout Int,
    observer: (TrainingEvent) -> Void
  ) throws {
    let options = configuration.train
    var record = try learn(run, stop: stop)
    let isLast = run.state.step == run.plan.totalSteps
    let isBest =
      isLast || isDue(run, options.evaluateEvery, orEpoch: true)
      ? try validate(run, into: &record, observer: observer) : false
    try run.metrics.append(record)
    try run.events?.append(record)
    run.isAtRest = true
    observer(.step(record, remainingSeconds: run.remainingSeconds))
    if isLast || isBest || isOutOfPatience(run) || isDue(run, options.saveEvery, orEpoch: false) {
      try save(run, observer: observer)
      lastSaved = run.state.step
    }
  }

  /// Changes the parameters by the gradient of one batch, and tells what came of it.
  private func learn(_ run: TrainingRun, stop: StopFlag) throws -> StepRecord {
    let clock = ContinuousClock()
    let begin = clock.now
    let index = run.state.step
    let keys = run.batch(step: index)
    let batch = keys.map { run.data.training.examples[$0] }
    let labels = batch.reduce(0) { $0 + $1.labelCount }
    let tokens = batch.reduce(0) { $0 + $1.tokenCount }
    let sequences = batch.reduce(0) { $0 + $1.parts.count }
    let rate = run.rate.rate(step: index)
    let ownRates = run.ownPeaks.rates(run.rate, step: index)

    run.gradients.values.update(repeating: 0)
    let losses = try run.runner.lossesAndGradients(
      batch,
      keys: keys,
      gradients: run.gradients,
      scale: Float(1 / Double(labels)),
      auxiliaryScale: 1 / Double(sequences),
      random: (run.randomKey, UInt64(index)),
      progress: RunProgress(step: index, totalSteps: run.plan.totalSteps),
      stop: stop
    )
    let sum = losses.reduce(0.0) { $0 + $1.sum }
    let loss = sum / Double(labels)
    let auxiliarySum = run.runner.auxiliarySum
    let norm = run.optimiser.prepare(run.gradients)
    for (what, value) in [("loss", loss), ("gradient norm", norm)] where !value.isFinite {
      throw Diverged(
        reason: .diverged(step: index + 1, what: what, value: value, rate: rate)
      )
    }
    run.isAtRest = false
    run.optimiser.clip(run.gradients, norm: norm)
    run.optimiser.step(run.gradients, rate: rate, ownRates: ownRates)
    let seconds = begin.duration(to: clock.now) / .seconds(1)

    run.state.step += 1
    run.state.tokens += tokens
    run.state.seconds += seconds
    run.ownSeconds += seconds
    let beginsEpoch = index % run.order.stepsPerEpoch == 0
    run.countLoss(sum, labels: labels, beginsEpoch: beginsEpoch)
    var record = StepRecord(
      step: index + 1,
      epoch: Double(index + 1) / Double(run.order.stepsPerEpoch),
      loss: loss,
      gradNorm: norm,
      learningRate: rate,
      tokens: tokens,
      labelTokens: labels,
      seconds: seconds,
      tokensPerSecond: Double(tokens) / seconds,
      peakRssBytes: ProcessMemory.peak()
    )
    if !ownRates.isEmpty { record.learningRates = ownRates.named }
    if run.adapter.hasAuxiliaryLoss {
      run.countAuxiliary(auxiliarySum, sequences: sequences, beginsEpoch: beginsEpoch)
      record.auxiliary = auxiliarySum / Double(sequences)
    }
    if configuration.train.preference != nil {
      record.metrics = MetricValues(PreferenceTally(losses).metrics)
    }
    return record
  }

  /// Whether something that happens every so many steps happens now; 0 may mean each epoch.
  private func isDue(_ run: TrainingRun, _ every: Int, orEpoch: Bool) -> Bool {
    if every > 0 { return run.state.step % every == 0 }
    return orEpoch && run.state.step % run.order.stepsPerEpoch == 0
  }

  func save(_ run: TrainingRun, observer: (TrainingEvent) -> Void) throws {
    if let change = model.frozen.changeFault { throw change }
    try run.metrics.synchronize()
    describeTraining(run)
    try checkpoints.save(run.state, adapter: run.adapter, optimiser: run.optimiser)
    try checkpoints.prune(
      keeping: configuration.train.keptCheckpoints,
      best: run.state.best?.step
    )
    observer(.saved(step: run.state.step, path: checkpoints.path(step: run.state.step)))
  }
}
