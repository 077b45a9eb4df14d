// SPDX-License-Identifier: Apache-2.0
// The tasks of a sweep, asked of each run's adapter as soon as it is trained.

import Foundation
import ReFTEvaluation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining

/// Evaluates the runs of a sweep.
struct SweepEvaluation {
  /// The tasks, read once.
  private let tasks: [(item: EvaluationPlan.Item, file: TaskFile)]
  private let catalog: (RunConfiguration) throws -> PluginCatalog
  private let device: any ComputeDevice
  private let precision: DecodePrecision

  /// Reads the tasks of a plan and their rows, so that a mistake shows before the first run.
  init(
    _ plan: TrainingSweep,
    catalog: @escaping (RunConfiguration) throws -> PluginCatalog,
    device: any ComputeDevice,
    precision: DecodePrecision
  ) throws {
    let items = plan.tasks.map { task in
      var item = EvaluationPlan.Item(
        task: task.name,
        data: task.data,
        limit: task.limit,
        shots: task.shots
      )
      item.place = task.place
      return item
    }
    tasks = try EvaluationPlan.read(items, of: "eval")
    for (item, file) in tasks { try item.checkRows(of: file) }
    self.catalog = catalog
    (self.device, self.precision) = (device, precision)
  }

  /// What the measures are called.
  var names: [String] { tasks.compactMap(\.file.mainMeasure) }

  /// The main measure of each task, of a run's adapter.
  func measures(_ run: TrainingSweep.Run, _ model: LoadedModel) throws -> [SweepMeasure] {
    let adapter = try Adapter.load(
      path: run.configuration.output + "/adapter",
      model: model,
      catalog: try catalog(run.configuration)
    )
    let line = ProgressLine()
    defer { line.clear() }
    return try tasks.flatMap { item, file in
      var options = TaskEvaluator.Options()
      options.limit = item.limit
      options.precision = precision
      let evaluator = TaskEvaluator(
        model: model,
        contenders: [Contender(name: run.name, adapter: adapter)],
        device: device,
        options: options
      )
      let results = try evaluator.evaluate(
        file,
        data: item.data,
        warn: { Output.note("warning: \($0)") },
        progress: { line.show("\($0.task): \($0.done)/\($0.total) rows") }
      )
      return results.filter(\.isMain).map {
        SweepMeasure(
          name: "\($0.task).\($0.metric)",
          value: $0.value,
          standardError: $0.standardError
        )
      }
    }
  }
}
