// SPDX-License-Identifier: Apache-2.0
// Layers × strengths: what each does to held-out texts, to neutral text and to replies. All
// strengths of a layer go through the model together.

import Foundation
import ReFTGeneration
public import ReFTHost
public import ReFTModel
public import ReFTTensor
import ReFTText
public import ReFTTraining

/// What a sweep tries, and how it is measured.
public struct SweepPlan: Sendable, Equatable {
  /// The layers.
  public var layers: [Int]
  /// The strengths at each layer.
  public var strengths: [Double]
  /// An instruction that asks for the same, as the bar to be above; nil for none.
  public var promptBaseline: String?
  /// What the model replies to.
  public var prompts: [String]
  /// The most tokens of a reply.
  public var maxTokens: Int
  /// Tokens of the neutral text that are used.
  public var neutralTokens: Int
  /// The tokens that stand for a text without completions.
  public var position: ReadPosition
  /// The most tokens of one pass.
  public var microBatchTokens: Int

  /// Plans a sweep.
  public init(
    layers: [Int],
    strengths: [Double],
    promptBaseline: String? = nil,
    prompts: [String],
    maxTokens: Int = 40,
    neutralTokens: Int = 512,
    position: ReadPosition = .last,
    microBatchTokens: Int = 2048
  ) {
    self.layers = layers
    self.strengths = strengths
    self.promptBaseline = promptBaseline
    self.prompts = prompts
    self.maxTokens = maxTokens
    self.neutralTokens = neutralTokens
    self.position = position
    self.microBatchTokens = microBatchTokens
  }
}

/// Tries layers and strengths of a steering adapter.
public final class SteeringSweep {
  private let adapter: Adapter
  private let model: LoadedModel
  private let catalog: PluginCatalog
  private let plan: SweepPlan
  private let effect: EffectMeasure
  private let neutral: NeutralMeasure?
  private let replies: ReplyMeasure
  private let encoder: ContrastEncoder
  private let runtime: LazyRuntime
  /// The frozen model's lean of each pair or text, once it is known.
  private var frozenValues: [Double] = []
  private var frozenPerplexity: Double?

  /// Prepares a sweep.
  ///
  /// - Parameters:
  ///   - adapter: one intervention with a vector for each layer, such as `SteeringExtraction`
  ///     makes.
  ///   - contrast: the texts that the effect is measured on.
  ///   - neutral: a text that has nothing to do with them; nil leaves its side effects out.
  ///   - plan: what is tried.
  ///   - encoder: turns texts into tokens.
  ///   - model: the frozen model.
  ///   - catalog: where plugins are found.
  ///   - device: where the model runs.
  /// - Throws: `usage` for an adapter that is no steering vector, or lacks a layer; `badData` for a
  ///   neutral text that is too short.
  public init(
    _ adapter: Adapter,
    contrast: ContrastSet,
    neutral: String?,
    plan: SweepPlan,
    encoder: ContrastEncoder,
    model: LoadedModel,
    catalog: PluginCatalog,
    device: any ComputeDevice = ProcessorDevice.shared
  ) throws(ReFTError) {
    (self.adapter, self.model, self.catalog, self.plan) = (adapter, model, catalog, plan)
    self.encoder = encoder
    runtime = LazyRuntime(device, model.frozen, precision: .int16)
    effect = EffectMeasure(
      contrast,
      encoder: encoder,
      position: plan.position,
      model: model,
      microBatchTokens: plan.microBatchTokens
    )
    replies = ReplyMeasure(
      prompts: plan.prompts,
      maxTokens: plan.maxTokens,
      encoder: encoder,
      generator: TextGenerator(model: model, device: device)
    )
    self.neutral = try neutral.map { text throws(ReFTError) in
      try Self.measure(neutral: text, plan, model)
    }
    guard adapter.specs.count == 1 else { throw .notOneVector(adapter.specs.count) }
    for layer in plan.layers where adapter.vector(layer: layer) == nil {
      throw .layerWithoutVector(layer, adapter.specs[0])
    }
  }

  private static func measure(
    neutral: String,
    _ plan: SweepPlan,
    _ model: LoadedModel
  ) throws(ReFTError) -> NeutralMeasure {
    // A text that is much longer is not tokenised to its end.
    let start = String(neutral.prefix(32 * plan.neutralTokens))
    let measure = NeutralMeasure(
      ids: model.tokenizer.encode(start, parseSpecial: false, addBOS: false),
      limit: plan.neutralTokens,
      model: model,
      microBatchTokens: plan.microBatchTokens
    )
    guard measure.tokenCount > 0 else { throw .neutralTooShort() }
    return measure
  }

  /// Whether the effect is a difference of log-probabilities; else it is a projection.
  public var comparesCompletions: Bool { effect.comparesCompletions }

  /// How many pairs, or texts, the effect is a mean over; of one the error is unknown.
  public var effectCount: Int { effect.count }

  /// How many settings there are, those without an edit among them.
  public var settingCount: Int {
    plan.layers.count * plan.strengths.count + (plan.promptBaseline == nil ? 1 : 2)
  }

  /// Measures what is not in the store yet.
  ///
  /// - Parameters:
  ///   - store: keeps the results.
  ///   - stop: asked between layers.
  ///   - progress: receives the number of settings done.
  /// - Returns: all results, in the order of the plan.
  /// - Throws: `interrupted` when asked to stop; what model and plugins throw.
  public func run(
    into store: SweepStore,
    stop: StopFlag = StopFlag(),
    progress: (Int) -> Void = { _ in }
  ) throws -> [SteeringResult] {
    try lookAtFrozen(store)
    progress(store.results.count)
    if plan.promptBaseline != nil, store.results.result(of: .prompt) == nil {
      try checkStop(stop, store)
      try store.append(try measure([.prompt], [nil], instruction: plan.promptBaseline))
      progress(store.results.count)
    }
    for layer in plan.layers {
      let missing = plan.strengths.filter {
        store.results.result(of: .steered(layer: layer, strength: $0)) == nil
      }
      guard !missing.isEmpty else { continue }
      try checkStop(stop, store)
      var variants: [Adapter] = []
      for strength in missing { variants.append(try steered(layer: layer, strength: strength)) }
      let settings = missing.map { SteeringSetting.steered(layer: layer, strength: $0) }
      try store.append(try measure(settings, variants))
      progress(store.results.count)
    }
    return ordered(store.results)
  }

  private func ordered(_ results: [SteeringResult]) -> [SteeringResult] {
    let steered = plan.layers.flatMap { layer in
      plan.strengths.map { SteeringSetting.steered(layer: layer, strength: $0) }
    }
    return ([.frozen, .prompt] + steered).compactMap { results.result(of: $0) }
  }

  private func checkStop(_ stop: StopFlag, _ store: SweepStore) throws(ReFTError) {
    guard stop.isSet else { return }
    throw .sweepInterrupted(done: store.results.count, of: settingCount)
  }

  /// The edit of one layer, at a strength.
  ///
  /// - Throws: `usage` for a layer without a vector; what making an adapter throws.
  public func steered(layer: Int, strength: Double) throws(ReFTError) -> Adapter {
    var spec = adapter.specs[0]
    guard let vector = adapter.vector(layer: layer) else {
      throw .layerWithoutVector(layer, spec)
    }
    spec.layers = [layer]
    spec.options["alpha"] = .float(strength)
    let made = try Adapter.create(specs: [spec], model: model, catalog: catalog, seed: 0)
    try made.setVector(vector, layer: layer)
    made.trainingInfo = adapter.trainingInfo
    return made
  }

  // MARK: Measuring

  /// What the frozen model does, which all others are compared with.
  private func lookAtFrozen(_ store: SweepStore) throws {
    let runtime = try runtime.get()
    frozenValues = try effect.values([nil], runtime)[0]
    if let known = store.results.result(of: .frozen) {
      frozenPerplexity = known.perplexity
      return
    }
    frozenPerplexity = try neutral?.outcomes([nil], runtime)[0].perplexity
    try store.append(try measure([.frozen], [nil]))
  }

  private func measure(
    _ settings: [SteeringSetting],
    _ variants: [Adapter?],
    instruction: String? = nil
  ) throws -> [SteeringResult] {
    let runtime = try runtime.get()
    let values =
      settings == [.frozen]
      ? [frozenValues] : try effect.values(variants, instruction: instruction, runtime)
    let before = instruction.map { encoder.ids(ofText: $0 + "\n\n") } ?? []
    let neutral = try neutral?.outcomes(variants, instruction: before, runtime)
    let replies = try replies.outcomes(variants, instruction: instruction)
    return settings.indices.map { index in
      let changes = zip(values[index], frozenValues).map { $0 - $1 }
      let outcome = neutral?[index]
      return SteeringResult(
        setting: settings[index],
        score: Self.mean(values[index]),
        effect: Self.mean(changes),
        effectError: Self.standardError(changes),
        perplexity: outcome?.perplexity,
        perplexityIncrease: outcome.flatMap { outcome in
          frozenPerplexity.map { outcome.perplexity / $0 - 1 }
        },
        divergence: outcome?.divergence,
        repetition: replies[index].repetition,
        replies: replies[index].replies
      )
    }
  }

  private static func mean(_ values: [Double]) -> Double {
    values.reduce(0, +) / Double(max(1, values.count))
  }

  private static func standardError(_ values: [Double]) -> Double? {
    guard values.count > 1 else { return nil }
    let mean = mean(values)
    let square = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (square / Double(values.count - 1) / Double(values.count)).squareRoot()
  }
}

extension ReFTError {
  fileprivate static func neutralTooShort() -> ReFTError {
    ReFTError(
      .badData,
      "the text of --neutral has no two tokens, so that nothing can be predicted; give more text"
    )
  }

  fileprivate static func notOneVector(_ count: Int) -> ReFTError {
    ReFTError(
      .usage,
      "the adapter has \(count) interventions; a sweep takes one steering vector, as `reft steer "
        + "extract` makes"
    )
  }

  fileprivate static func layerWithoutVector(
    _ layer: Int,
    _ spec: InterventionSpec
  ) -> ReFTError {
    ReFTError(
      .usage,
      "the adapter's plugin '\(spec.plugin)' has no vector at layer \(layer); it edits "
        + spec.layers.map(String.init).joined(separator: ", ")
        + "; name such --layers, or extract more"
    )
  }

  fileprivate static func sweepInterrupted(done: Int, of count: Int) -> ReFTError {
    ReFTError(
      .interrupted,
      "interrupted; \(done) of \(count) settings are saved, and the same command goes on from there"
    )
  }
}
