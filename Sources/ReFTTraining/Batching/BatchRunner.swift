// SPDX-License-Identifier: Apache-2.0
// Runs examples through model and adapter: as many passes as the token budget asks for, with results
// in the order of the examples.

import ReFTHost
import ReFTModel
import ReFTTensor

/// The loss of one example.
struct ExampleLoss: Equatable {
  /// The sum over its labels of the negative log likelihood, in nats.
  var sum: Double
  /// The number of its labels.
  var labels: Int
}

/// Thrown between two passes when somebody asked to end; what the passes did is to be dropped.
struct EndedEarly: Error {}

/// Runs batches of examples through a frozen model and, where there is one, an adapter.
final class BatchRunner {
  private let model: FrozenModel
  private let adapter: Adapter?
  private let budget: Int
  private let cache: ActivationCache?
  private let pass: ModelRuntime

  /// - Parameters:
  ///   - model: the frozen model.
  ///   - adapter: its edits; nil for none.
  ///   - budget: the most tokens of a pass.
  ///   - cache: keeps what the blocks below the lowest edit compute; nil for none.
  init(model: FrozenModel, adapter: Adapter?, budget: Int, cache: ActivationCache? = nil) {
    self.model = model
    self.adapter = adapter
    self.budget = budget
    self.cache = cache
    pass = ModelRuntime(model: model)
  }

  /// The loss of each example, with dropout off.
  ///
  /// - Parameters:
  ///   - examples: the examples.
  ///   - keys: names them in the cache.
  /// - Returns: the losses, in the order of the examples.
  /// - Throws: what model and plugins throw.
  func losses(_ examples: [Example], keys: [Int]) throws -> [ExampleLoss] {
    try run(examples, keys: keys) { batch, edits, start in
      let session = try EditSession(edits, mode: .inference)
      return try pass.loss(batch, editor: session.isEmpty ? nil : session, from: start)
    }
  }

  /// The loss of each example, and the gradient of scale × Σ nll added to `gradients`.
  ///
  /// - Parameters:
  ///   - examples: the batch.
  ///   - keys: names the examples, in the cache and for dropout.
  ///   - gradients: in the layout of the adapter's parameters.
  ///   - scale: usually one over the labels of the whole batch.
  ///   - random: key and step of dropout.
  ///   - stop: asked before each pass.
  /// - Returns: the losses, in the order of the examples.
  /// - Throws: `EndedEarly` when `stop` is set, or what model and plugins throw.
  func lossesAndGradients(
    _ examples: [Example],
    keys: [Int],
    gradients: FloatBuffer,
    scale: Float,
    random: (key: UInt64, step: UInt64) = (0, 0),
    stop: StopFlag? = nil
  ) throws -> [ExampleLoss] {
    try run(examples, keys: keys) { batch, edits, start in
      if stop?.isSet == true { throw EndedEarly() }
      let session = try EditSession(
        edits,
        mode: .training(gradients: gradients, randomKey: random.key, randomStep: random.step)
      )
      return try pass.lossAndGradient(batch, editor: session, scale: scale, from: start)
    }
  }

  private func run(
    _ examples: [Example],
    keys: [Int],
    _ body: (PackedBatch, [SequenceEdit], BlockInput?) throws -> [Float]
  ) throws -> [ExampleLoss] {
    var result = [ExampleLoss](repeating: ExampleLoss(sum: 0, labels: 0), count: examples.count)
    for indices in MicroBatches.split(lengths: examples.map(\.ids.count), budget: budget) {
      var batch = PackedBatch()
      var edits: [SequenceEdit] = []
      for index in indices {
        let example = examples[index]
        edits.append(
          SequenceEdit(
            adapter: adapter,
            start: batch.tokens.count,
            count: example.ids.count,
            promptLength: example.promptLength,
            promptTokens: example.ids.prefix(example.promptLength),
            example: Int32(truncatingIfNeeded: keys[index])
          )
        )
        batch.append(ids: example.ids, labels: example.labels)
      }
      let start = try cache?.input(keys: indices.map { keys[$0] }, batch: batch, pass: pass)
      let losses: [Float]
      do {
        losses = try body(batch, edits, start)
      } catch let error as ReFTError where error.code == .misbehaved {
        // A plugin that gets numbers that are none cannot make any of them.
        throw model.explainNotFinite() ?? error
      }
      var next = losses[...]
      for index in indices {
        let count = examples[index].labelCount
        let sum = next.prefix(count).reduce(0.0) { $0 + Double($1) }
        result[index] = ExampleLoss(sum: sum, labels: count)
        next = next.dropFirst(count)
      }
    }
    return result
  }
}
