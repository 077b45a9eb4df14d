// SPDX-License-Identifier: Apache-2.0
// Runs examples through model and adapters: as many passes as the token budget asks for, with results
// in the order of the examples.

package import ReFTHost
package import ReFTModel
package import ReFTTensor

/// Thrown between two passes when somebody asked to end; what the passes did is to be dropped.
struct EndedEarly: Error {}

/// Runs batches of examples through a frozen model and, where there are some, adapters.
///
/// What their losses are is said by the adapter: those of its head, or of tokens to predict.
package final class BatchRunner {
  private let model: FrozenModel
  private let adapters: AdapterStack
  private let budget: Int
  private let cache: ActivationCache?
  private let counterparts: CounterpartCache?
  private let pass: LazyRuntime
  private let objective: any Objective
  /// Is told what edits change, under the keys of the examples; nil where nobody asks.
  var trace: EditTrace?
  /// The auxiliary losses of the last call, each times the weight of its intervention and summed over all
  /// edited rows of its examples.
  private(set) var auxiliarySum = 0.0

  /// - Parameters:
  ///   - model: the frozen model.
  ///   - adapters: its edits.
  ///   - budget: the most tokens of a pass.
  ///   - preference: what is asked of pairs of answers; nil where rows are no pairs.
  ///   - cache: keeps what the blocks below the lowest edit compute; nil for none.
  ///   - counterparts: keeps the rows of source prompts; nil for none.
  ///   - device: where the model runs.
  ///   - precision: `float32` asks the device for float32 arithmetic.
  package init(
    model: FrozenModel,
    adapters: AdapterStack,
    budget: Int,
    preference: PreferenceOptions? = nil,
    cache: ActivationCache? = nil,
    counterparts: CounterpartCache? = nil,
    device: any ComputeDevice = ProcessorDevice.shared,
    precision: DecodePrecision = .int16
  ) {
    self.model = model
    self.adapters = adapters
    self.budget = budget
    (self.cache, self.counterparts) = (cache, counterparts)
    pass = LazyRuntime(device, model, precision: precision)
    objective =
      preference.map { PreferenceObjective($0) } ?? model.objective(with: adapters)
  }

  /// Where the edits of the last pass ran; nil where there is one place alone.
  var editPlaces: EditPlaces? { pass.made?.editPlaces }

  /// The loss of each example, with dropout off.
  ///
  /// - Parameters:
  ///   - examples: the examples.
  ///   - keys: names them in the cache.
  ///   - usesCache: whether what the blocks below the lowest edit compute may be looked up and kept.
  /// - Returns: the losses, in the order of the examples.
  /// - Throws: what model and plugins throw.
  package func losses(
    _ examples: [Example],
    keys: [Int],
    usesCache: Bool = true
  ) throws -> [ExampleLoss] {
    try run(examples, keys: keys, request: nil, usesCache: usesCache)
  }

  /// The loss of each example, and the gradient of scale × Σ loss + auxiliaryScale ×
  /// Σ auxiliary loss added to `gradients`.
  ///
  /// - Parameters:
  ///   - examples: the batch.
  ///   - keys: names the examples, in the cache and for dropout.
  ///   - gradients: in the layout of the adapter's parameters.
  ///   - scale: usually one over the labels of the whole batch.
  ///   - auxiliaryScale: one over the sequences of the whole batch.
  ///   - random: key and step of dropout; nil leaves it off where it can be.
  ///   - progress: how far the run is, which plugins may ask; nowhere by default.
  ///   - stop: asked before each pass.
  /// - Returns: the losses, in the order of the examples.
  /// - Throws: `EndedEarly` when `stop` is set, or what model and plugins throw.
  package func lossesAndGradients(
    _ examples: [Example],
    keys: [Int],
    gradients: FloatBuffer,
    scale: Float,
    auxiliaryScale: Double = 0,
    random: (key: UInt64, step: UInt64)? = nil,
    progress: RunProgress = RunProgress(),
    stop: StopFlag? = nil
  ) throws -> [ExampleLoss] {
    let request = GradientRequest(
      buffer: gradients,
      scale: scale,
      auxiliaryScale: auxiliaryScale,
      random: random,
      progress: progress
    )
    return try run(examples, keys: keys, request: request, stop: stop)
  }

  private func run(
    _ examples: [Example],
    keys: [Int],
    request: GradientRequest?,
    stop: StopFlag? = nil,
    usesCache: Bool = true
  ) throws -> [ExampleLoss] {
    let cache = usesCache ? cache : nil
    auxiliarySum = 0
    var result = [ExampleLoss](repeating: ExampleLoss(sum: 0, labels: 0), count: examples.count)
    for indices in passes(examples) {
      var batch = MicroBatch(examples: indices.map { examples[$0] })
      var edits: [SequenceEdit] = []
      for index in indices {
        let example = examples[index]
        batch.keys.append(Int32(truncatingIfNeeded: keys[index]))
        for part in example.parts {
          var edit = SequenceEdit(
            adapters: adapters,
            start: batch.packed.tokens.count,
            count: part.ids.count,
            promptLength: example.promptLength,
            promptTokens: part.ids.prefix(example.promptLength),
            example: Int32(truncatingIfNeeded: keys[index])
          )
          edit.subspace = example.subspace
          edits.append(edit)
          batch.packed.append(part)
        }
      }
      try addCounterparts(
        to: &edits,
        indices.map { (examples[$0], keys[$0]) },
        usesCache: usesCache
      )
      batch.start = try cache?.input(
        keys: indices.flatMap { index in
          examples[index].parts.indices.map { keys[index] * examples[index].parts.count + $0 }
        },
        batch: batch.packed,
        pass: pass.get()
      )
      if stop?.isSet == true { throw EndedEarly() }
      for (index, loss) in zip(indices, try losses(batch, edits, request)) { result[index] = loss }
    }
    return result
  }

  /// Tokens of a prompt that are worth computing once for both answers of a pair.
  private static let longPrompt = 256

  /// Which examples run together; a pair with a long prompt runs alone, so that its answers share it.
  private func passes(_ examples: [Example]) -> [[Int]] {
    func isAlone(_ index: Int) -> Bool {
      examples[index].rejected != nil && examples[index].promptLength >= Self.longPrompt
    }
    let others = examples.indices.filter { !isAlone($0) }
    let lengths = others.map { examples[$0].tokenCount }
    let shared = MicroBatches.split(lengths: lengths, budget: budget).map { pass in
      pass.map { others[$0] }
    }
    return (examples.indices.filter(isAlone).map { [$0] } + shared).sorted { $0[0] < $1[0] }
  }

  /// Looks up what the frozen model makes of the source prompts of some examples, or runs it over them,
  /// where a plugin asks for that.
  private func addCounterparts(
    to edits: inout [SequenceEdit],
    _ examples: [(example: Example, key: Int)],
    usesCache: Bool
  ) throws {
    guard adapters.needsCounterpart else { return }
    let prompts = examples.compactMap(\.example.sourceIds)
    guard prompts.count == examples.count else { return }
    func compute(_ prompts: [[Int32]]) throws -> [CounterpartRows] {
      try CounterpartRows.compute(adapters, prompts: prompts, runtime: pass.get())
    }
    let cache = usesCache ? counterparts : nil
    let rows =
      try cache?.rows(keys: examples.map(\.key), prompts: prompts, compute: compute)
      ?? compute(prompts)
    let all = zip(examples, rows).flatMap { one, rows in one.example.parts.map { _ in rows } }
    for (index, rows) in all.enumerated() { edits[index].counterpart = rows }
  }

  private func losses(
    _ batch: MicroBatch,
    _ edits: [SequenceEdit],
    _ request: GradientRequest?
  ) throws -> [ExampleLoss] {
    let mode =
      request.map { request in
        EditSession.Mode.training(
          gradients: request.buffer,
          randomKey: request.random?.key ?? 0,
          randomStep: request.random?.step ?? 0,
          progress: request.progress
        )
      } ?? .inference
    do {
      let session = try EditSession(
        edits,
        mode: mode,
        dropsUpdates: request?.random != nil,
        trace: trace,
        auxiliaryScale: request?.auxiliaryScale ?? 0
      )
      let losses = try objective.losses(batch, try pass.get(), session, request: request)
      auxiliarySum += session.auxiliarySum
      return losses
    } catch let error as ReFTError where error.code == .misbehaved {
      // A plugin that gets numbers that are none cannot make any of them.
      throw model.explainNotFinite() ?? error
    }
  }
}

extension Example {
  /// Its sequences: itself, or each answer of a pair.
  var parts: [Example] {
    guard let rejected else { return [self] }
    return [
      Example(ids: ids, labels: labels, promptLength: promptLength),
      Example(ids: rejected.ids, labels: rejected.labels, promptLength: promptLength),
    ]
  }
}

extension PackedBatch {
  /// Appends an example, with the tokens that it has to predict.
  mutating func append(_ example: Example) {
    guard example.labels.isEmpty else { return append(ids: example.ids, labels: example.labels) }
    append(ids: example.ids, types: example.types)
  }
}
