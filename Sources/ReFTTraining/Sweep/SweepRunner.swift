// SPDX-License-Identifier: Apache-2.0
// Runs a sweep in one process: a model is read once, finished runs are left as they are, an interrupted
// one goes on, and a failing one does not keep the rest from running. What is checked before the first
// begins is in `SweepRunner+Checks`.

import Foundation
public import ReFTHost
public import ReFTModel
public import ReFTTensor

/// Something that happened in a sweep.
public enum SweepEvent {
  /// A run begins or goes on: its number from 0.
  case began(Int, TrainingSweep.Run)
  /// Something happened in it.
  case training(Int, TrainingEvent)
  /// It is trained, and is evaluated.
  case evaluating(Int, TrainingSweep.Run)
  /// It ended; `isOld`: it was finished before.
  case ended(Int, SweepResult, isOld: Bool)
}

/// A measure from an evaluation.
public struct SweepMeasure: Sendable {
  /// `TASK.METRIC`.
  public var name: String
  /// Its value.
  public var value: Double
  /// Its standard error, where it has one.
  public var standardError: Double?

  /// Joins the three.
  public init(name: String, value: Double, standardError: Double?) {
    (self.name, self.value, self.standardError) = (name, value, standardError)
  }
}

/// What a sweep needs from its caller.
public struct SweepMeans {
  /// Opens the model that a configuration names.
  public var open: (String) throws -> LoadedModel
  /// The plugins for a configuration.
  public var catalog: (RunConfiguration) throws -> PluginCatalog
  /// Where the model runs.
  public var device: any ComputeDevice
  /// `float32` asks the device for float32 arithmetic.
  public var precision: DecodePrecision
  /// Trains: calls `run` of the trainer, and whatever guards it.
  public var train: (Trainer, Trainer.Mode, (TrainingEvent) -> Void) throws -> Void
  /// Measures the adapter of a run at the tasks of `train.validate`.
  public var judge: (RunConfiguration, LoadedModel) throws -> (any TrainingJudge)?
  /// Evaluates the tasks of a plan with the adapter of a finished run.
  public var evaluate: ((TrainingSweep.Run, LoadedModel) throws -> [SweepMeasure])?
  /// The names of the measures that evaluations give.
  public var measures: [String] = []

  /// Joins them.
  public init(
    open: @escaping (String) throws -> LoadedModel,
    catalog: @escaping (RunConfiguration) throws -> PluginCatalog,
    device: any ComputeDevice,
    precision: DecodePrecision,
    train: @escaping (Trainer, Trainer.Mode, (TrainingEvent) -> Void) throws -> Void,
    judge: @escaping (RunConfiguration, LoadedModel) throws -> (any TrainingJudge)? = { _, _ in
      nil
    },
    evaluate: ((TrainingSweep.Run, LoadedModel) throws -> [SweepMeasure])? = nil,
    measures: [String] = []
  ) {
    (self.open, self.catalog, self.device) = (open, catalog, device)
    (self.precision, self.train) = (precision, train)
    (self.judge, self.evaluate, self.measures) = (judge, evaluate, measures)
  }
}

/// Runs the runs of a plan.
public final class SweepRunner {
  /// What is in a run's folder.
  public enum State: String, Sendable, Codable {
    /// A finished run of this configuration.
    case finished
    /// A run that can go on.
    case unfinished
    /// Nothing.
    case new
  }

  let plan: TrainingSweep
  let means: SweepMeans
  private var models: (name: String, model: LoadedModel)?
  private let shared = SharedActivations()
  private var results: [SweepResult]
  private var dataHashes: [String: String] = [:]

  /// Prepares a sweep; reads what is known of it already.
  ///
  /// - Throws: `badData` where the sweep's results file is broken.
  public init(_ plan: TrainingSweep, means: SweepMeans) throws(ReFTError) {
    (self.plan, self.means) = (plan, means)
    let known = try SweepResult.read(path: plan.resultsFile)
    results = plan.runs.map { run in
      known.last { $0.name == run.name && $0.settings == run.settings } ?? SweepResult(run)
    }
  }

  /// How many runs took over what an earlier one had computed below their lowest edit.
  public var reuses: Int { shared.reuses }

  /// What is in the folder of each run.
  ///
  /// - Throws: `usage` where it is a run of another configuration, naming the keys; what the folder
  ///   says where it cannot be read.
  public func states() throws(ReFTError) -> [State] {
    var states: [State] = []
    for run in plan.runs { states.append(try state(run)) }
    return states
  }

  private func state(_ run: TrainingSweep.Run) throws(ReFTError) -> State {
    let folder = RunFolder(run.configuration.output)
    guard case .run(let isFinished, _) = folder.claim() else { return .new }
    guard isFinished else { return .unfinished }
    let record = try RunRecord(folder: folder.path)
    let differences = try differences(run, record)
    guard differences.isEmpty else {
      throw .otherSweepRun(folder.path, differences: differences)
    }
    return .finished
  }

  /// What a finished run was made with and would not be made with now.
  private func differences(
    _ run: TrainingSweep.Run,
    _ record: RunRecord
  ) throws(ReFTError) -> [String] {
    let free = Trainer.free.subtracting(["model", "data.train", "train.init_adapter"])
    let now = Dictionary(run.configuration.flattened(), uniquingKeysWith: { $1 })
    let then = Dictionary(record.settings, uniquingKeysWith: { $1 })
    var differences = Set(now.keys).union(then.keys).sorted()
      .filter { now[$0] != then[$0] && !free.contains($0) && !$0.hasPrefix("plugin_path") }
      .map { "\($0) was \(then[$0] ?? "not set") and is \(now[$0] ?? "not set")" }
    for rows in [record.manifest.data?.train, record.manifest.data?.validation] {
      guard let rows, FileManager.default.fileExists(atPath: rows.path) else { continue }
      if try hash(rows.path) != rows.hash { differences.append("'\(rows.path)' has changed") }
    }
    return differences
  }

  private func hash(_ path: String) throws(ReFTError) -> String {
    if let known = dataHashes[path] { return known }
    let hash = "sha256:" + (try SHA256Digest.hex(ofFile: path))
    dataHashes[path] = hash
    return hash
  }

  /// Checks all runs, and runs what is not finished.
  ///
  /// - Parameters:
  ///   - overwrites: whether finished runs are made anew.
  ///   - stop: set by whoever wants the sweep to end with the run that is on its way.
  ///   - observer: receives events, on the calling thread.
  /// - Returns: a result for each run.
  /// - Throws: as `check`, before anything is written; `interrupted`, with what is done saved;
  ///   `inputOutput` when the sweep's own files cannot be written. A run that fails later is in the
  ///   results.
  public func run(
    overwrites: Bool,
    stop: StopFlag = StopFlag(),
    observer: (SweepEvent) -> Void
  ) throws -> [SweepResult] {
    let states = try check(overwrites: overwrites)
    do {
      try FileManager.default.createDirectory(
        atPath: plan.output + "/runs",
        withIntermediateDirectories: true
      )
    } catch {
      throw ReFTError.cannotMakeRunFolder(plan.output, error: error)
    }
    for (index, run) in plan.runs.enumerated() {
      let isOld = states[index] == .finished && isEvaluated(results[index])
      if isOld {
        try takeOver(index, run)
      } else {
        observer(.began(index, run))
        try perform(index, run, states[index], overwrites: overwrites, observer: observer)
      }
      observer(.ended(index, results[index], isOld: isOld))
      try write()
      // A run whose last step was done when it was asked to end is a finished one.
      if stop.isSet, index + 1 < plan.runs.count {
        throw ReFTError.interruptedSweep(run: index + 1, of: plan.runs.count)
      }
    }
    return results
  }

  /// Whether every task of the plan has its result.
  private func isEvaluated(_ result: SweepResult) -> Bool {
    guard !plan.tasks.isEmpty else { return true }
    return result.status == .finished && Set(plan.tasks.map(\.key)).isSubset(of: result.tasks ?? [])
  }

  private func takeOver(_ index: Int, _ run: TrainingSweep.Run) throws(ReFTError) {
    let old = results[index]
    results[index] = SweepResult(run, try RunRecord(folder: run.configuration.output))
    results[index].add(old)
  }

  private func perform(
    _ index: Int,
    _ run: TrainingSweep.Run,
    _ state: State,
    overwrites: Bool,
    observer: (SweepEvent) -> Void
  ) throws {
    do {
      let model = try open(run.configuration.model)
      if state != .finished {
        ProcessMemory.resetPeak()
        try means.train(
          try trainer(run, model: model),
          mode(state, overwrites: overwrites)
        ) { observer(.training(index, $0)) }
      }
      let record = try RunRecord(folder: run.configuration.output)
      results[index] = SweepResult(run, record)
      if !plan.tasks.isEmpty, let evaluate = means.evaluate {
        observer(.evaluating(index, run))
        results[index].add(try evaluate(run, model))
        results[index].tasks = plan.tasks.map(\.key)
      }
    } catch let error as ReFTError where error.code == .interrupted {
      try write()
      throw error
    } catch {
      let reason = (error as? ReFTError)?.message ?? "\(error)"
      results[index] = SweepResult(run, status: .failed, error: reason)
      results[index].code = (error as? ReFTError)?.code ?? .internalFault
    }
  }

  /// What trains a run.
  func trainer(_ run: TrainingSweep.Run, model: LoadedModel) throws -> Trainer {
    Trainer(
      configuration: run.configuration,
      model: model,
      catalog: try means.catalog(run.configuration),
      device: means.device,
      precision: means.precision,
      judge: try means.judge(run.configuration, model),
      sharing: shared
    )
  }

  /// What to do with what is in its folder.
  func mode(_ state: State, overwrites: Bool) -> Trainer.Mode {
    overwrites ? .overwrite : state == .new ? .fresh : .resume
  }

  /// The model of a run; the last one stays open.
  func open(_ name: String) throws -> LoadedModel {
    if let models, models.name == name, models.model.frozen.changeFault == nil {
      return models.model
    }
    models = nil
    let model = try means.open(name)
    models = (name, model)
    return model
  }

  private func write() throws {
    try SweepResult.write(results, to: plan.resultsFile)
    try AtomicFile.write(SweepTable(results, metric: plan.metric).markdown, to: plan.tableFile)
  }
}

extension ReFTError {
  static func otherSweepRun(_ path: String, differences: [String]) -> ReFTError {
    let more = differences.count > 4 ? " and \(differences.count - 4) more" : ""
    return ReFTError(
      .usage,
      "'\(path)' holds a finished run that was made otherwise: "
        + differences.prefix(4).joined(separator: "; ") + more
        + "; choose another --output, or make all runs anew with --overwrite"
    )
  }
}
