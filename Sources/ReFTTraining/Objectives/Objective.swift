// SPDX-License-Identifier: Apache-2.0
// What a run makes small: the seam between passes and what is asked of their end. BatchRunner packs
// examples into passes and knows nothing of tokens to predict or of heads.

import ReFTHost
import ReFTModel
import ReFTTensor

/// The examples of one pass.
struct MicroBatch {
  /// The examples.
  var examples: [Example]
  /// Their tokens, end to end.
  var packed = PackedBatch()
  /// Names each example for dropout.
  var keys: [Int32] = []
  /// Where the pass starts; nil: at the embeddings.
  var start: BlockInput?
}

/// Where gradients go, and what names the random numbers of the pass.
struct GradientRequest {
  /// In the layout of the adapter's parameters.
  var buffer: FloatBuffer
  /// The derivative of the whole with respect to each label's loss.
  var scale: Float
  /// The derivative of the whole with respect to the weighted sum of auxiliary losses.
  var auxiliaryScale = 0.0
  /// Key and step of dropout; nil: a head leaves nothing out.
  var random: (key: UInt64, step: UInt64)?
  /// How far the run is.
  var progress = RunProgress()
}

/// The loss of one example.
package struct ExampleLoss: Equatable {
  /// The sum over its labels.
  package var sum: Double
  /// The number of its labels.
  package var labels: Int
  /// What a head answered, or the rewards of a pair; nothing where the model predicts tokens.
  package var outputs: [Float] = []
}

/// What is asked of the end of a pass.
protocol Objective {
  /// The loss of each example, in their order; with a request, the way back too.
  ///
  /// - Parameters:
  ///   - batch: the examples.
  ///   - runtime: runs the model.
  ///   - session: the edits of the batch.
  ///   - request: where gradients go; nil for losses alone.
  /// - Returns: one loss for each example.
  /// - Throws: what model and plugins throw.
  func losses(
    _ batch: MicroBatch,
    _ runtime: any DeviceRuntime,
    _ session: EditSession,
    request: GradientRequest?
  ) throws -> [ExampleLoss]
}

/// The negative log likelihood of tokens, in nats.
struct LanguageObjective: Objective {
  func losses(
    _ batch: MicroBatch,
    _ runtime: any DeviceRuntime,
    _ session: EditSession,
    request: GradientRequest?
  ) throws -> [ExampleLoss] {
    let losses: [Float]
    if let request {
      losses = try runtime.lossAndGradient(
        batch.packed,
        editor: session,
        scale: request.scale,
        from: batch.start
      )
    } else {
      losses = try runtime.loss(
        batch.packed,
        editor: session.isEmpty ? nil : session,
        from: batch.start
      )
    }
    var next = losses[...]
    return batch.examples.map { example in
      let count = example.labelCount
      defer { next = next.dropFirst(count) }
      return ExampleLoss(
        sum: next.prefix(count).reduce(0.0) { $0 + Double($1) },
        labels: count
      )
    }
  }
}
