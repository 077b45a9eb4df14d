// SPDX-License-Identifier: Apache-2.0
// Whether a run can begin, found out without a step: sweeps ask it of all their runs beforehand.

import ReFTHost
import ReFTModel
import ReFTTensor

/// Rows that were read, and what decided them.
struct KnownRows {
  /// What decides the rows of a run, on one model.
  struct Key: Equatable {
    var data: DataOptions
    var head: HeadOptions?
    var preference: PreferenceOptions?
    /// Where it chooses the rows to validate on.
    var seed: UInt64?

    /// That of a configuration.
    init(_ configuration: RunConfiguration) {
      data = configuration.data
      head = configuration.head
      preference = configuration.train.preference
      if case .fraction = data.validation { seed = configuration.train.seed }
    }
  }

  let key: Key
  let rows: TrainingData
}

extension Trainer {
  /// Reads and makes what a run needs before its first step, and leaves all as it was.
  ///
  /// - Parameters:
  ///   - mode: what to do where the run folder holds a run.
  ///   - known: rows that another run of this model has read; those of this one afterwards.
  /// - Throws: errors of configuration, data, plugins and folder, as `run` does before its first step.
  func check(mode: Mode, known: inout KnownRows?) throws {
    try folder.checkOwnership(removesAll: mode == .overwrite)
    try checkJudge()
    let key = KnownRows.Key(configuration)
    let same = known.flatMap { $0.key == key ? $0.rows : nil }
    var data = try same ?? TrainingData(configuration, model: model)
    known = KnownRows(key: key, rows: data)
    let adapter = try makeAdapter(head: data.head, observer: { _ in })
    _ = try data.check(adapter, tokenizer: model.tokenizer)
  }

  /// The names of what the run measures by its end, by which `RunRecord.measures` calls them.
  var measureNames: [String] {
    let judged = judge?.measures.map(\.name) ?? []
    guard configuration.data.validation != .none else { return ["loss"] + judged }
    let head = configuration.head?.task ?? model.ownHead?.task
    let metrics =
      configuration.train.preference == nil
      ? head.map { Metric.metrics(of: $0) } ?? [] : Metric.ofPreferences
    return ["loss", "validation_loss"] + metrics.map(\.rawValue) + judged
  }
}
