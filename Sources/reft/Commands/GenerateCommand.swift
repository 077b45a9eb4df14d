// SPDX-License-Identifier: Apache-2.0
// `reft generate`: texts from prompts.

import ArgumentParser
import ReFTGeneration
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import ReFTTraining

struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Generate text with a model, with or without an adapter.",
    discussion: """
      --prompt is taken as it is, --chat goes through the model's chat template, --instruction \
      through the adapter's template or --template. --input takes one JSON object per line, or \
      one JSON list, with "prompt", "chat", "instruction", "messages" or "ids"; a "source_prompt" or \
      "subspace" there goes before the option.

      EXAMPLES
        reft generate --model smollm2-135m-instruct --chat "Name three fruits."
        reft generate --model M --adapter A --instruction "Name three fruits."
        reft generate --model M --adapter A --adapter B:0.5 --prompt "Once"
        reft generate --model M --input prompts.jsonl --batch-size 8 --json
      """
  )

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapterOptions: AdapterOptions
  @OptionGroup var device: DeviceOptions
  @OptionGroup var sampling: SamplingArguments
  @OptionGroup var precision: PrecisionOptions
  @OptionGroup var subspaces: SubspaceOptions
  @OptionGroup var plugins: PluginOptions
  @OptionGroup var tracing: TraceOptions
  @OptionGroup var common: CommonOptions

  @Option(help: "A text to go on with, taken as it is.")
  var prompt: String?
  @Option(help: "A user's message, through the model's chat template.")
  var chat: String?
  @Option(help: "An instruction, through the adapter's template.")
  var instruction: String?
  @Option(
    name: .customLong("source-prompt"),
    help: "A prompt whose hidden states the adapter's plugins take, worded as the prompt is."
  )
  var sourcePrompt: String?
  @Option(help: "A file of prompts: one JSON object per line, or one JSON list.")
  var input: String?
  @Option(help: "Wording around instructions: none, alpaca, chat or a format string.")
  var template: String?
  @Option(name: .customLong("batch-size"), help: "How many texts are generated at once.")
  var batchSize = 1

  private struct Document: Encodable {
    var results: [GenerationResult]
    var plugin_shares: [String: Double]?
    var trace: [TraceView.Entry]?
  }

  /// A result with shares and trace beside its own keys.
  private struct SharedResult: Encodable {
    var result: GenerationResult
    var shares: [String: Double]?
    var trace: [TraceView.Entry]?
    private enum Keys: String, CodingKey { case plugin_shares, trace }

    func encode(to encoder: any Encoder) throws {
      try result.encode(to: encoder)
      var container = encoder.container(keyedBy: Keys.self)
      try container.encodeIfPresent(shares, forKey: .plugin_shares)
      try container.encodeIfPresent(trace, forKey: .trace)
    }
  }

  func validate() throws {
    let given = [prompt, chat, instruction, input].compactMap { $0 }.count
    if given != 1 {
      throw ValidationError(
        "give exactly one of --prompt, --chat, --instruction and --input, found \(given)"
      )
    }
    if template != nil, instruction == nil, input == nil {
      throw ValidationError(
        "--template words an --instruction or the rows of an --input, and neither is given"
      )
    }
    if batchSize < 1 { throw ValidationError("--batch-size must be 1 or more") }
  }

  func run() throws {
    _ = try sampling.options()
    sampling.tellIgnored()
    try subspaces.check(adapterOptions)
    try tracing.check(
      inputs: [try model.path()] + [input].compactMap { $0 },
      adapters: adapterOptions
    )
    let generator = try TextGenerator(path: model.path(), device: device.open())
    let adapters = try adapterOptions.load(for: generator.model, catalog: try plugins.catalog())
    let sourceIds = try source(generator.model, adapters)
    let requests = try prompts(generator.model, adapters).map { row in
      var request = try sampling.request(row.prompt, adapters: adapters)
      request.sourcePrompt = row.source ?? sourceIds
      request.subspace = row.subspace ?? subspaces.subspace
      guard let place = row.place else { return request }
      do throws(ReFTError) {
        try generator.check(request)
      } catch {
        throw error.at(place)
      }
      return request
    }
    let trace = tracing.collector(adapters)
    func view(_ results: [GenerationResult]) -> TraceView? {
      trace.map { trace in
        TraceView(trace, tokenizer: generator.model.tokenizer) { number in
          results.indices.contains(number) ? results[number].promptIds + results[number].ids : []
        }
      }
    }
    let start = ContinuousClock.now
    func shares() -> [String: Double]? {
      adapters.isEmpty
        ? nil : adapters.pluginShares(seconds: start.duration(to: .now) / .seconds(1))
    }
    if common.json {
      let results = try generate(generator, requests, trace: trace)
      try tellUntouched(results, adapters, generator.model)
      let traced = view(results)
      try tracing.show(traced, json: true)
      if input != nil {
        return try Output.json(
          Document(results: results, plugin_shares: shares(), trace: traced?.entries)
        )
      }
      return try Output.json(
        SharedResult(result: results[0], shares: shares(), trace: traced?.entries)
      )
    }
    let results: [GenerationResult]
    if input == nil {
      results = try stream(generator, requests, trace: trace)
    } else {
      results = try generate(generator, requests, trace: trace) { index, result in
        Output.piece("[\(index)] \(result.text)\n")
      }
    }
    try tellUntouched(results, adapters, generator.model)
    try tracing.show(view(results), json: false)
    for line in Readable.shares(shares() ?? [:]) { Output.note(line) }
  }

  private func words(_ model: LoadedModel, _ adapters: AdapterStack) throws -> PromptEncoder {
    PromptEncoder(
      model.text,
      template: try template.map { try Template($0) },
      usual: try Template(template == nil ? adapters.template() ?? "none" : "none")
    )
  }

  private func prompts(
    _ model: LoadedModel,
    _ adapters: AdapterStack
  ) throws -> [PromptFile.Row] {
    let encoder = try words(model, adapters)
    if let input {
      return try PromptFile.read(
        path: input,
        words: encoder,
        readsSources: adapters.needsCounterpart
      ) { Output.note("warning: \($0)") }
    }
    let text = worded(prompt ?? chat ?? instruction ?? "")
    return [PromptFile.Row(prompt: .ids(try encoder.ids(of: text)))]
  }

  /// The source prompt, which must be one that a plugin of the adapter takes rows of.
  private func source(
    _ model: LoadedModel,
    _ adapters: AdapterStack
  ) throws -> GenerationRequest.Prompt? {
    guard let sourcePrompt else { return nil }
    guard adapters.needsCounterpart else {
      throw ReFTError(
        .usage,
        "--source-prompt is given, and no plugin of the adapter takes rows of one; leave it out, or name "
          + "an adapter of such a plugin, as 'das' is"
      )
    }
    return .ids(try words(model, adapters).ids(of: worded(sourcePrompt)))
  }

  /// A text as the one prompt is worded; as it is, beside a file of prompts.
  private func worded(_ text: String) -> GenerationRequest.Prompt {
    if chat != nil { return .chat([ChatMessage(role: "user", content: text)]) }
    return instruction == nil ? .text(text) : .instruction(text, input: "")
  }

  /// Generates all texts; `show` gets those that there are at the end, also when one failed.
  private func generate(
    _ generator: TextGenerator,
    _ requests: [GenerationRequest],
    trace: EditTrace?,
    show: (Int, GenerationResult) -> Void = { _, _ in }
  ) throws -> [GenerationResult] {
    let line = ProgressLine()
    let clock = RateClock(total: requests.count)
    var results: [Int: GenerationResult] = [:]
    defer {
      line.clear()
      for (number, result) in results.sorted(by: { $0.key < $1.key }) { show(number, result) }
    }
    return try generator.generate(
      requests,
      batchSize: batchSize,
      precision: precision.value,
      trace: trace
    ) { event in
      if case .finished(let number, let result) = event { results[number] = result }
      line.show(clock.fields(done: results.count, unit: "texts"))
    }
  }

  /// Tells of prompts that the adapter's positions leave alone.
  private func tellUntouched(
    _ results: [GenerationResult],
    _ adapters: AdapterStack,
    _ model: LoadedModel
  ) throws {
    let rules = adapters.specs.map(\.positions).filter { !$0.editsDecodedTokens }
    for (index, rule) in rules.enumerated() where !rules[..<index].contains(rule) {
      let alone = try results.indices.filter { index in
        let ids = results[index].promptIds
        guard rule.looksForTokens else { return rule.editsNothing(promptLength: ids.count) }
        return try rule.rows(
          promptLength: ids.count,
          tokens: ids[...],
          tokenizer: model.tokenizer
        ).isEmpty
      }
      guard let first = alone.first else { continue }
      Output.note(
        "warning: positions '\(rule)' of the adapter edit no token of \(alone.count) of "
          + "\(results.count) prompts; the first, prompt \(first), has "
          + "\(results[first].promptIds.count) tokens"
      )
    }
  }

  private func stream(
    _ generator: TextGenerator,
    _ requests: [GenerationRequest],
    trace: EditTrace?
  ) throws -> [GenerationResult] {
    let results = try generator.generate(
      requests,
      precision: precision.value,
      trace: trace
    ) { event in
      if case .text(_, let piece) = event { Output.piece(piece) }
    }
    Output.line()
    let timings = results[0].timings
    Output.remark(
      "prompt: \(timings.promptTokens) tokens, \(Readable.fixed(timings.promptTokensPerSecond, 0)) "
        + "tokens/s; reply: \(timings.tokens) tokens, "
        + "\(Readable.fixed(timings.tokensPerSecond, 0)) tokens/s"
    )
    return results
  }
}
