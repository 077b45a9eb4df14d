// SPDX-License-Identifier: Apache-2.0
// `reft train`: from a configuration to an adapter.

import ArgumentParser
import Foundation
import ReFTEvaluation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train an adapter as a configuration says.",
    discussion: """
      Paths in the configuration are relative to its file. Ctrl-C saves and says how to go on; \
      --resume goes on bit for bit from the last checkpoint, also after a kill.

      EXAMPLES
        reft train run.yaml
        reft train run.yaml --set train.epochs=1 --set interventions.0.options.rank=8
        reft train run.yaml --output runs/second --json
        reft train run.yaml --resume
        reft train run.yaml --device cuda
      """
  )

  @Argument(help: "The YAML file of the run.")
  var config: String
  @Option(
    name: .customLong("set"),
    parsing: .singleValue,
    help: ArgumentHelp("Override one value; may be repeated.", valueName: "a.b=c")
  )
  var overrides: [String] = []
  @Option(help: "The run folder, in place of the configuration's.")
  var output: String?
  @Flag(help: "Go on from the last checkpoint of the run folder.")
  var resume = false
  @Flag(
    name: .customLong("other-build"),
    help: "With --resume: go on with another build of a plugin, such as a mended one."
  )
  var otherBuild = false
  @Flag(help: "Remove what the run folder holds, and start.")
  var overwrite = false
  @OptionGroup var device: DeviceOptions
  @Flag(help: "Compute in float32, without shortcuts of matrix units.")
  var exact = false
  @OptionGroup var plugins: PluginOptions
  @OptionGroup var common: CommonOptions

  private struct Document: Encodable {
    var steps: Int
    var loss: Double
    /// There for plugins with an auxiliary loss alone.
    var auxiliary: Double?
    var best_loss: OrNull<Double>
    var best_metric: OrNull<[String: Double]>
    var seconds: Double
    var tokens_per_second: Double
    var peak_rss_bytes: Int
    var adapter: String
    var trainable_parameters: Int
    var plugin_shares: [String: Double]
    /// There for a card alone.
    var edits_on_device: Int?
    var edits_on_host: Int?
    var peak_device_bytes: Int?
    var changes: [Change]
  }

  /// What the trained edits change at one site, as parts of the rows' lengths.
  private struct Change: Encodable {
    var block: Int
    var component: String
    var tokens: Int
    var mean: Double
    var largest: Double
  }

  func validate() throws {
    if otherBuild, !resume { throw ValidationError("--other-build needs --resume") }
    if resume, overwrite { throw ValidationError("give --resume or --overwrite, not both") }
  }

  func run() throws {
    var configuration = try RunConfiguration.load(path: config, overrides: overrides)
    if let output { configuration.output = URL(fileURLWithPath: output).standardizedFileURL.path }
    let model = try LoadedModel(path: ModelLibrary().resolve(configuration.model))
    let catalog = try plugins.catalog(alsoIn: configuration.pluginPaths)
    let place = try device.open()
    let precision: DecodePrecision = exact ? .float32 : .int16
    let trainer = Trainer(
      configuration: configuration,
      model: model,
      catalog: catalog,
      device: place,
      precision: precision,
      judge: try TaskJudge(
        configuration.train.validate,
        model: model,
        device: place,
        precision: precision
      )
    )
    let view = TrainingView()
    let summary = try {
      defer { view.end() }
      do {
        return try GuardedTraining.run(
          trainer,
          mode: mode,
          resumeCommand: resumeCommand,
          observer: view.show
        )
      } catch let error as ReFTError where error.code != .interrupted {
        view.tellWhatIsSaved(resumeCommand)
        throw error
      }
    }()
    if common.json { return try Output.json(document(summary, place)) }
    show(summary, place)
  }

  private var mode: Trainer.Mode {
    if resume { return otherBuild ? .resumeWithOtherBuilds : .resume }
    return overwrite ? .overwrite : .fresh
  }

  /// What the user types to go on after Ctrl-C.
  private var resumeCommand: String {
    var words = ["reft", "train", config]
    for override in overrides { words += ["--set", override] }
    if let output { words += ["--output", output] }
    words += device.words + (exact ? ["--exact"] : [])
    return (words + plugins.words + ["--resume"]).map(Readable.word).joined(separator: " ")
  }

  private func document(_ summary: TrainingSummary, _ device: any ComputeDevice) -> Document {
    Document(
      steps: summary.steps,
      loss: summary.loss,
      auxiliary: summary.auxiliary,
      best_loss: OrNull(summary.bestLoss),
      best_metric: OrNull(summary.bestMeasure.map { [summary.metricName: $0] }),
      seconds: summary.seconds,
      tokens_per_second: summary.tokensPerSecond,
      peak_rss_bytes: summary.peakRssBytes,
      adapter: summary.adapter,
      trainable_parameters: summary.trainableParameters,
      plugin_shares: summary.pluginShares,
      edits_on_device: summary.editPlaces?.onDevice,
      edits_on_host: summary.editPlaces?.onHost,
      peak_device_bytes: device.peakMemory,
      changes: summary.changes.map {
        Change(
          block: $0.site.block,
          component: $0.site.component.rawValue,
          tokens: $0.tokens,
          mean: $0.mean,
          largest: $0.largest
        )
      }
    )
  }

  private func show(_ summary: TrainingSummary, _ device: any ComputeDevice) {
    let place = summary.bestStep.map { " at step \($0)" } ?? ""
    let best = (summary.bestMeasure ?? summary.bestLoss).map { Readable.fixed($0, 4) + place }
    let name =
      summary.bestMeasure == nil
      ? "lowest validation loss" : "best validation \(summary.metricName)"
    let card = device.peakMemory.map { [["peak memory of the card", Readable.bytes($0)]] } ?? []
    let auxiliary =
      summary.auxiliary.map { [["auxiliary loss there", Readable.fixed($0, 4)]] } ?? []
    Output.table(
      [
        ["adapter", summary.adapter],
        ["steps", "\(summary.steps) in \(Readable.duration(summary.seconds))"],
        ["loss of the last epoch", Readable.fixed(summary.loss, 4)],
      ] + auxiliary + [
        [name, best ?? "no validation rows"],
        ["rate", "\(Readable.fixed(summary.tokensPerSecond, 1)) tokens/s"],
        ["trainable parameters", Readable.count(summary.trainableParameters)],
        ["peak memory", Readable.bytes(summary.peakRssBytes)],
      ] + card
    )
    if let largest = summary.changes.max(by: { $0.mean < $1.mean }) {
      let mean = summary.changes.reduce(0) { $0 + $1.mean } / Double(summary.changes.count)
      Output.line(
        "edits change rows by \(Readable.fixed(100 * mean, 1)) % of their length on average, most at the "
          + "\(largest.site): \(Readable.fixed(100 * largest.mean, 1)) %"
      )
    }
    for line in Readable.shares(summary.pluginShares) { Output.line(line) }
    if let places = summary.editPlaces {
      Output.line("edits of a pass: \(places.onDevice) on the card, \(places.onHost) here")
    }
  }
}

/// Shows a run while it goes on: a line on the terminal, and notes that stay.
private final class TrainingView {
  private let line = ProgressLine()
  private var totalSteps = 0
  private var savedStep: Int?
  /// The usual measure of the last validation, as the line shows it.
  private var measure: String?

  func show(_ event: TrainingEvent) {
    switch event {
    case .prepared(let plan):
      totalSteps = plan.totalSteps
      note(
        "\(Readable.count(plan.training.rows)) rows, \(Readable.count(plan.training.tokens)) tokens; "
          + "\(Readable.count(plan.trainableParameters)) trainable parameters; "
          + "\(plan.totalSteps) steps"
          + (plan.doneSteps > 0 ? ", \(plan.doneSteps) of them done" : "")
      )
    case .step(let record, let remaining):
      line.show(fields(record, remaining: remaining))
    case .validated(let step, let loss, let auxiliary, let metrics, let isBest):
      measure = metrics.items.first.map {
        "\($0.metric.rawValue) \(Readable.fixed($0.value, 4))"
      }
      let text =
        "step \(step): validation loss \(Readable.fixed(loss, 4))"
        + (auxiliary.map { ", auxiliary \(Readable.fixed($0, 4))" } ?? "")
      guard !metrics.items.isEmpty else { return note(text + (isBest ? ", the lowest" : "")) }
      note("\(text), \(metrics.description)" + (isBest ? ", the best" : ""))
    case .judged(let step, let measures, let isBest):
      let values = measures.map { measure in
        let error = measure.standardError.map { " ± \(Readable.fixed($0, 4))" } ?? ""
        return "\(measure.name) \(Readable.fixed(measure.value, 4))\(error)"
      }
      note("step \(step): \(values.joined(separator: ", "))" + (isBest ? ", the best" : ""))
    case .endedEarly(let step, let validations):
      note("ended at step \(step): \(validations) validations without a better one")
    case .saved(let step, _): savedStep = step
    case .warning(let text): note("warning: \(text)")
    }
  }

  private func fields(_ record: StepRecord, remaining: Double) -> ProgressFields {
    let measure = measure.map { [ProgressFields.Field(text: $0, rank: 2)] } ?? []
    let auxiliary =
      record.auxiliary.map {
        [ProgressFields.Field(text: "auxiliary \(Readable.fixed($0, 4))", rank: 4)]
      } ?? []
    return ProgressFields(
      fraction: Double(record.step) / Double(max(1, totalSteps)),
      fields: [
        .init(text: "step \(record.step)/\(totalSteps)", rank: 0),
        .init(text: "epoch \(Readable.fixed(record.epoch, 2))", rank: 5),
        .init(text: "loss \(Readable.fixed(record.loss, 4))", rank: 2),
      ] + auxiliary + measure + [
        .init(text: "rate \(String(format: "%.3g", record.learningRate))", rank: 6),
        .init(text: "\(Readable.fixed(record.tokensPerSecond, 0)) tokens/s", rank: 3),
        .init(text: Readable.bytes(Machine.residentByteCount), rank: 4),
        .init(text: "\(Readable.duration(remaining)) left", rank: 1),
      ]
    )
  }

  func end() { line.clear() }

  /// After an error, what of the run is on the disk and how to go on from there.
  func tellWhatIsSaved(_ command: String) {
    guard let savedStep else { return }
    note(
      "the run is saved as of step \(savedStep); once the cause is gone, `\(command)` goes on "
        + "(with --other-build where a plugin was mended)"
    )
  }

  private func note(_ text: String) {
    line.clear()
    Output.note(text)
  }
}
