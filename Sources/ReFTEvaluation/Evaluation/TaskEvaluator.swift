// SPDX-License-Identifier: Apache-2.0
// Asks a model, with one adapter or several, the rows of a task, and says what it came to.

import ReFTGeneration
public import ReFTHost
public import ReFTModel
import ReFTTensor
public import ReFTTraining

/// Evaluates tasks on one model, for several contenders side by side.
public final class TaskEvaluator {
  /// How a model is asked.
  public struct Options: Sendable {
    /// Take only the first rows; all by default.
    public var limit: Int?
    /// How many rows are asked at once, and how many texts are written at once; by default 16, on a
    /// card 64.
    public var batchSize: Int?
    /// The most tokens of one pass; by default 1024, on a card 16384.
    public var passTokens: Int?
    /// The longest sequence; the model's context by default.
    public var maxLength: Int?
    /// The arithmetic: `float32` asks the device for float32.
    public var precision: DecodePrecision = .int16

    /// The defaults.
    public init() {}
  }

  /// How far an evaluation is.
  public struct Progress: Sendable {
    /// The task.
    public var task: String
    /// Rows that are done, counted once for each contender.
    public var done: Int
    /// All of them.
    public var total: Int
  }

  private let model: LoadedModel
  private let contenders: [Contender]
  private let device: any ComputeDevice
  private let options: Options
  /// Made when it is first needed, and kept for the next task.
  private lazy var runner = LikelihoodRunner(
    model.frozen,
    device: device,
    budget: passTokens,
    precision: options.precision
  )
  private var batch: GenerationBatch?
  private var passTokens: Int { options.passTokens ?? (isCard ? 16_384 : 1024) }
  private var batchSize: Int { options.batchSize ?? (isCard ? 64 : 16) }
  private var isCard: Bool { !(device is ProcessorDevice) }

  /// Prepares evaluation.
  ///
  /// - Parameters:
  ///   - model: the frozen model.
  ///   - contenders: who is asked; at least one, with different names.
  ///   - device: where the model runs.
  ///   - options: how it is asked.
  public init(
    model: LoadedModel,
    contenders: [Contender] = [.frozen],
    device: any ComputeDevice = ProcessorDevice.shared,
    options: Options = Options()
  ) {
    self.model = model
    self.contenders = contenders
    self.device = device
    self.options = options
  }

  /// Asks all rows of a task.
  ///
  /// - Parameters:
  ///   - task: the task.
  ///   - data: the file of rows, in place of the task's own.
  ///   - store: takes what becomes of each row, and knows what an earlier run has done; nil for none.
  ///   - stop: asked between batches.
  ///   - warn: takes what is worth a word, in sentences.
  ///   - progress: takes how far it is.
  /// - Returns: the measures, contender by contender, each one's main measure first.
  /// - Throws: `interrupted` when `stop` is set; errors of rows with file and line; what the model or a
  ///   plugin throws.
  public func evaluate(
    _ task: TaskFile,
    data: String? = nil,
    store: OutcomeStore? = nil,
    stop: StopFlag = StopFlag(),
    warn: (String) -> Void = { _ in },
    progress: (Progress) -> Void = { _ in }
  ) throws -> [TaskResult] {
    if case .generation(let rule) = task.scorer, rule.outputs != nil, store == nil {
      throw ReFTError(
        .usage,
        "the task '\(task.name)' makes a file for a judge, and there is no folder for it; give --output"
      )
    }
    let start = ContinuousClock.now
    var content = try task.rows(data, limit: options.limit)
    let pool = content.rows
    content.rows = Array(pool.prefix(options.limit ?? .max))
    var settled = options
    settled.passTokens = passTokens
    let context = try TaskContext(
      model: model,
      contenders: contenders,
      task: task,
      options: settled,
      device: device,
      rows: pool
    )
    let scoring = try scoring(task, context)
    var outcomes = try store?.begin(task, contenders, hash: content.hash) ?? [:]
    let total = content.rows.count * contenders.count
    var done = outcomes.values.reduce(0) { $0 + $1.count }
    progress(Progress(task: task.name, done: done, total: total))
    for rows in pending(content.rows, outcomes, size: chunk(task)) {
      if stop.isSet { throw ReFTError.interruptedEvaluation(done: done, total: total) }
      try scoring.ask(rows) { pending, outcome in
        outcomes[pending.contender, default: [:]][pending.row.number] = outcome
        try store?.append(outcome, contender: pending.contender)
        done += 1
        progress(Progress(task: task.name, done: done, total: total))
      }
    }
    context.warnings.forEach(warn)
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    var results: [TaskResult] = []
    for (number, contender) in contenders.enumerated() {
      let own = content.rows.compactMap { outcomes[number]?[$0.number] }
      let measures = try scoring.measures(own, rows: content.rows, contender: number)
      let shared = TaskResult.Shared(
        task: task,
        contender: contender,
        count: own.count,
        seconds: seconds
      )
      results += try shared.results(measures)
      try store?.finish(own, contender: number)
      if let store { try writeReplies(own, content.rows, contender, context, store, warn) }
    }
    return results
  }

  /// Writes the file for a judge, where the task asks for one.
  private func writeReplies(
    _ outcomes: [RowOutcome],
    _ rows: [TaskRow],
    _ contender: Contender,
    _ context: TaskContext,
    _ store: OutcomeStore,
    _ tell: (String) -> Void
  ) throws(ReFTError) {
    guard case .generation(let rule) = context.task.scorer, let outputs = rule.outputs else {
      return
    }
    var replies: [JudgedReply] = []
    for (row, outcome) in zip(rows, outcomes) {
      replies.append(
        JudgedReply(
          instruction: try outputs.instruction.text(row),
          output: outcome.reply ?? "",
          generator: contender.name,
          dataset: try outputs.dataset?.text(row) ?? context.task.name
        )
      )
    }
    let path = try store.writeReplies(
      replies,
      task: context.task.name,
      contender: contender.name
    )
    tell("the replies of \(contender.name) are in '\(path)'")
  }

  /// How many rows are asked between two looks at the wish to stop.
  private func chunk(_ task: TaskFile) -> Int {
    // A batch of texts that are written is filled up only while rows are waiting.
    if case .generation = task.scorer { return 8 * batchSize }
    return batchSize
  }

  /// The rows that are not done, in runs.
  private func pending(
    _ rows: [TaskRow],
    _ done: [Int: [Int: RowOutcome]],
    size: Int
  ) -> [[PendingRow]] {
    let all = rows.flatMap { row in
      contenders.indices.filter { done[$0]?[row.number] == nil }.map {
        PendingRow(row: row, contender: $0)
      }
    }
    return stride(from: 0, to: all.count, by: size).map {
      Array(all[$0..<min($0 + size, all.count)])
    }
  }

  private func scoring(_ task: TaskFile, _ context: TaskContext) throws -> any TaskScoring {
    switch task.scorer {
    case .choice(let rule): return ChoiceScoring(rule: rule, context: context, runner: runner)
    case .perplexity(let rule):
      return PerplexityScoring(rule: rule, context: context, runner: runner)
    case .head(let rule): return try HeadScoring(rule: rule, context: context)
    case .generation(let rule):
      let batch =
        try self.batch
        ?? GenerationBatch(
          model: model,
          size: batchSize,
          precision: options.precision,
          device: device
        )
      self.batch = batch
      return GenerationScoring(rule: rule, context: context, batch: batch)
    }
  }
}

extension TaskResult {
  /// What all measures of a contender have in common.
  fileprivate struct Shared {
    var task: TaskFile
    var contender: Contender
    var count: Int
    var seconds: Double

    /// The results, that of the task's metric first.
    func results(_ measures: [Measure]) throws(ReFTError) -> [TaskResult] {
      var measures = measures
      if let metric = task.metric {
        guard let place = measures.firstIndex(where: { $0.metric == metric }) else {
          throw .unknownMetric(metric, task: task.name, known: measures.map(\.metric))
        }
        measures.insert(measures.remove(at: place), at: 0)
      }
      return measures.enumerated().map { place, measure in
        TaskResult(
          task: task.name,
          adapter: contender.name,
          metric: measure.metric,
          value: measure.value,
          standardError: measure.standardError,
          chance: measure.chance,
          count: count,
          seconds: seconds,
          isMain: place == 0
        )
      }
    }
  }
}

extension ReFTError {
  static func interruptedEvaluation(done: Int, total: Int) -> ReFTError {
    ReFTError(.interrupted, "ended after \(done) of \(total) rows")
  }

  static func unknownMetric(_ name: String, task: String, known: [String]) -> ReFTError {
    let guess = NearestName.find(name, in: known).map { " (did you mean '\($0)'?)" } ?? ""
    return ReFTError(
      .badConfiguration,
      "the task '\(task)' has no metric '\(name.shown())'\(guess); it has "
        + known.joined(separator: ", ")
    )
  }
}
