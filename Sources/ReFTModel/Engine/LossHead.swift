// SPDX-License-Identifier: Apache-2.0
// Softmax cross entropy fused with the output head, over chunks of the vocabulary. No matrix of
// [rows, vocabulary] is ever made.

import CReFTKernels
import Foundation
import ReFTTensor

/// The loss of label rows, and its gradient with respect to the head's input.
///
/// The gradient of −log softmax(W h)[label] is Wᵀ softmax(W h) − W[label]. The first term is an
/// average of W's rows with softmax weights, so it is summed in the same sweep over the vocabulary
/// as the normaliser, with the running-maximum rescaling of Milakov and Gimelshein (arXiv
/// 1805.02867): two products per row, where keeping no logits would else need three.
final class LossHead {
  private let model: FrozenModel
  private let pool: ThreadPool
  private var averages = GrowingBuffer()
  private var statistics = GrowingBuffer()

  /// Pieces of the vocabulary that are swept in parallel; fixed, so that sums do not depend on
  /// the number of threads.
  private static let partCount = 8
  /// Rows of W that are expanded at once.
  private static let chunk = 192

  init(model: FrozenModel, pool: ThreadPool) {
    self.model = model
    self.pool = pool
  }

  /// Negative log likelihoods of `labels`.
  ///
  /// - Parameters:
  ///   - labels: the token that each row must predict.
  ///   - hidden: the normalised hidden states of the label rows, [labels, d].
  ///   - scale: a factor of the gradient.
  ///   - gradient: takes scale × d loss / d hidden, [labels, d]; may not be `hidden`.
  /// - Returns: one number per label.
  func loss(
    labels: [Int32],
    hidden: UnsafePointer<Float>,
    scale: Float,
    gradient: UnsafeMutablePointer<Float>?
  ) -> [Float] {
    let n = labels.count
    guard n > 0 else { return [] }
    let d = model.configuration.hiddenSize
    let vocabulary = model.configuration.vocabularySize
    let averages = gradient == nil ? nil : self.averages.floats(Self.partCount * n * d)
    let statistics = self.statistics.floats(Self.partCount * n * 3)
    let perPart = (vocabulary + Self.partCount - 1) / Self.partCount
    pool.run(Self.partCount) { part in
      let first = min(vocabulary, part * perPart)
      sweep(
        first..<min(vocabulary, first + perPart),
        labels: labels,
        hidden: hidden,
        statistics: statistics + part * n * 3,
        average: averages.map { $0 + part * n * d }
      )
    }
    var losses = [Float](repeating: 0, count: n)
    losses.withUnsafeMutableBufferPointer { losses in
      nonisolated(unsafe) let losses = losses
      pool.run((n + 15) / 16) { index in
        for row in index * 16..<min(n, index * 16 + 16) {
          losses[row] = combine(
            row,
            of: n,
            label: labels[row],
            scale: scale,
            statistics: statistics,
            averages: averages,
            gradient: gradient
          )
        }
      }
    }
    return losses
  }

  /// Sums over one range of the vocabulary: for each row the maximum, the sum of exponentials, the
  /// label's logit (−∞ when it lies elsewhere), and the unnormalised average of W's rows.
  private func sweep(
    _ range: Range<Int>,
    labels: [Int32],
    hidden: UnsafePointer<Float>,
    statistics: UnsafeMutablePointer<Float>,
    average: UnsafeMutablePointer<Float>?
  ) {
    let n = labels.count
    let d = model.configuration.hiddenSize
    let head = model.head.parts[0]
    let maxima = statistics
    let sums = statistics + n
    let labelLogits = statistics + 2 * n
    maxima.update(repeating: -.infinity, count: n)
    sums.update(repeating: 0, count: n)
    labelLogits.update(repeating: -.infinity, count: n)
    average?.update(repeating: 0, count: n * d)
    let expanded = ThreadScratch.floats(Self.chunk * d, slot: 0)
    let panels = ThreadScratch.floats(Self.chunk * (d + 16), slot: 1)
    let logits = ThreadScratch.floats(n * Self.chunk, slot: 2)
    for first in stride(from: range.lowerBound, to: range.upperBound, by: Self.chunk) {
      let width = min(Self.chunk, range.upperBound - first)
      for row in 0..<width {
        head.expand(row: first + row, column: 0, count: d, into: expanded + row * d)
      }
      let run = StackedWeight.run(extent: d, blockSize: 1)
      for k in stride(from: 0, to: d, by: run) {
        let length = min(run, d - k)
        for row in stride(from: 0, to: width, by: 16) {
          reft_pack_transposed_f32(
            length,
            min(16, width - row),
            expanded + row * d + k,
            d,
            panels + row * length
          )
        }
        MatrixProduct.multiply(
          rows: n,
          columns: width,
          run: length,
          x: hidden + k,
          xStride: d,
          panels: panels,
          y: logits,
          yStride: Self.chunk,
          accumulate: k > 0
        )
      }
      for row in 0..<n {
        let values = logits + row * Self.chunk
        let place = Int(labels[row]) - first
        if place >= 0 && place < width { labelLogits[row] = values[place] }
        let largest = max(maxima[row], reft_max_f32(width, values))
        let factor = exp(maxima[row] - largest)
        if factor != 1, let average {
          reft_scale_f32(d, factor, average + row * d)
        }
        sums[row] = sums[row] * factor + reft_exp_sum_f32(width, largest, values)
        maxima[row] = largest
      }
      guard let average else { continue }
      for column in stride(from: 0, to: d, by: 16) {
        let columns = min(16, d - column)
        for row in 0..<width {
          let target = panels + column * width + row * 16
          target.update(from: expanded + row * d + column, count: columns)
          for rest in columns..<16 { target[rest] = 0 }
        }
      }
      MatrixProduct.multiply(
        rows: n,
        columns: d,
        run: width,
        x: logits,
        xStride: Self.chunk,
        panels: panels,
        y: average,
        yStride: d,
        accumulate: true
      )
    }
  }

  /// Joins the parts of one row; returns its loss and writes its gradient.
  private func combine(
    _ row: Int,
    of n: Int,
    label: Int32,
    scale: Float,
    statistics: UnsafePointer<Float>,
    averages: UnsafePointer<Float>?,
    gradient: UnsafeMutablePointer<Float>?
  ) -> Float {
    let d = model.configuration.hiddenSize
    var largest = -Float.infinity
    var labelLogit = -Float.infinity
    for part in 0..<Self.partCount {
      largest = max(largest, statistics[part * n * 3 + row])
      labelLogit = max(labelLogit, statistics[part * n * 3 + 2 * n + row])
    }
    var sum: Float = 0
    for part in 0..<Self.partCount {
      let factor = exp(statistics[part * n * 3 + row] - largest)
      sum += statistics[part * n * 3 + n + row] * factor
    }
    if let gradient, let averages {
      let out = gradient + row * d
      model.embeddingOfLabel(label, into: out)
      reft_scale_f32(d, -scale, out)
      for part in 0..<Self.partCount {
        let factor = exp(statistics[part * n * 3 + row] - largest) / sum * scale
        reft_axpy_f32(d, factor, averages + (part * n + row) * d, out)
      }
    }
    return log(sum) + largest - labelLogit
  }
}

extension FrozenModel {
  /// Row `label` of the output head, [d].
  fileprivate func embeddingOfLabel(_ label: Int32, into out: UnsafeMutablePointer<Float>) {
    head.parts[0].expand(
      row: Int(label),
      column: 0,
      count: configuration.hiddenSize,
      into: out
    )
  }
}
