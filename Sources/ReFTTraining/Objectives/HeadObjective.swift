// SPDX-License-Identifier: Apache-2.0
// The loss of a head that stands on the final hidden states.

import ReFTHost
import ReFTModel
import ReFTTensor

/// What a head's answers are worth.
struct HeadObjective: Objective {
  let head: Head

  func losses(
    _ batch: MicroBatch,
    _ runtime: any DeviceRuntime,
    _ session: EditSession,
    request: GradientRequest?
  ) throws -> [ExampleLoss] {
    let (tokens, rows) = Self.pooled(batch.packed, head.spec.pooling)
    var result: [ExampleLoss] = []
    guard let request else {
      try runtime.hiddenStates(
        of: batch.packed,
        at: tokens,
        editor: session.isEmpty ? nil : session,
        from: batch.start
      ) { states in
        let pass = HeadPass(head, states: states, rows: rows)
        result = losses(batch, pass, scale: 1, slopes: nil)
      }
      return result
    }
    try runtime.hiddenStatesAndGradient(
      of: batch.packed,
      at: tokens,
      editor: session,
      from: batch.start
    ) { states, gradient in
      let dropout = request.random.map { random in
        HeadPass.Dropout(key: random.key, step: random.step, examples: batch.keys)
      }
      let pass = HeadPass(head, states: states, rows: rows, dropout: dropout)
      let slopes = FloatBuffer(count: rows.count * head.spec.outputCount)
      result = losses(batch, pass, scale: Double(request.scale), slopes: slopes)
      pass.backward(slopes.base, gradients: request.buffer, states: gradient)
    }
    return result
  }

  /// The tokens of a batch that a pooling reads, and which of these are each text's.
  static func pooled(
    _ batch: PackedBatch,
    _ pooling: HeadSpec.Pooling
  ) -> (tokens: [Int32], rows: [Range<Int>]) {
    var tokens: [Int32] = []
    var rows: [Range<Int>] = []
    for segment in batch.segments {
      let first = tokens.count
      tokens += pooling.tokens(of: segment.count).map { Int32(segment.start + $0) }
      rows.append(first..<tokens.count)
    }
    return (tokens, rows)
  }

  private func losses(
    _ batch: MicroBatch,
    _ pass: HeadPass,
    scale: Double,
    slopes: FloatBuffer?
  ) -> [ExampleLoss] {
    batch.examples.enumerated().map { text, example in
      let outputs = pass.outputs(of: text)
      guard let target = example.target else {
        return ExampleLoss(sum: 0, labels: 0, outputs: Array(outputs))
      }
      let loss = HeadLoss.loss(
        outputs,
        target,
        scale: scale,
        slopes: slopes.map { $0.base + text * head.spec.outputCount }
      )
      return ExampleLoss(sum: loss, labels: 1, outputs: Array(outputs))
    }
  }
}
