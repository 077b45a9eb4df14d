// SPDX-License-Identifier: Apache-2.0
// Softmax cross entropy of the rows that have labels, some rows at a time, so that logits never take
// more than a bounded piece of the card.

import ReFTModel
import ReFTTensor

/// The language head of a pass.
struct DeviceLoss {
  private let pass: DevicePass
  private let head: DeviceHead

  /// The most bytes of float32 logits at once.
  static let logitBytes = 512 << 20

  init(_ pass: DevicePass, _ head: DeviceHead) {
    (self.pass, self.head) = (pass, head)
  }

  /// Negative log likelihoods.
  ///
  /// - Parameters:
  ///   - labels: the token that each row must predict.
  ///   - states: the final states, activations [labels, d]; where the pass goes back, scale × their
  ///     gradient takes their place.
  ///   - scale: a factor of the gradient.
  ///   - differentiates: whether the pass goes back.
  ///   - losses: takes one number per label.
  /// - Throws: what the card reports.
  func losses(
    labels: [Int32],
    _ states: DevicePointer,
    scale: Float,
    differentiates: Bool,
    into losses: inout [Float]
  ) throws(ReFTError) {
    let (operations, vocabulary) = (pass.operations, head.matrix.rows)
    let d = pass.shape.hiddenSize
    let chunk = max(16, min(labels.count, Self.logitBytes / (4 * vocabulary)))
    let list = try pass.lists.put(labels)
    let results = try pass.floats(.losses, 1, rows: labels.count)
    let logits = try pass.floats(.logits, vocabulary, rows: min(chunk, labels.count))
    let slopes =
      differentiates
      ? try pass.act(.logitGradients, vocabulary, rows: min(chunk, labels.count)) : nil
    for first in stride(from: 0, to: labels.count, by: chunk) {
      let count = min(chunk, labels.count - first)
      let rows = states.advanced(byBytes: first * d * operations.actSize)
      try operations.multiply(head.matrix, rows: count, rows, to: logits, isFloat: true)
      try operations.launch(
        try operations.kernel("cross_entropy", .loss),
        grid: (count, 1, 1),
        block: 512,
        count,
        vocabulary,
        logits,
        head.bias?.pointer,
        head.softCap,
        list.advanced(byBytes: first * 4),
        scale,
        results.advanced(byBytes: first * 4),
        slopes
      )
      if let slopes { try operations.multiplyBack(head.matrix, rows: count, slopes, to: rows) }
    }
    let count = labels.count
    let host = FloatBuffer(count: count)
    try pass.device.copyOut(results, count * 4, to: host.base)
    try pass.device.synchronise()
    for index in 0..<count { losses[index] = host[index] }
  }
}
