// SPDX-License-Identifier: Apache-2.0
// `reft steer sweep`: which layer, how strong, and at what cost. What it prints is in
// SteerCommand+SweepResults.

import ArgumentParser
import ReFTHost
import ReFTModel
import ReFTSteering
import ReFTTensor
import ReFTTraining

extension SteerCommand {
  struct Sweep: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Try layers and strengths of a steering vector: effect, side effects, a setting.",
      discussion: """
        The effect is measured on pairs with completions as the mean of log p(positive) - log p(negative), \
        on other texts as the projection of their final states, 0 at the negative and 1 at the positive \
        ones. Of the data that the vector was found from, the held-out part is used. Side effects are \
        the perplexity of --neutral text, the KL divergence from the frozen model there, and how much \
        replies repeat themselves.

        The output folder gets results.jsonl, report.html and, for the recommended setting, an adapter. \
        The same command goes on with a sweep that was ended. What is there and of no sweep is not replaced. \
        Of a single pair the effect has no error, and nothing is recommended.

        EXAMPLES
          reft steer sweep --model M --adapter warm --data pairs.jsonl --neutral wiki.txt --output s
          reft steer sweep --model M --adapter warm --data pairs.jsonl --neutral wiki.txt --output s \\
            --layers 8-20 --strengths -0.4,-0.2,0.2,0.4 --prompt-baseline "Be warm and friendly."
        """
    )

    @OptionGroup var model: ModelOptions
    @Option(
      help: ArgumentHelp("An adapter folder that `reft steer extract` made.", valueName: "folder")
    )
    var adapter: String
    @OptionGroup var texts: ContrastOptions
    @OptionGroup var device: DeviceOptions
    @OptionGroup var plugins: PluginOptions
    @OptionGroup var common: CommonOptions

    @Option(help: "The blocks: all that the adapter has, or numbers and ranges such as 5-20.")
    var layers = "all"
    @Option(parsing: .unconditional, help: "Strengths, in the adapter's unit, with commas between.")
    var strengths = "-0.4,-0.2,-0.1,0.1,0.2,0.4"
    @Option(help: "The tokens that stand for a text without completions: last, mean, or a rule.")
    var position = "last"
    @Option(
      help: ArgumentHelp(
        "A text that has nothing to do with the contrast, for side effects.",
        valueName: "file"
      )
    )
    var neutral: String?
    @Option(
      name: .customLong("neutral-tokens"),
      help: "How many tokens of it are used."
    )
    var neutralTokens = 512
    @Option(
      parsing: .singleValue,
      help: "What the model replies to; may be repeated. Some everyday ones by default."
    )
    var prompt: [String] = []
    @Option(name: .customLong("max-tokens"), help: "The most tokens of a reply.")
    var maxTokens = 40
    @Option(
      name: .customLong("prompt-baseline"),
      help: ArgumentHelp(
        "An instruction that asks for the same, put before each prompt: the bar to be above.",
        valueName: "text"
      )
    )
    var promptBaseline: String?
    @Option(
      name: .customLong("max-perplexity-increase"),
      help: "How much the perplexity of the recommended setting may rise, as a part of it."
    )
    var maxPerplexityIncrease = 0.1
    @Option(help: ArgumentHelp("The folder of results.", valueName: "folder"))
    var output: String
    @Flag(help: "Drop the results, report and adapter of a sweep that are there, and begin anew.")
    var restart = false
    @Option(
      name: .customLong("micro-batch-tokens"),
      help: "The most tokens of one pass: the knob of peak memory."
    )
    var microBatchTokens = 2048

    func validate() throws {
      guard neutralTokens >= 2 else {
        throw ValidationError("--neutral-tokens is \(neutralTokens); it must be 2 or more")
      }
      guard maxTokens >= 1 else {
        throw ValidationError("--max-tokens is \(maxTokens); it must be 1 or more")
      }
      guard maxPerplexityIncrease >= 0 else {
        throw ValidationError(
          "--max-perplexity-increase is \(maxPerplexityIncrease); it must be 0 or more"
        )
      }
      try PassOptions.check(microBatchTokens)
    }

    /// What is replied to when nothing else is said.
    private static let everyday = (
      chat: [
        "Tell me about your weekend.", "What did you think of the film?", "How was the dinner?",
        "Describe the city you live in.",
      ],
      plain: ["My weekend was", "The film was", "For dinner we had", "The city I live in is"]
    )

    private var prompts: [String] {
      if !prompt.isEmpty { return prompt }
      return texts.chat ? Self.everyday.chat : Self.everyday.plain
    }

    /// Makes sure that nothing is replaced but what a sweep left, before any work is done.
    private func checkOutput() throws {
      let folder = SweepFolder(output)
      guard !PluginPlaces.isSame(adapter, folder.adapter) else {
        throw ReFTError(
          .usage,
          "--output '\(output)' holds the adapter that is swept; choose another folder"
        )
      }
      try folder.checkOwnership()
    }

    func run() throws {
      try checkOutput()
      let loaded = try LoadedModel(path: model.path())
      let catalog = try plugins.catalog()
      let device = try device.open()
      let steering = try Adapter.load(path: adapter, model: loaded, catalog: catalog)
      for warning in steering.warnings { Output.note("warning: \(warning)") }
      let (contrast, part) = try heldOut(try texts.contrast(for: loaded), of: steering)
      let plan = try plan(steering, loaded)
      let sweep = try SteeringSweep(
        steering,
        contrast: contrast,
        neutral: try neutral.map { try NeutralText.read(path: $0) },
        plan: plan,
        encoder: texts.encoder(for: loaded),
        model: loaded,
        catalog: catalog,
        device: device
      )
      if sweep.effectCount < 2 { Output.note("warning: \(SteeringReport.unknownError)") }
      let store = try SweepStore(
        folder: output,
        facts: try facts(plan, loaded, part, device),
        restarts: restart
      )
      let start = ContinuousClock.now
      let results = try run(sweep, store)
      let outcome = SweepOutcome(
        folder: output,
        plan: plan,
        results: results,
        recommended: results.recommended(perplexityLimit: maxPerplexityIncrease),
        comparesCompletions: sweep.comparesCompletions,
        limit: neutral == nil ? nil : maxPerplexityIncrease,
        seconds: start.duration(to: .now) / .seconds(1)
      )
      try outcome.write(sweep, facts: reportFacts(loaded, part, contrast))
      if common.json { return try Output.json(outcome.document) }
      outcome.show()
    }

    private func run(_ sweep: SteeringSweep, _ store: SweepStore) throws -> [SteeringResult] {
      let stop = StopFlag()
      let line = ProgressLine()
      let interruption = Interruption {
        stop.set()
        Output.remark("ending after this layer; once more ends at once")
      }
      let done = store.results.count
      if done > 0 { Output.note("\(done) settings are there already; going on with the others") }
      let clock = RateClock(total: sweep.settingCount)
      defer { line.clear() }
      return try withExtendedLifetime(interruption) {
        try sweep.run(into: store, stop: stop) { count in
          line.show(clock.fields(done: count, unit: "settings"))
        }
      }
    }

    private func plan(_ steering: Adapter, _ loaded: LoadedModel) throws -> SweepPlan {
      let known = steering.specs.first?.layers ?? []
      return SweepPlan(
        layers: layers == "all" ? known : try NumberList.layers(layers, of: loaded),
        strengths: try NumberList.strengths(strengths),
        promptBaseline: promptBaseline,
        prompts: prompts,
        maxTokens: maxTokens,
        neutralTokens: neutralTokens,
        position: try ReadPosition(position),
        microBatchTokens: microBatchTokens
      )
    }

    /// The texts that the vector was not found from, where the adapter says which these are.
    private func heldOut(
      _ contrast: ContrastSet,
      of steering: Adapter
    ) throws -> (ContrastSet, part: String) {
      let record = SteeringRecord(steering)
      for file in texts.files {
        guard record.digest(of: PathParts.name(of: file)) == (try digest(file)) else {
          return (contrast, "all")
        }
      }
      guard record.heldOut > 0, record.limit == texts.limit else {
        Output.note(
          "warning: the vector was found from texts of this data; give others, or extract with "
            + "--holdout and the same --limit, to measure an effect beyond them"
        )
        return (contrast, "all, seen")
      }
      return (
        try contrast.split(heldOut: record.heldOut, seed: record.seed).heldOut, "held out"
      )
    }

    private func digest(_ file: String) throws -> String {
      "sha256:" + (try SHA256Digest.hex(ofFile: file))
    }

    // MARK: What it is of

    private func facts(
      _ plan: SweepPlan,
      _ loaded: LoadedModel,
      _ part: String,
      _ device: any ComputeDevice
    ) throws -> [String: String] {
      var facts = [
        "format": "reft-steering-sweep 1", "model": loaded.fingerprint, "part": part,
        "adapter": try digest(adapter + "/adapter_model.safetensors"),
        "adapter_config": try digest(adapter + "/adapter_config.json"),
        "prompts": plan.prompts.joined(separator: " | "), "max_tokens": String(plan.maxTokens),
        "position": plan.position.description, "chat": String(texts.chat),
        "limit": texts.limit.map(String.init) ?? "none",
        "max_length": texts.maxLength.map(String.init) ?? "none",
        "labels": (texts.positive + ["|"] + texts.negative).joined(separator: " "),
        "template": texts.template ?? "none", "truncate": String(texts.truncate),
        "prompt_baseline": promptBaseline ?? "none", "device": device.name,
      ]
      facts["data"] = try texts.files.map(digest).joined(separator: " ")
      facts["neutral"] = try neutral.map(digest) ?? "none"
      facts["neutral_tokens"] = neutral == nil ? "none" : String(plan.neutralTokens)
      return facts
    }

    private func reportFacts(
      _ loaded: LoadedModel,
      _ part: String,
      _ contrast: ContrastSet
    ) -> [(String, String)] {
      [
        ("model", loaded.configuration.name), ("adapter", PathParts.name(of: adapter)),
        ("texts", "\(contrast.count), \(part)"),
        ("neutral tokens", neutral == nil ? "none" : String(neutralTokens)),
        ("perplexity may rise by", Readable.fixed(100 * maxPerplexityIncrease, 1) + " %"),
      ]
    }
  }
}
