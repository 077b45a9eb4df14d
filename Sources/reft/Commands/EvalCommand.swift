// SPDX-License-Identifier: Apache-2.0
// `reft eval`: what a model, with and without adapters, is worth at tasks.

import ArgumentParser
import Foundation
import ReFTEvaluation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining

struct EvalCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "Evaluate a model, with and without adapters, on tasks.",
    discussion: """
      A task is a name that `reft task list` tells, or a YAML file, one of lm-evaluation-harness \
      too. Several adapters are asked side by side in one batch. With --output, what becomes of \
      each row is written as it is done; Ctrl-C ends after the batch, and --resume goes on.

      EXAMPLES
        reft eval --task arc_easy_cloze --data ARC-Easy/test.json --model smollm2-135m-instruct
        reft eval --task sst2 --data SST-2/dev.tsv --model M --adapter runs/sst2/adapter
        reft eval --task my.yaml --model M --adapter A --adapter B --frozen --limit 500 --json
        reft eval --task gsm8k --data test.jsonl --model M --adapter A --activations int8
        reft eval eval.yaml --output results/first
        reft eval eval.yaml --output results/first --resume
      """
  )

  @Argument(help: "A YAML file with model, adapters and tasks, in place of these options.")
  var config: String?
  @Option(parsing: .singleValue, help: "A task's name, or its YAML file; may be repeated.")
  var task: [String] = []
  @Option(
    parsing: .singleValue,
    help: "The task's rows; may be repeated, once for each task in their order."
  )
  var data: [String] = []
  @Option(
    help: ArgumentHelp(
      "A .gguf file, or the short name of one under $REFT_HOME/models.",
      valueName: "model"
    )
  )
  var model: String?
  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      "An adapter to ask, one beside the other; :0.5 lets half of its change count; may be repeated.",
      valueName: "folder[:strength]"
    )
  )
  var adapter: [String] = []
  @Flag(help: "Ask the model without an adapter too; so it is where none is named.")
  var frozen = false
  @Option(help: "Take only the first rows of each task.")
  var limit: Int?
  @Option(help: "Show so many answered rows before each.")
  var shots: Int?
  @Option(help: "Wording around prompts: none, alpaca, chat, adapter or a format string.")
  var template: String?
  @Option(name: .customLong("batch-size"), help: "How many rows are asked at once.")
  var batchSize: Int?
  @Option(
    name: .customLong("micro-batch-tokens"),
    help: "The most tokens of one pass: the knob of peak memory."
  )
  var microBatchTokens: Int?
  @Option(
    name: .customLong("max-length"),
    help: ArgumentHelp(
      "The longest sequence; longer prompts lose their beginning.",
      valueName: "tokens"
    )
  )
  var maxLength: Int?
  @Option(
    help: ArgumentHelp("A folder for each row's outputs and the results.", valueName: "folder")
  )
  var output: String?
  @Flag(help: "Go on with the evaluation in the output folder.")
  var resume = false
  @OptionGroup var precision: PrecisionOptions
  @OptionGroup var device: DeviceOptions
  @OptionGroup var plugins: PluginOptions
  @OptionGroup var common: CommonOptions

  /// The results; where there is one task and one who is asked, its own keys stand at the top too.
  private struct Document: Encodable {
    var results: [TaskResult]
    private enum Keys: String, CodingKey { case results }

    func encode(to encoder: any Encoder) throws {
      let main = results.filter(\.isMain)
      if main.count == 1 { try main[0].encode(to: encoder) }
      var container = encoder.container(keyedBy: Keys.self)
      try container.encode(results, forKey: .results)
    }
  }

  func validate() throws {
    if config == nil, model == nil || task.isEmpty {
      throw ValidationError("give a configuration, or --task and --model")
    }
    if config != nil, model != nil || !task.isEmpty || !adapter.isEmpty || !data.isEmpty {
      throw ValidationError(
        "model, adapters, tasks and data stand in the configuration; give it, or the options"
      )
    }
    if !data.isEmpty, data.count != task.count {
      throw ValidationError("\(data.count) times --data for \(task.count) tasks; give one for each")
    }
    if resume, config == nil, output == nil { throw ValidationError("--resume needs --output") }
    for (name, value, least) in [
      ("--limit", limit, 1), ("--shots", shots, 0), ("--batch-size", batchSize, 1),
      ("--max-length", maxLength, 2), ("--micro-batch-tokens", microBatchTokens, 1),
    ] {
      if let value, value < least { throw ValidationError("\(name) must be \(least) or more") }
    }
  }

  func run() throws {
    let plan = try plan()
    let tasks = try EvaluationPlan.read(plan.tasks, of: config == nil ? "--task" : "tasks")
    let names = try plan.adapterNames()
    let loaded = try LoadedModel(path: ModelLibrary().resolve(plan.model))
    let contenders = try contenders(plan, names, loaded)
    let store = try store(plan, loaded)
    let stop = StopFlag()
    let interruption = Interruption { stop.set() }
    let line = ProgressLine()
    var results: [TaskResult] = []
    try withExtendedLifetime(interruption) {
      defer { line.clear() }
      let device = try device.open()
      for (item, file) in tasks {
        var options = TaskEvaluator.Options()
        options.limit = item.limit ?? plan.limit
        options.batchSize = plan.batchSize
        options.passTokens = microBatchTokens
        options.maxLength = maxLength
        options.precision = precision.value
        let evaluator = TaskEvaluator(
          model: loaded,
          contenders: contenders,
          device: device,
          options: options
        )
        let own = try evaluate(file, item, evaluator, store, stop, line)
        results += own
        if !common.json { show(own) }
      }
    }
    try finish(results, store)
  }

  // MARK: What to do

  private func plan() throws -> EvaluationPlan {
    var plan = EvaluationPlan()
    if let config {
      plan = try EvaluationPlan.load(path: config)
    } else {
      plan.model = model ?? ""
      plan.adapters = adapter.map { EvaluationPlan.Entry(path: $0) }
      plan.tasks = task.enumerated().map { index, name in
        EvaluationPlan.Item(task: name, data: data.isEmpty ? nil : data[index])
      }
    }
    if frozen { plan.asksFrozen = true }
    plan.limit = limit ?? plan.limit
    plan.batchSize = batchSize ?? plan.batchSize
    plan.output = output ?? plan.output
    for index in plan.tasks.indices {
      plan.tasks[index].shots = shots ?? plan.tasks[index].shots
      plan.tasks[index].template = template ?? plan.tasks[index].template
    }
    return plan
  }

  private func contenders(
    _ plan: EvaluationPlan,
    _ names: [String],
    _ model: LoadedModel
  ) throws -> [Contender] {
    var contenders: [Contender] = []
    if plan.asksFrozen ?? plan.adapters.isEmpty { contenders.append(.frozen) }
    guard !plan.adapters.isEmpty else { return contenders }
    let catalog = try plugins.catalog(alsoIn: plan.pluginPaths)
    for (entry, name) in zip(plan.adapters, names) {
      let stack = try AdapterStack.load(
        try entry.words(),
        rule: entry.rule,
        model: model,
        catalog: catalog
      )
      for warning in stack.parts.flatMap(\.adapter.warnings) {
        Output.note("warning: \(name): \(warning)")
      }
      contenders.append(Contender(name: name, adapters: stack))
    }
    return contenders
  }

  private func store(_ plan: EvaluationPlan, _ model: LoadedModel) throws -> OutcomeStore? {
    guard let folder = plan.output else { return nil }
    let arithmetic = [device.device] + precision.words
    let tasks = plan.tasks.map { item in
      [
        item.task, item.limit.map { "limit \($0)" }, item.shots.map { "shots \($0)" },
        item.template.map { "template \($0)" },
      ].compactMap { $0 }.joined(separator: " ")
    }
    var facts: [String: String] = [
      "model": model.fingerprint,
      "arithmetic": arithmetic.joined(separator: " "),
      "limit": plan.limit.map(String.init) ?? "all",
      "max_length": maxLength.map(String.init) ?? "the model's",
      "tasks": tasks.joined(separator: ", "),
    ]
    for entry in plan.adapters {
      for word in try entry.words() {
        let path = word.path + "/adapter_model.safetensors"
        facts["adapter \(word.text)"] = "sha256:" + (try SHA256Digest.hex(ofFile: path))
      }
    }
    return try OutcomeStore(folder: folder, facts: facts, resumes: resume)
  }

  // MARK: Doing it

  private func evaluate(
    _ file: TaskFile,
    _ item: EvaluationPlan.Item,
    _ evaluator: TaskEvaluator,
    _ store: OutcomeStore?,
    _ stop: StopFlag,
    _ line: ProgressLine
  ) throws -> [TaskResult] {
    var clock: RateClock?
    var first = 0
    do {
      return try evaluator.evaluate(
        file,
        data: item.data,
        store: store,
        stop: stop,
        warn: { Output.note($0) },
        progress: { progress in
          if clock == nil {
            first = progress.done
            clock = RateClock(total: progress.total - first)
          }
          guard let clock else { return }
          line.show(clock.fields(done: progress.done - first, unit: "rows"))
        }
      )
    } catch let error as ReFTError where error.code == .interrupted {
      line.clear()
      guard let store else { throw error }
      throw ReFTError(
        .interrupted,
        "\(error.message); what is done is in '\(store.folder)', and the same command with --resume "
          + "goes on"
      )
    }
  }

  private func finish(_ results: [TaskResult], _ store: OutcomeStore?) throws {
    let document = Document(results: results)
    if let store {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      try AtomicFile.write(try encoder.encode(document), to: store.folder + "/results.json")
    }
    if common.json { try Output.json(document) }
  }

  private func show(_ results: [TaskResult]) {
    Output.table(
      results.map { result in
        let error = result.standardError.map { " ± \(Readable.fixed($0, 4))" } ?? ""
        let chance = result.chance.map { "chance \(Readable.fixed($0, 4))" } ?? ""
        return [
          result.isMain ? result.task : "", result.isMain ? result.adapter : "", result.metric,
          Readable.fixed(result.value, 4) + error, chance,
          result.isMain
            ? "\(Readable.count(result.count)) rows, \(Readable.duration(result.seconds))" : "",
        ]
      }
    )
  }
}
