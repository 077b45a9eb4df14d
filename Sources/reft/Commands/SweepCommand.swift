// SPDX-License-Identifier: Apache-2.0
// `reft sweep`: many runs that differ in a few values, and one table.

import ArgumentParser
import Foundation
import ReFTEvaluation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining

struct SweepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep",
    abstract: "Train many runs that differ in a few values, and compare them.",
    discussion: """
      The sweep file names a configuration (base) and what varies: grid, random, seeds, and variants \
      that replace whole sections. The table has mean and deviation over the seeds, the best first; \
      it is printed, and lies in the sweep's folder as table.md and results.jsonl. The same command \
      goes on with an interrupted sweep, skips finished runs, and tries failed ones again.

      The exit code is 0 when every run is finished, else that of the first failure.

      EXAMPLES
        reft sweep rank.yaml --dry-run
        reft sweep rank.yaml
        reft sweep rank.yaml --set train.max_steps=20 --output sweeps/quick --json
        reft report sweeps/rank
      """
  )

  @Argument(help: "The YAML file of the sweep.")
  var sweep: String
  @Option(
    name: .customLong("set"),
    parsing: .singleValue,
    help: ArgumentHelp("Override one value of every run; may be repeated.", valueName: "a.b=c")
  )
  var overrides: [String] = []
  @Option(help: "The sweep's folder, in place of the file's.")
  var output: String?
  @Flag(name: .customLong("dry-run"), help: "Check the runs, and list what is done of them.")
  var dryRun = false
  @Flag(help: "Make finished runs anew.")
  var overwrite = false
  @OptionGroup var device: DeviceOptions
  @Flag(help: "Compute in float32, without shortcuts of matrix units.")
  var exact = false
  @OptionGroup var plugins: PluginOptions
  @OptionGroup var common: CommonOptions

  private struct Document: Encodable {
    var folder: String
    var metric: OrNull<String>
    var table: [SweepTable.Row]
    var runs: [SweepResult]
    /// Runs that took over what an earlier one had computed of the frozen blocks.
    var shared_activations: Int
  }

  private struct DryRun: Encodable {
    struct Run: Encodable {
      var name: String
      var state: SweepRunner.State
      var settings: [TrainingSweep.Setting]
      var seed: OrNull<UInt64>
    }
    var folder: String
    var runs: [Run]
  }

  func run() throws {
    let plan = try TrainingSweep.load(path: sweep, overrides: overrides, output: output)
    let stop = StopFlag()
    let runner = try SweepRunner(plan, means: try means(plan, stop))
    if dryRun { return try list(plan, runner.check(overwrites: overwrite)) }
    let view = SweepView(count: plan.runs.count)
    let results = try {
      defer { view.end() }
      return try runner.run(overwrites: overwrite, stop: stop, observer: view.show)
    }()
    let table = SweepTable(results, metric: plan.metric)
    if common.json {
      try Output.json(
        Document(
          folder: plan.output,
          metric: OrNull(table.metric),
          table: table.rows,
          runs: results,
          shared_activations: runner.reuses
        )
      )
    } else {
      Output.table(table.cells)
      Output.line("\ntable and results: \(plan.output)")
    }
    try checkMetric(plan, table)
    try checkFailures(results)
  }

  private func means(_ plan: TrainingSweep, _ stop: StopFlag) throws -> SweepMeans {
    let device = try device.open()
    let precision: DecodePrecision = exact ? .float32 : .int16
    var tellsRefusals = true
    let catalog = { (configuration: RunConfiguration) in
      defer { tellsRefusals = false }
      return try plugins.catalog(
        alsoIn: configuration.pluginPaths,
        tellsRefusals: tellsRefusals
      )
    }
    let evaluation = try SweepEvaluation(
      plan,
      catalog: catalog,
      device: device,
      precision: precision
    )
    return SweepMeans(
      open: { try LoadedModel(path: ModelLibrary().resolve($0)) },
      catalog: catalog,
      device: device,
      precision: precision,
      train: { [resumeCommand] trainer, mode, observer in
        try GuardedTraining.run(
          trainer,
          mode: mode,
          resumeCommand: resumeCommand,
          stop: stop,
          observer: observer
        )
      },
      judge: { configuration, model in
        try TaskJudge(
          configuration.train.validate,
          model: model,
          device: device,
          precision: precision
        )
      },
      evaluate: evaluation.measures,
      measures: evaluation.names
    )
  }

  /// What the user types to go on; the same command does.
  private var resumeCommand: String {
    var words = ["reft", "sweep", sweep]
    for override in overrides { words += ["--set", override] }
    if let output { words += ["--output", output] }
    words += device.words + (exact ? ["--exact"] : []) + plugins.words
    return words.map(Readable.word).joined(separator: " ")
  }

  private func list(_ plan: TrainingSweep, _ states: [SweepRunner.State]) throws {
    guard !common.json else {
      let runs = zip(plan.runs, states).map { run, state in
        DryRun.Run(name: run.name, state: state, settings: run.settings, seed: OrNull(run.seed))
      }
      return try Output.json(DryRun(folder: plan.output, runs: runs))
    }
    Output.table(zip(plan.runs, states).map { [$0.name, $1.rawValue] })
    let left = states.count { $0 != .finished }
    Output.line("\n\(plan.runs.count) runs in \(plan.output), \(left) of them to do")
  }

  private func checkMetric(_ plan: TrainingSweep, _ table: SweepTable) throws {
    guard let metric = plan.metric, table.metric != nil, table.metric != metric else { return }
    throw ReFTError(
      .badConfiguration,
      "\(plan.path): 'metric' is '\(metric)', which no run measures; they have "
        + table.metrics.joined(separator: ", ")
    )
  }

  private func checkFailures(_ results: [SweepResult]) throws {
    let failed = results.filter { $0.status == .failed }
    guard let first = failed.first else { return }
    throw ReFTError(
      first.code ?? .internalFault,
      "\(failed.count) of \(results.count) runs failed; the first, \(first.name): "
        + "\(first.error ?? "no reason"); the same command tries them again"
    )
  }
}

/// Shows a sweep while it goes on: a line on the terminal, and a note for each run.
private final class SweepView {
  private let line = ProgressLine()
  private let count: Int
  private let start = ContinuousClock.now
  /// Runs that this process has trained, and those that are behind it.
  private var (trained, done) = (0, 0)
  private var totalSteps = 0
  private var told: Set<String> = []

  init(count: Int) { self.count = count }

  func show(_ event: SweepEvent) {
    switch event {
    case .began(let index, let run): note("run \(index + 1)/\(count): \(run.name)")
    case .evaluating(_, let run): note("evaluating \(run.name)")
    case .training(_, .prepared(let plan)): totalSteps = plan.totalSteps
    case .training(_, .warning(let text)):
      // Of equal data every run has the same to say.
      if told.insert(text).inserted { note("warning: \(text)") }
    case .training(let index, .step(let record, let remaining)):
      line.show(fields(index, record, remaining: remaining))
    case .training: break
    case .ended(_, let result, let isOld):
      done += 1
      guard !isOld else { return }
      trained += 1
      note(ending(result))
    }
  }

  private func ending(_ result: SweepResult) -> String {
    guard result.status == .finished else { return "failed: \(result.error ?? "no reason")" }
    let metrics = result.metrics.sorted { $0.key < $1.key }
      .map { "\($0.key) \(Readable.fixed($0.value, 4))" }
    return "finished: " + metrics.joined(separator: ", ")
  }

  private func fields(_ index: Int, _ record: StepRecord, remaining: Double) -> ProgressFields {
    let part = Double(record.step) / Double(max(1, totalSteps))
    return ProgressFields(
      fraction: (Double(done) + part) / Double(count),
      fields: [
        .init(text: "run \(index + 1)/\(count)", rank: 0),
        .init(text: "step \(record.step)/\(totalSteps)", rank: 2),
        .init(text: "loss \(Readable.fixed(record.loss, 4))", rank: 3),
        .init(text: "\(Readable.fixed(record.tokensPerSecond, 0)) tokens/s", rank: 4),
        .init(text: "\(Readable.duration(left(part, remaining: remaining))) left", rank: 1),
      ]
    )
  }

  /// The pace of the runs so far, this one as if it were over, for those that are left.
  private func left(_ part: Double, remaining: Double) -> Double {
    let elapsed = (ContinuousClock.now - start) / .seconds(1)
    let each = (elapsed + remaining) / Double(trained + 1)
    return remaining + each * Double(count - done - 1)
  }

  func end() { line.clear() }

  private func note(_ text: String) {
    line.clear()
    Output.note(text)
  }
}
