// SPDX-License-Identifier: Apache-2.0
// `reft score`: how well a model, with or without an adapter, predicts given rows.

import ArgumentParser
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import ReFTTraining

struct ScoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "score",
    abstract: "Mean loss of a model on the rows of a file.",
    discussion: """
      The loss is the mean over all label tokens of the file, in nats: completion tokens and an \
      end-of-sequence token after them, or all but the first token of a {"text"} row. \
      Rows with an "instruction" go through --template, by default the adapter's.

      With an adapter that has a head, or a model that has one of its own, rows are {"text","label"}, {"text","text_pair","label"}, \
      {"ids","label"}, or a table of GLUE; the loss is the mean over the rows, and the measures of \
      the head's task are told.

      EXAMPLES
        reft score --model smollm2-135m-instruct --data dev.jsonl --template chat
        reft score --model M --adapter runs/a/adapter --data dev.jsonl --json
        reft score --model M --adapter A --data d.jsonl --gradients g.safetensors
        reft score --model M --adapter runs/sst2/adapter --data SST-2/dev.tsv
      """
  )

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapterOptions: AdapterOptions
  @OptionGroup var device: DeviceOptions
  @OptionGroup var plugins: PluginOptions
  @OptionGroup var tracing: TraceOptions
  @OptionGroup var common: CommonOptions

  @Option(help: "Rows: one JSON object per line, or one JSON list.")
  var data: String

  @Option(help: "How the data is written: json or glue/…; by default by its name.")
  var format: DataFormat?

  @Option(help: "Wording around instructions: none, alpaca, chat or a format string.")
  var template: String?

  @Flag(help: "Compute in float32, without shortcuts of matrix units.")
  var exact = false

  @Flag(name: .customLong("no-eos"), help: "Leave the end-of-sequence token out of the loss.")
  var noEos = false

  @Option(
    help: ArgumentHelp(
      "Also write d loss / d parameter of every adapter tensor.",
      valueName: "out.safetensors"
    )
  )
  var gradients: String?

  @OptionGroup var pass: PassOptions

  @Option(
    name: .customLong("max-length"),
    help: ArgumentHelp(
      "Cut longer rows to so many tokens; without it a row beyond the model's context is an error.",
      valueName: "tokens"
    )
  )
  var maxLength: Int?

  private struct Document: Encodable {
    var loss: Double
    var tokens: Int
    var perplexity: Double?
    var auxiliary: Double?
    var metrics: MetricValues?
    var rows: [Score.Row]
    var grad_l2: [String: Double]?
    var trace: [TraceView.Entry]?
  }

  func validate() throws {
    if let maxLength, maxLength < 2 { throw ValidationError("--max-length must be 2 or more") }
  }

  /// The metadata that marks a file of gradients.
  private static let mark = (key: "reft", value: "gradients")

  /// Makes sure of the place of the gradients before any work is done for them.
  private func checkGradientsFile() throws {
    guard let gradients else { return }
    let files = try adapterOptions.words().flatMap {
      [$0.path + "/adapter_model.safetensors", $0.path + "/adapter_config.json"]
    }
    try ResultFile(option: "--gradients", path: gradients).check(
      inputs: [try model.path(), data] + files,
      kind: "file of gradients"
    ) { (try? Safetensors.read(path: $0))?.metadata[Self.mark.key] == Self.mark.value }
  }

  func run() throws {
    try checkGradientsFile()
    try tracing.check(inputs: [try model.path(), data], adapters: adapterOptions)
    let loaded = try LoadedModel(path: model.path())
    let adapters = try adapterOptions.load(for: loaded, catalog: try plugins.catalog())
    let rows = try rows(loaded, adapters)
    let trace = tracing.collector(adapters)
    let scorer = Scorer(
      model: loaded,
      adapters: adapters,
      microBatchTokens: pass.microBatchTokens,
      device: try device.open(),
      precision: exact ? .float32 : .int16,
      trace: trace
    )
    for warning in rows.warnings + (try scorer.check(rows, tokenizer: loaded.tokenizer)) {
      Output.note("warning: \(warning)")
    }
    let (score, norms) = try score(rows, by: scorer)
    let view = trace.map { trace in
      TraceView(trace, tokenizer: loaded.tokenizer, number: { rows.rowNumbers[$0] }) {
        rows.examples[$0].ids
      }
    }
    try tracing.show(view, json: common.json)
    if common.json { return try Output.json(document(score, norms, view)) }
    show(score, rows: rows.examples.count)
    for (name, norm) in (norms ?? [:]).sorted(by: { $0.key < $1.key }) {
      Output.line("\(name)  gradient L2 \(norm)")
    }
  }

  /// The rows of the file, worded and cut as the options say.
  private func rows(_ loaded: LoadedModel, _ adapters: AdapterStack) throws -> DataSet {
    var options = DataSet.Options()
    options.template = try template.map { try Template($0) }
    options.usualTemplate = try Template(template == nil ? adapters.template() ?? "none" : "none")
    options.appendsEndOfSequence = !noEos
    options.contextLength = loaded.configuration.contextLength
    options.maxLength = maxLength ?? .max
    options.overlong = maxLength == nil ? .error : .cut
    options.caller = .options
    options.format = format
    options.readsSources = true
    options.head = adapters.answeringHead?.spec ?? loaded.ownHead
    return try DataSet(
      path: data,
      options: options,
      coder: loaded.tokenizer,
      chatTemplate: loaded.text.chatTemplate
    )
  }

  /// Scores the rows; where gradients are wanted, writes them and gives the norm of each.
  private func score(
    _ rows: DataSet,
    by scorer: Scorer
  ) throws -> (score: Score, norms: [String: Double]?) {
    let line = ProgressLine()
    let clock = RateClock(total: rows.examples.count)
    let progress = { (done: Int) in line.show(clock.fields(done: done, unit: "rows")) }
    defer { line.clear() }
    guard let gradients else { return (try scorer.score(rows, progress: progress), nil) }
    let (score, derivatives) = try scorer.scoreWithGradients(rows, progress: progress)
    let metadata = ["format": "pt", Self.mark.key: Self.mark.value]
    try Safetensors.write(derivatives.tensors, metadata: metadata, to: gradients)
    return (score, derivatives.norms)
  }

  // MARK: What is told

  private func document(
    _ score: Score,
    _ norms: [String: Double]?,
    _ view: TraceView?
  ) -> Document {
    Document(
      loss: score.loss,
      tokens: score.tokens,
      perplexity: score.metrics == nil ? score.perplexity : nil,
      auxiliary: score.auxiliary,
      metrics: score.metrics,
      rows: score.rows,
      grad_l2: norms,
      trace: view?.entries
    )
  }

  private func show(_ score: Score, rows: Int) {
    let rows = Readable.count(rows)
    let auxiliary =
      score.auxiliary.map {
        [["auxiliary loss", "\(Readable.fixed($0, 4)) per row, weighted"]]
      } ?? []
    guard let metrics = score.metrics else {
      return Output.table(
        [
          ["loss", "\(Readable.fixed(score.loss, 4)) nats per token"],
          ["perplexity", Readable.fixed(score.perplexity, 3)],
        ] + auxiliary + [
          ["tokens", "\(Readable.count(score.tokens)) in \(rows) rows"]
        ]
      )
    }
    let measures = metrics.items.map { [$0.metric.rawValue, Readable.fixed($0.value, 4)] }
    Output.table(
      [["loss", Readable.fixed(score.loss, 4)]] + auxiliary + measures + [["rows", rows]]
    )
  }
}
