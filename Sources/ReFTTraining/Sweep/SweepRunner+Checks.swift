// SPDX-License-Identifier: Apache-2.0
// What is made sure of before the first run of a sweep begins: whatever a run reads and makes before its
// first step, for each run, and that some run has the measure that the table is sorted by.

import ReFTModel
import ReFTTensor

extension SweepRunner {
  /// Checks each run that is to be trained as far as that goes without a step; writes nothing.
  ///
  /// A model is opened, rows are read, and an adapter is made, as training does; rows that several runs
  /// have in common are read once.
  ///
  /// - Parameter overwrites: whether finished runs are to be made anew.
  /// - Returns: what is in the folder of each run, or is taken to be.
  /// - Throws: what is wrong with the first run that cannot begin, under its name; `badConfiguration`
  ///   for a `metric` that no run measures; as `states`.
  @discardableResult
  public func check(overwrites: Bool) throws -> [State] {
    let states = overwrites ? plan.runs.map { _ in State.new } : try states()
    var measures = Set(means.measures)
    for indices in runsByModel() {
      var known: KnownRows?
      for index in indices {
        let run = plan.runs[index]
        if states[index] == .finished {
          measures.formUnion(try RunRecord(folder: run.configuration.output).measures.map(\.name))
        } else {
          let mode = mode(states[index], overwrites: overwrites)
          measures.formUnion(try check(run, mode: mode, known: &known))
        }
      }
    }
    try checkMetric(measures)
    return states
  }

  /// The runs of each model, so that each is opened once.
  private func runsByModel() -> [[Int]] {
    var names: [String] = []
    for run in plan.runs where !names.contains(run.configuration.model) {
      names.append(run.configuration.model)
    }
    return names.map { name in
      plan.runs.indices.filter { plan.runs[$0].configuration.model == name }
    }
  }

  /// Checks one run.
  ///
  /// - Returns: the names of what it will measure.
  private func check(
    _ run: TrainingSweep.Run,
    mode: Trainer.Mode,
    known: inout KnownRows?
  ) throws -> [String] {
    do {
      let trainer = try trainer(run, model: try open(run.configuration.model))
      try trainer.check(mode: mode, known: &known)
      return trainer.measureNames
    } catch let error as ReFTError {
      throw ReFTError(
        error.code,
        "the run '\(run.name)' cannot begin, so none does: \(error.message)",
        cause: error
      )
    }
  }

  private func checkMetric(_ measures: Set<String>) throws(ReFTError) {
    guard let metric = plan.metric, !measures.contains(metric) else { return }
    let known = measures.sorted()
    let guess = NearestName.find(metric, in: known).map { " (did you mean '\($0)'?)" } ?? ""
    throw ReFTError(
      .badConfiguration,
      "\(plan.metricPlace ?? plan.path): 'metric' is '\(metric.shown())', which no run measures\(guess); "
        + "they have \(known.joined(separator: ", "))"
    )
  }
}
