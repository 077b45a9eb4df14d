// SPDX-License-Identifier: Apache-2.0
// Tasks that measure an adapter while it is trained: what `train.validate` asks for.

public import ReFTHost
public import ReFTModel
public import ReFTTensor
public import ReFTTraining

/// Measures an adapter at tasks.
public final class TaskJudge: TrainingJudge {
  private struct Check {
    var item: EvaluationPlan.Item
    var file: TaskFile
  }

  /// The names of all measures, and whether more is better.
  public let measures: [(name: String, isHigherBetter: Bool)]
  /// Hashes of rows and of tasks.
  public let facts: [String: String]

  private let checks: [Check]
  private let model: LoadedModel
  private let device: any ComputeDevice
  private let precision: DecodePrecision

  /// Reads tasks and their rows, so that a mistake shows before the first step.
  ///
  /// - Parameters:
  ///   - checks: the tasks.
  ///   - model: the frozen model.
  ///   - device: where it runs.
  ///   - precision: `float32` asks the device for float32 arithmetic.
  /// - Throws: errors of task files and rows, with their places.
  public init(
    _ checks: [TaskCheck],
    model: LoadedModel,
    device: any ComputeDevice = ProcessorDevice.shared,
    precision: DecodePrecision = .int16
  ) throws(ReFTError) {
    var read: [Check] = []
    var measures: [(name: String, isHigherBetter: Bool)] = []
    var facts: [String: String] = [:]
    for (item, file) in try EvaluationPlan.read(checks.map(Self.item), of: "train.validate") {
      let rows = try file.rows(item.data, limit: item.limit)
      facts[file.name] = rows.hash + " sha256:" + SHA256Digest.hex(of: file.source.utf8)
      for metric in file.metrics {
        measures.append(("\(file.name).\(metric)", !TaskFile.isLowerBetter(metric)))
      }
      read.append(Check(item: item, file: file))
    }
    self.checks = read
    self.measures = measures
    self.facts = facts
    self.model = model
    self.device = device
    self.precision = precision
  }

  private static func item(_ check: TaskCheck) -> EvaluationPlan.Item {
    var item = EvaluationPlan.Item(
      task: check.task,
      data: check.data,
      limit: check.limit,
      shots: check.shots
    )
    item.template = check.template
    item.place = check.place
    return item
  }

  /// Measures the adapter as it is now.
  public func judge(_ adapter: Adapter) throws -> [JudgedMeasure] {
    var measures: [JudgedMeasure] = []
    let contender = Contender(name: "adapter", adapter: adapter)
    for check in checks {
      var options = TaskEvaluator.Options()
      options.limit = check.item.limit
      options.precision = precision
      // A runtime holds memory that training wants back between validations.
      let evaluator = TaskEvaluator(
        model: model,
        contenders: [contender],
        device: device,
        options: options
      )
      for result in try evaluator.evaluate(check.file, data: check.item.data) {
        measures.append(
          JudgedMeasure(
            name: "\(check.file.name).\(result.metric)",
            value: result.value,
            standardError: result.standardError
          )
        )
      }
    }
    return measures
  }
}

extension TaskFile {
  /// The measures that the task can have.
  var metrics: [String] {
    switch scorer {
    case .choice: ChoiceScoring.metrics
    case .generation(let rule): GenerationScoring.metrics(rule)
    case .perplexity: PerplexityScoring.metrics
    case .head(let rule):
      Metric.metrics(of: rule.isRegression ? .regression : .classification).map(\.rawValue)
    }
  }

  /// What results call the measure that stands for the task, where nothing else is told: `TASK.METRIC`.
  public var mainMeasure: String? { (metric ?? metrics.first).map { "\(name).\($0)" } }

  /// Whether less of a measure is better.
  static func isLowerBetter(_ metric: String) -> Bool { PerplexityScoring.metrics.contains(metric) }
}
