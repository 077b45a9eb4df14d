// SPDX-License-Identifier: Apache-2.0
// The loss of the head for classes that a model has of its own.

import ReFTHost
import ReFTModel
import ReFTTensor

/// What the answers of a model's own head are worth.
struct ClassObjective: Objective {
  func losses(
    _ batch: MicroBatch,
    _ runtime: any DeviceRuntime,
    _ session: EditSession,
    request: GradientRequest?
  ) throws -> [ExampleLoss] {
    guard let request else {
      let editor = session.isEmpty ? nil : session
      let logits = try runtime.classLogits(of: batch.packed, editor: editor, from: batch.start)
      return zip(batch.examples, logits).map { loss(of: $0, $1).loss }
    }
    var result: [ExampleLoss] = []
    _ = try runtime.classLogitsAndGradient(of: batch.packed, editor: session, from: batch.start) {
      logits in
      var slopes: [Float] = []
      for (example, row) in zip(batch.examples, logits) {
        let (loss, own) = loss(of: example, row, scale: Double(request.scale))
        result.append(loss)
        slopes += own
      }
      return slopes
    }
    return result
  }

  /// The loss of a text's logits, and its derivative times `scale`.
  private func loss(
    of example: Example,
    _ logits: [Float],
    scale: Double = 1
  ) -> (loss: ExampleLoss, slopes: [Float]) {
    var slopes = [Float](repeating: 0, count: logits.count)
    guard let target = example.target else {
      return (ExampleLoss(sum: 0, labels: 0, outputs: logits), slopes)
    }
    var outputs = logits
    let sum = outputs.withUnsafeMutableBufferPointer { outputs in
      slopes.withUnsafeMutableBufferPointer {
        HeadLoss.loss(outputs, target, scale: scale, slopes: $0.baseAddress)
      }
    }
    return (ExampleLoss(sum: sum, labels: 1, outputs: logits), slopes)
  }
}

extension FrozenModel {
  /// What is made small, or measured, with adapters or without: a head of theirs goes before
  /// the model's own.
  func objective(with adapters: AdapterStack) -> any Objective {
    if let head = adapters.answeringHead { return HeadObjective(head: head) }
    if case .classifier = plan.head { return ClassObjective() }
    return LanguageObjective()
  }
}
