// SPDX-License-Identifier: Apache-2.0
// The arithmetic of a head, forward and backward: pooling, the hidden matrix, the outputs.
//
// With h the pooled row and m, m' masks of dropout (0, or 1 / (1 − p)):
//   x = m h;  a = f(W x + b);  y = m' a;  o = C y + c          (without a hidden matrix y = x)
// and back from g = d loss / d o:
//   dC += g yᵀ, dc += g;  da = m' Cᵀg;  dz = f'(z) da;  dW += dz xᵀ, db += dz;  dh = m Wᵀdz.

import CReFTKernels
import Foundation
public import ReFTTensor

/// One pass of a head over the texts of a batch.
///
/// A text's outputs have the same bits whatever other texts are in the batch.
public final class HeadPass {
  /// Which numbers dropout leaves out: those of (key, step, text).
  public struct Dropout: Sendable {
    /// Names the random numbers of the run.
    public var key: UInt64
    /// The optimiser step.
    public var step: UInt64
    /// Names each text, so that its mask does not depend on how a batch is split.
    public var examples: [Int32]

    /// Names the numbers of a batch.
    public init(key: UInt64, step: UInt64, examples: [Int32]) {
      (self.key, self.step, self.examples) = (key, step, examples)
    }
  }

  private let head: Head
  private let rows: [Range<Int>]
  private let dropout: Dropout?
  /// The rows x, a after f, and y, [texts, d] each.
  private let inputs: FloatBuffer
  private let hidden: FloatBuffer
  private let masks: FloatBuffer
  private let results: FloatBuffer

  /// Runs a head.
  ///
  /// - Parameters:
  ///   - head: the head.
  ///   - states: final hidden states, [rows, d].
  ///   - rows: which of them each text's pooling reads, at least one.
  ///   - dropout: which numbers are left out; nil: none.
  public init(
    _ head: Head,
    states: UnsafePointer<Float>,
    rows: [Range<Int>],
    dropout: Dropout? = nil
  ) {
    self.head = head
    self.rows = rows
    self.dropout = head.spec.dropout > 0 ? dropout : nil
    let count = rows.count * head.width
    inputs = FloatBuffer(count: count)
    hidden = FloatBuffer(count: head.dense == nil ? 0 : count)
    masks = FloatBuffer(count: self.dropout == nil ? 0 : 2 * count)
    results = FloatBuffer(count: rows.count * head.spec.outputCount)
    pool(states)
    drawMasks()
    for text in rows.indices { compute(text) }
  }

  /// The outputs of a text, one for each label.
  public func outputs(of text: Int) -> UnsafeMutableBufferPointer<Float> {
    let count = head.spec.outputCount
    return UnsafeMutableBufferPointer(start: results.base + text * count, count: count)
  }

  private func pool(_ states: UnsafePointer<Float>) {
    let d = head.width
    for (text, rows) in rows.enumerated() {
      let input = inputs.base + text * d
      for row in rows { reft_axpy_f32(d, 1, states + row * d, input) }
      if rows.count > 1 { reft_scale_f32(d, 1 / Float(rows.count), input) }
    }
  }

  /// Fills both masks of every text.
  private func drawMasks() {
    guard let dropout else { return }
    let (d, share) = (head.width, Float(head.spec.dropout))
    let kept = 1 / (1 - share)
    for text in rows.indices {
      let stream = CounterRandom(key: dropout.key, step: dropout.step)
      let name = UInt64(UInt32(bitPattern: dropout.examples[text]))
      let own = CounterRandom(key: stream.bits(offset: name), step: Self.stream)
      let mask = masks.base + 2 * text * d
      for place in 0..<2 * d {
        mask[place] = own.uniform(offset: UInt64(place)) < share ? 0 : kept
      }
    }
  }

  /// Tells a head's random numbers from those of plugins.
  private static let stream: UInt64 = 0x6865_6164

  /// Multiplies a text's row by one of its masks.
  private func mask(_ row: UnsafeMutablePointer<Float>, of text: Int, second: Bool) {
    guard masks.count > 0 else { return }
    let mask = masks.base + (2 * text + (second ? 1 : 0)) * head.width
    for place in 0..<head.width { row[place] *= mask[place] }
  }

  private func compute(_ text: Int) {
    let d = head.width
    let input = inputs.base + text * d
    mask(input, of: text, second: false)
    var last = input
    if let dense = head.dense {
      last = hidden.base + text * d
      multiply(dense, input, rows: d, into: last)
      switch head.spec.activation {
      case .tanh: for place in 0..<d { last[place] = tanhf(last[place]) }
      case .relu: for place in 0..<d { last[place] = max(0, last[place]) }
      }
      mask(last, of: text, second: true)
    }
    let count = head.spec.outputCount
    multiply(head.classifier, last, rows: count, into: results.base + text * count)
  }

  /// y = W x + b.
  private func multiply(
    _ matrix: (weight: Int, bias: Int),
    _ x: UnsafePointer<Float>,
    rows: Int,
    into y: UnsafeMutablePointer<Float>
  ) {
    let (weight, bias) = (
      head.parameters.tensor(matrix.weight), head.parameters.tensor(matrix.bias)
    )
    guard let start = weight.baseAddress else { return }
    for row in 0..<rows {
      y[row] = bias[row] + reft_dot_f32(head.width, start + row * head.width, x)
    }
  }

  // MARK: The way back

  /// Adds the parameters' gradients to a buffer, and computes that of the hidden states.
  ///
  /// - Parameters:
  ///   - slopes: d loss / d outputs, [texts, labels].
  ///   - gradients: in the layout of the adapter's parameters.
  ///   - states: takes the gradient of the hidden states, in their order; nil where nobody wants it.
  public func backward(
    _ slopes: UnsafePointer<Float>,
    gradients: FloatBuffer,
    states: UnsafeMutablePointer<Float>?
  ) {
    let (d, count) = (head.width, head.spec.outputCount)
    let scratch = FloatBuffer(count: 2 * d)
    for text in rows.indices {
      let slope = slopes + text * count
      let input = inputs.base + text * d
      var gradient = scratch.base
      scratch.values.update(repeating: 0)
      guard let dense = head.dense else {
        differentiate(head.classifier, input, slope, rows: count, gradients, into: gradient)
        finish(text, gradient, into: states)
        continue
      }
      let output = hidden.base + text * d
      differentiate(head.classifier, output, slope, rows: count, gradients, into: gradient)
      mask(gradient, of: text, second: true)
      bend(gradient, output, of: text)
      let below = scratch.base + d
      differentiate(dense, input, gradient, rows: d, gradients, into: below)
      gradient = below
      finish(text, gradient, into: states)
    }
  }

  /// Multiplies by the activation's slope; `output` is y = m' f(z), where a mask of 0 has ended the
  /// gradient already.
  private func bend(
    _ gradient: UnsafeMutablePointer<Float>,
    _ output: UnsafePointer<Float>,
    of text: Int
  ) {
    let unmask = dropout == nil ? 1 : 1 - Float(head.spec.dropout)
    for place in 0..<head.width {
      let value = output[place] * unmask
      switch head.spec.activation {
      case .tanh: gradient[place] *= 1 - value * value
      case .relu: gradient[place] = value > 0 ? gradient[place] : 0
      }
    }
  }

  /// dW += g xᵀ, db += g, dx += Wᵀ g.
  private func differentiate(
    _ matrix: (weight: Int, bias: Int),
    _ x: UnsafePointer<Float>,
    _ slope: UnsafePointer<Float>,
    rows: Int,
    _ gradients: FloatBuffer,
    into dx: UnsafeMutablePointer<Float>
  ) {
    let store = head.parameters
    let bias = store.slice(of: gradients, matrix.bias)
    guard let weight = store.tensor(matrix.weight).baseAddress,
      let weightGradient = store.slice(of: gradients, matrix.weight).baseAddress
    else { return }
    for row in 0..<rows where slope[row] != 0 {
      reft_axpy_f32(head.width, slope[row], x, weightGradient + row * head.width)
      reft_axpy_f32(head.width, slope[row], weight + row * head.width, dx)
      bias[row] += slope[row]
    }
  }

  /// Gives a pooled row's gradient to the rows that it was made of.
  private func finish(
    _ text: Int,
    _ gradient: UnsafeMutablePointer<Float>,
    into states: UnsafeMutablePointer<Float>?
  ) {
    guard let states else { return }
    let d = head.width
    mask(gradient, of: text, second: false)
    if rows[text].count > 1 { reft_scale_f32(d, 1 / Float(rows[text].count), gradient) }
    for row in rows[text] { (states + row * d).update(from: gradient, count: d) }
  }
}
