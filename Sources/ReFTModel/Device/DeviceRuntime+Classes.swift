// SPDX-License-Identifier: Apache-2.0
// The model's own head for classes: logits of texts by their first tokens, and the way back from them. Any
// device gives the hidden states; the head's few rows are the processor's.

import CReFTKernels
import Foundation
import ReFTTensor

extension DeviceRuntime {
  /// The logits of all classes for each sequence of a batch.
  ///
  /// - Parameters:
  ///   - batch: the sequences; its labels are not looked at.
  ///   - editor: edits hidden states; nil for the frozen model.
  ///   - start: where to start instead of at the embeddings.
  /// - Returns: a row of logits for each sequence.
  /// - Throws: `usage` for a model without such a head, and as `loss`.
  public func classLogits(
    of batch: PackedBatch,
    editor: (any HiddenStateEditor)?,
    from start: BlockInput? = nil
  ) throws -> [[Float]] {
    let head = try ownClassifier()
    var result: [[Float]] = []
    try hiddenStates(of: batch, at: batch.firstTokens, editor: editor, from: start) { states in
      result = head.logits(states, count: batch.segments.count, pool: .shared).rows
    }
    return result
  }

  /// The same, and the backward pass of whatever is made of the logits, which calls the editor's edits
  /// in reverse.
  ///
  /// - Parameters:
  ///   - batch: the sequences; its labels are not looked at.
  ///   - editor: edits hidden states, and takes their gradients.
  ///   - start: where to start instead of at the embeddings.
  ///   - slopes: the derivative of the whole by each logit, one row after the other, given the logits.
  /// - Returns: a row of logits for each sequence.
  /// - Throws: `usage` for a model without such a head, and as `loss`.
  /// - Precondition: there are as many slopes as logits.
  public func classLogitsAndGradient(
    of batch: PackedBatch,
    editor: any HiddenStateEditor,
    from start: BlockInput? = nil,
    slopes: (_ logits: [[Float]]) -> [Float]
  ) throws -> [[Float]] {
    let head = try ownClassifier()
    var result: [[Float]] = []
    try hiddenStatesAndGradient(of: batch, at: batch.firstTokens, editor: editor, from: start) {
      states,
      gradient in
      let answers = head.logits(states, count: batch.segments.count, pool: .shared)
      result = answers.rows
      let slopes = slopes(answers.rows)
      precondition(slopes.count == answers.rows.count * head.output.weight.rows)
      if let gradient { head.goBack(slopes, answers.hidden, into: gradient, pool: .shared) }
    }
    return result
  }

  private func ownClassifier() throws(ReFTError) -> ClassifierWeights {
    guard case .classifier(let head) = model.head else {
      throw .predictsNoClasses(model.plan.architecture, model.path)
    }
    return head
  }
}

extension PackedBatch {
  /// The first token of each sequence.
  fileprivate var firstTokens: [Int32] { segments.map { Int32($0.start) } }
}

extension ClassifierWeights {
  /// output(f(hidden(h))) for rows h, and the rows f(hidden(h)).
  fileprivate func logits(
    _ states: UnsafePointer<Float>,
    count: Int,
    pool: ThreadPool
  ) -> (rows: [[Float]], hidden: [Float]) {
    var middle = product(hidden, states, count: count, pool)
    for index in middle.indices {
      middle[index] = activation == .tanh ? tanh(middle[index]) : max(0, middle[index])
    }
    let logits = product(output, middle, count: count, pool)
    let width = output.weight.rows
    return ((0..<count).map { Array(logits[$0 * width..<($0 + 1) * width]) }, middle)
  }

  /// gradient = d loss / d h, given d loss / d logits and f(hidden(h)).
  fileprivate func goBack(
    _ slopes: [Float],
    _ middle: [Float],
    into gradient: UnsafeMutablePointer<Float>,
    pool: ThreadPool
  ) {
    let count = middle.count / hidden.weight.rows
    var inner = [Float](repeating: 0, count: middle.count)
    multiplyBack(output.weight, count, slopes, &inner, pool)
    for (index, value) in middle.enumerated() {
      inner[index] *= activation == .tanh ? 1 - value * value : value > 0 ? 1 : 0
    }
    multiplyBack(hidden.weight, count, inner, gradient, pool)
  }

  /// x Wᵀ + b.
  private func product(
    _ projection: Projection,
    _ x: UnsafePointer<Float>,
    count: Int,
    _ pool: ThreadPool
  ) -> [Float] {
    let weight = projection.weight
    var y = [Float](repeating: 0, count: count * weight.rows)
    y.withUnsafeMutableBufferPointer { y in
      guard let y = y.baseAddress else { return }
      MatrixProduct.forwardFew(
        weight,
        rows: count,
        x: x,
        y: y,
        accumulate: false,
        pool: pool
      )
      guard let bias = projection.bias else { return }
      for row in 0..<count { reft_axpy_f32(weight.rows, 1, bias.base, y + row * weight.rows) }
    }
    return y
  }

  private func multiplyBack(
    _ weight: StackedWeight,
    _ count: Int,
    _ dy: UnsafePointer<Float>,
    _ dx: UnsafeMutablePointer<Float>,
    _ pool: ThreadPool
  ) {
    MatrixProduct.backward(
      weight.panels(repacks: false, pool: pool),
      rows: count,
      dy: dy,
      dx: dx,
      pool: pool
    )
  }
}
