// SPDX-License-Identifier: Apache-2.0
// What a run tells while it runs, and at its end.

public import ReFTHost
public import ReFTModel

/// Something that happened in a run; the command line turns it into lines.
public enum TrainingEvent: Sendable {
  /// Data, adapter and folder are ready.
  case prepared(TrainingPlan)
  /// A step is done; estimated seconds until the last one.
  case step(StepRecord, remainingSeconds: Double)
  /// A validation is done.
  case validated(step: Int, loss: Double, metrics: MetricValues, isBest: Bool)
  /// Tasks were asked at a validation.
  case judged(step: Int, [JudgedMeasure], isBest: Bool)
  /// The run ends before its last step, after so many validations without a better one.
  case endedEarly(step: Int, validations: Int)
  /// A checkpoint was written.
  case saved(step: Int, path: String)
  /// Something worth a word.
  case warning(String)
}

/// What a run is about to do.
public struct TrainingPlan: Sendable {
  /// What became of the training rows.
  public var training: DataSet.Account
  /// What became of the validation rows.
  public var validation: DataSet.Account?
  /// Steps of one epoch.
  public var stepsPerEpoch: Int
  /// All steps, those done before included.
  public var totalSteps: Int
  /// Steps done before, of a run that goes on.
  public var doneSteps: Int
  /// Values that the optimiser changes.
  public var trainableParameters: Int
  /// The block below which results are kept across epochs; nil: none are.
  public var cachedBlock: Int?
  /// The run folder.
  public var output: String
}

/// What a finished run came to.
public struct TrainingSummary: Sendable {
  /// Optimiser steps.
  public var steps: Int
  /// The mean training loss per label token over the last epoch.
  public var loss: Double
  /// The validation loss of the best step, which is the lowest where the loss is judged by; nil without
  /// validation.
  public var bestLoss: Double?
  /// The step that was best.
  public var bestStep: Int?
  /// What the best step is judged by.
  public var metric: Metric
  /// The name of that: the metric's, or `TASK.METRIC`.
  public var metricName: String
  /// That measure of the best step; nil where it is the loss, or without validation.
  public var bestMeasure: Double?
  /// Wall time of all steps, of earlier processes too; validation and saving are not in it.
  public var seconds: Double
  /// Training tokens over that time.
  public var tokensPerSecond: Double
  /// The most memory that the process has held.
  public var peakRssBytes: Int
  /// The adapter folder.
  public var adapter: String
  /// Values that the optimiser changed.
  public var trainableParameters: Int
  /// The part of the steps' wall time that each plugin took, by name.
  public var pluginShares: [String: Double]
  /// Where the edits of the last pass ran; nil on the processor.
  public var editPlaces: EditPlaces?
  /// What the trained edits change of some rows, by site; none before the end.
  public var changes: [SiteChange] = []
}
