// SPDX-License-Identifier: Apache-2.0
// How fast one optimiser step's passes are, with an edit through a plugin at chosen layers.

import Foundation
public import ReFTHost
public import ReFTModel
public import ReFTTensor
import ReFTTraining

/// Measures training with a model on this machine.
public struct TrainingBenchmark {
  /// What is measured.
  public struct Options: Sendable {
    /// Sequences of a step.
    public var sequences = 8
    /// Tokens of a sequence; the first half is the prompt.
    public var tokens = 256
    /// The plugin that edits.
    public var plugin = "loreft"
    /// Its rank.
    public var rank = 4
    /// The edited layers; nil edits all.
    public var layers: [Int]?
    /// The edited tokens of the prompt.
    public var positions = PositionRule(.ends(first: 7, last: 7))
    /// How many steps are measured.
    public var steps = 3
    /// Where the model runs; nil for the processor.
    public var device: (any ComputeDevice)?
    /// `float32` asks the device for float32 arithmetic.
    public var precision = DecodePrecision.int16
    /// Whether the plugin's own functions edit even where the device could.
    public var editsOnHost = false

    /// The defaults: eight sequences of 256 tokens, LoReFT of rank 4 at all layers.
    public init() {}
  }

  /// A measured rate.
  public struct Result: Sendable {
    /// Tokens of one step.
    public var tokens: Int
    /// Label rows of one step.
    public var labels: Int
    /// Trainable numbers.
    public var parameters: Int
    /// The median seconds of a step.
    public var seconds: Double
    /// Tokens per second of the median step.
    public var tokensPerSecond: Double
    /// Floating-point operations per second, by the model's shape.
    public var flops: Double
    /// The part of a step's time that is spent in each plugin.
    public var pluginShare: [String: Double]
    /// Where the time of one more step went; nil where the device does not say.
    public var profile: WorkProfile?
  }

  private let model: LoadedModel
  private let catalog: PluginCatalog
  private let pool: ThreadPool

  /// Prepares measurements of a model with the plugins of a catalogue.
  ///
  /// - Parameters:
  ///   - model: the model.
  ///   - catalog: where the plugins of the edits are looked for.
  ///   - pool: the threads that do the work.
  public init(model: LoadedModel, catalog: PluginCatalog, pool: ThreadPool = .shared) {
    (self.model, self.catalog, self.pool) = (model, catalog, pool)
  }

  /// Measures forward and backward passes.
  ///
  /// - Throws: what the adapter or the passes throw for layers, ranks or lengths that do not fit.
  public func run(_ options: Options = Options()) throws -> Result {
    let adapter = try adapter(options)
    let gradients = adapter.parameters.makeGradients()
    let pass: any DeviceRuntime =
      try options.device?.makeRuntime(model.frozen, for: .batches, precision: options.precision)
      ?? ModelRuntime(model: model.frozen, pool: pool)
    let (batch, edits) = batch(options, adapter: adapter)
    let run = { (step: Int) in
      let session = try EditSession(
        edits,
        mode: .training(gradients: gradients, randomKey: 1, randomStep: UInt64(step))
      )
      _ = try pass.lossAndGradient(
        batch,
        editor: options.editsOnHost ? HostEdits(session) : session,
        scale: 1 / Float(batch.labels.count),
        from: nil
      )
    }
    var times: [Double] = []
    var before: [String: PluginUsage] = [:]
    for step in 0...max(1, options.steps) {
      // The first step warms up.
      if step == 1 { before = adapter.usage }
      let start = DispatchTime.now().uptimeNanoseconds
      try run(step)
      if step > 0 { times.append(Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9) }
    }
    let seconds = times.sorted()[times.count / 2]
    let total = times.reduce(0, +)
    let share = adapter.usage.map { name, usage in
      (name, (Self.seconds(usage) - Self.seconds(before[name] ?? PluginUsage())) / total)
    }
    let work = ModelArithmetic(model.configuration).training(
      lengths: batch.segments.map(\.count),
      labels: batch.labels.count,
      lowest: adapter.lowestBlock
    )
    return Result(
      tokens: batch.tokens.count,
      labels: batch.labels.count,
      parameters: adapter.parameters.trainableCount,
      seconds: seconds,
      tokensPerSecond: Double(batch.tokens.count) / seconds,
      flops: work / seconds,
      pluginShare: Dictionary(uniqueKeysWithValues: share),
      profile: try (pass as? ModelRuntime)?.profile { try run(times.count + 1) }
    )
  }

  /// The median seconds of a step with LoReFT through its plugin and with LoReFT compiled in, which
  /// take turns.
  ///
  /// - Throws: as `run`.
  package func compareWithInline(
    _ options: Options = Options()
  ) throws -> (plugin: Double, inline: Double) {
    let adapter = try adapter(options)
    let gradients = adapter.parameters.makeGradients()
    let pass = ModelRuntime(model: model.frozen, pool: pool)
    let (batch, edits) = batch(options, adapter: adapter)
    let inline = inlineEditor(options, batch)
    let store = adapter.parameters
    for block in options.layers ?? Array(0..<model.configuration.layers) {
      let values = ["rotate.weight", "source.weight", "source.bias"].flatMap { name in
        store.index(of: "interventions.0.layers.\(block).\(name)").map { Array(store.tensor($0)) }
          ?? []
      }
      inline.setParameters(values, block: block)
    }
    let medians = try InferenceBenchmark.medians(count: 2, runs: options.steps) { place in
      let editor: any HiddenStateEditor =
        place == 1
        ? inline
        : try EditSession(
          edits,
          mode: .training(gradients: gradients, randomKey: 1, randomStep: 0)
        )
      _ = try pass.lossAndGradient(batch, editor: editor, scale: 1 / Float(batch.labels.count))
    }
    return (medians[0], medians[1])
  }

  private func adapter(_ options: Options) throws -> Adapter {
    let spec = InterventionSpec(
      plugin: options.plugin,
      layers: options.layers ?? Array(0..<model.configuration.layers),
      positions: options.positions,
      options: ["rank": .int(Int64(options.rank))]
    )
    return try Adapter.create(specs: [spec], model: model, catalog: catalog, seed: 1)
  }

  /// The same edit without a plugin, of the same tokens.
  private func inlineEditor(_ options: Options, _ batch: PackedBatch) -> InlineLoReFT {
    var ends = (first: 0, last: 0)
    if case .ends(let first, let last) = options.positions.selection { ends = (first, last) }
    let tokens = batch.segments.flatMap { segment in
      let half = options.tokens / 4
      let (first, last) = (min(ends.first, half), min(ends.last, half))
      let end = segment.start + options.tokens / 2
      return Array(segment.start..<segment.start + first) + Array(end - last..<end)
    }
    return InlineLoReFT(
      model: model.frozen,
      blocks: options.layers ?? Array(0..<model.configuration.layers),
      rank: options.rank,
      tokens: tokens,
      isTraining: true
    )
  }

  private static func seconds(_ usage: PluginUsage) -> Double {
    Double(usage.forwardNanoseconds + usage.backwardNanoseconds) / 1e9
  }

  private func batch(_ options: Options, adapter: Adapter) -> (PackedBatch, [SequenceEdit]) {
    var batch = PackedBatch()
    var edits: [SequenceEdit] = []
    let count = max(2, options.tokens)
    let vocabulary = model.configuration.vocabularySize
    for sequence in 0..<max(1, options.sequences) {
      let ids = (0..<count).map { Int32((($0 + sequence * 131) * 7919 + 17) % vocabulary) }
      let labels = ids.enumerated().map { $0 < count / 2 ? Example.noLabel : $1 }
      edits.append(
        SequenceEdit(
          adapter: adapter,
          start: batch.tokens.count,
          count: count,
          promptLength: count / 2,
          promptTokens: ids[..<(count / 2)]
        )
      )
      batch.append(ids: ids, labels: labels)
    }
    return (batch, edits)
  }
}

/// The edits of a session without their device forms.
private final class HostEdits: HiddenStateEditor {
  private let session: EditSession

  init(_ session: EditSession) { self.session = session }

  var sites: Set<Site> { session.sites }
  var needsAllRows: Bool { session.needsAllRows }
  var sharedPrefixLimit: Int { session.sharedPrefixLimit }

  func edits(at site: Site) -> [any RowEdit] { session.edits(at: site).map { HostEdit($0) } }

  private final class HostEdit: RowEdit {
    private let edit: any RowEdit

    init(_ edit: any RowEdit) { self.edit = edit }

    var tokens: [Int32] { edit.tokens }
    var columns: Range<Int>? { edit.columns }
    var needsSource: Bool { edit.needsSource }
    var strength: Float { edit.strength }
    var takesOutput: Bool { edit.takesOutput }
    func edit(_ rows: GatheredRows) throws { try edit.edit(rows) }
    func differentiate(_ gradient: GatheredRows) throws { try edit.differentiate(gradient) }
  }
}
