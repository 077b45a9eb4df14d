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
/// 1805.02867): two products per row, where keeping no logits would else need three. With a soft cap c
/// on the logits z, each of the two terms is 1 − (z / c)² times that.
final class LossHead {
  private let model: FrozenModel
  private let head: LanguageHeadWeights
  private let pass: Pass
  private var pool: ThreadPool { pass.pool }
  /// Whether logits are products of split numbers, on matrix tiles.
  private let splits: Bool
  private var statistics = GrowingBuffer()
  private var floorBuffer = GrowingBuffer()

  /// Pieces of the vocabulary that are swept in parallel; fixed, so that sums do not depend on
  /// the number of threads.
  private static let partCount = 8
  /// Words of less probability than this count as the mean of their chunk.
  ///
  /// What that loses is a sum of independent parts: √(2⁻²² × their whole probability), some 1e-5 of a word's row.
  private static let negligible: Float = 0x1p-22
  /// Rows of W that are expanded at once.
  private static let chunk = 192

  /// Prepares losses at the end of passes.
  ///
  /// The pass lends what its blocks hand each other, which nobody reads between the way forward and the
  /// way back.
  init(model: FrozenModel, head: LanguageHeadWeights, pass: Pass, isExact: Bool) {
    (self.model, self.head, self.pass) = (model, head, pass)
    splits =
      !isExact
      && SplitProduct.fits(
        rows: model.configuration.vocabularySize / 32 * 32,
        columns: model.configuration.hiddenSize
      )
  }

  /// The rows that meet the head, as its products want them.
  private struct HeadInput {
    let rows: UnsafePointer<Float>
    let count: Int
    let tiles: SplitProduct.Left?
  }

  private func input(_ hidden: UnsafePointer<Float>, count n: Int) -> HeadInput {
    let d = model.configuration.hiddenSize
    guard splits else { return HeadInput(rows: hidden, count: n, tiles: nil) }
    let memory = pass.memory.normed.floats(SplitProduct.Left.floats(rows: n, columns: d))
    let tiles = SplitProduct.Left(rows: n, columns: d, memory: memory)
    tiles.split(hidden, stride: d, pool: pool)
    return HeadInput(rows: hidden, count: n, tiles: tiles)
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
    let averages = gradient == nil ? nil : pass.memory.hidden.floats(Self.partCount * n * d)
    let statistics = self.statistics.floats(Self.partCount * n * 3)
    let input = input(hidden, count: n)
    let floors = averages == nil ? nil : self.floors(labels: labels, input)
    sweep(0..<vocabulary, labels, input, statistics, floors: floors, averages: averages)
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

  /// What a sweep knows of each row so far, [labels] each.
  private struct Statistics {
    let maxima: UnsafeMutablePointer<Float>
    let sums: UnsafeMutablePointer<Float>
    /// The label's logit, −∞ when it lies in another part.
    let labelLogits: UnsafeMutablePointer<Float>

    init(_ base: UnsafeMutablePointer<Float>, count: Int) {
      (maxima, sums, labelLogits) = (base, base + count, base + 2 * count)
      maxima.update(repeating: -.infinity, count: count)
      sums.update(repeating: 0, count: count)
      labelLogits.update(repeating: -.infinity, count: count)
    }
  }

  /// Sums over the parts of a range of the vocabulary, each by one thread.
  private func sweep(
    _ range: Range<Int>,
    _ labels: [Int32],
    _ input: HeadInput,
    _ statistics: UnsafeMutablePointer<Float>,
    floors: UnsafePointer<Float>? = nil,
    averages: UnsafeMutablePointer<Float>? = nil
  ) {
    let n = labels.count
    let d = model.configuration.hiddenSize
    let perPart = (range.count + Self.partCount - 1) / Self.partCount
    pool.run(Self.partCount) { part in
      let first = min(range.upperBound, range.lowerBound + part * perPart)
      sweepPart(
        first..<min(range.upperBound, first + perPart),
        labels: labels,
        input: input,
        statistics: statistics + part * n * 3,
        floors: floors,
        average: averages.map { $0 + part * n * d }
      )
    }
  }

  /// Sums over one part of the vocabulary: the statistics of each row, and the unnormalised
  /// average of W's rows.
  private func sweepPart(
    _ range: Range<Int>,
    labels: [Int32],
    input: HeadInput,
    statistics base: UnsafeMutablePointer<Float>,
    floors: UnsafePointer<Float>?,
    average: UnsafeMutablePointer<Float>?
  ) {
    let n = labels.count
    let d = model.configuration.hiddenSize
    let matrix = head.weight.parts[0]
    let statistics = Statistics(base, count: n)
    average?.update(repeating: 0, count: n * d)
    // One row more, for the mean of the others.
    let weights = ThreadScratch.floats((Self.chunk + 1) * d, .headRows)
    // One row more, for the capped logits of one.
    let logits = ThreadScratch.floats((n + 1) * Self.chunk, .logits)
    let limits = ThreadScratch.floats(2 * n, .rowLimits)
    let chunkSums = limits + n
    for first in stride(from: range.lowerBound, to: range.upperBound, by: Self.chunk) {
      let width = min(Self.chunk, range.upperBound - first)
      for row in 0..<width {
        matrix.expand(row: first + row, column: 0, count: d, into: weights + row * d)
      }
      multiply(input, by: weights, width: width, into: logits)
      for row in 0..<n {
        let values = logits + row * Self.chunk
        finish(values, first: first, count: width)
        let place = Int(labels[row]) - first
        if place >= 0 && place < width { statistics.labelLogits[row] = values[place] }
        let largest = max(statistics.maxima[row], reft_max_f32(width, values))
        let factor = exp(statistics.maxima[row] - largest)
        if factor != 1, let average { reft_scale_f32(d, factor, average + row * d) }
        let capped = logits + n * Self.chunk
        if head.softCap != nil { capped.update(from: values, count: width) }
        var sum = reft_exp_sum_f32(width, largest, values)
        statistics.sums[row] = statistics.sums[row] * factor + sum
        statistics.maxima[row] = largest
        if let cap = head.softCap, average != nil {
          reft_softcap_backward_f32(width, 1, cap, capped, values)
          sum = (0..<width).reduce(0) { $0 + values[$1] }
        }
        if let floors {
          limits[row] = Self.negligible * exp(floors[row] - largest)
          chunkSums[row] = sum
        }
      }
      if let average {
        add(logits, rows: n, limits, chunkSums, of: weights, width: width, to: average)
      }
    }
  }

  /// Turns products with the head's rows from `first` on into logits.
  private func finish(_ logits: UnsafeMutablePointer<Float>, first: Int, count: Int) {
    if let bias = head.bias { reft_axpy_f32(count, 1, bias.base + first, logits) }
    if let cap = head.softCap { reft_softcap_f32(count, 1, cap, logits) }
  }

  /// logits[rows, chunk] = hidden · weightsᵀ for `width` rows of weights.
  private func multiply(
    _ input: HeadInput,
    by weights: UnsafePointer<Float>,
    width: Int,
    into logits: UnsafeMutablePointer<Float>
  ) {
    let d = model.configuration.hiddenSize
    let panels = ThreadScratch.floats(Self.chunk * (d + 16), .headRowPanels)
    let run = StackedWeight.run(extent: d, blockSize: 1)
    if let tiles = input.tiles {
      tiles.multiply(
        byRows: weights,
        width: width,
        run: run,
        panels: panels,
        y: logits,
        yStride: Self.chunk
      )
      return
    }
    for k in stride(from: 0, to: d, by: run) {
      let length = min(run, d - k)
      for row in stride(from: 0, to: width, by: 16) {
        reft_pack_transposed_f32(
          length,
          min(16, width - row),
          weights + row * d + k,
          d,
          panels + k * MatrixProduct.padded(width) + row * length
        )
      }
    }
    MatrixProduct.multiply(
      rows: input.count,
      columns: width,
      extent: d,
      run: run,
      x: input.rows,
      xStride: d,
      panels: panels,
      y: logits,
      yStride: Self.chunk,
      accumulate: false
    )
  }

  /// A floor of each row's log-sum-exp, known before the sweep: that of the vocabulary's beginning,
  /// where byte pair encodings have their frequent words, or the label's logit if that is more.
  private func floors(
    labels: [Int32],
    _ input: HeadInput
  ) -> UnsafePointer<Float> {
    let (n, hidden) = (labels.count, input.rows)
    let d = model.configuration.hiddenSize
    let statistics = self.statistics.floats(Self.partCount * n * 3)
    sweep(0..<model.configuration.vocabularySize / 16, labels, input, statistics)
    let floors = floorBuffer.floats(n)
    pool.run((n + 15) / 16) { index in
      let weights = ThreadScratch.floats(d, .headRows)
      for row in index * 16..<min(n, index * 16 + 16) {
        let total = logSumExp(row, of: n, statistics)
        let label = Int(labels[row])
        head.weight.parts[0].expand(row: label, column: 0, count: d, into: weights)
        var logit = reft_dot_f32(d, weights, hidden + row * d)
        finish(&logit, first: label, count: 1)
        floors[row] = max(total, logit)
      }
    }
    return UnsafePointer(floors)
  }

  /// The log-sum-exp of one row over all parts.
  private func logSumExp(_ row: Int, of n: Int, _ statistics: UnsafePointer<Float>) -> Float {
    let (largest, sum) = total(row, of: n, statistics)
    return log(sum) + largest
  }

  /// The maximum of one row over all parts, and the sum of exponentials relative to it.
  private func total(
    _ row: Int,
    of n: Int,
    _ statistics: UnsafePointer<Float>
  ) -> (largest: Float, sum: Float) {
    var largest = -Float.infinity
    for part in 0..<Self.partCount { largest = max(largest, statistics[part * n * 3 + row]) }
    var sum: Float = 0
    for part in 0..<Self.partCount {
      let factor = exp(statistics[part * n * 3 + row] - largest)
      sum += statistics[part * n * 3 + n + row] * factor
    }
    return (largest, sum)
  }

  /// average += exponentials · weights, where words of negligible probability count as the mean
  /// of their chunk.
  ///
  /// Most words are, for most rows, so what is left is a fraction of the product (after Wijmans et
  /// al., Cut Your Losses in Large-Vocabulary Language Models, arXiv 2411.09009, section 4.3, who
  /// drop them). A row that is spread over many words goes through the whole product. Which way a
  /// row takes depends on its own numbers alone.
  private func add(
    _ exponentials: UnsafeMutablePointer<Float>,
    rows n: Int,
    _ limits: UnsafePointer<Float>,
    _ chunkSums: UnsafePointer<Float>,
    of weights: UnsafeMutablePointer<Float>,
    width: Int,
    to average: UnsafeMutablePointer<Float>
  ) {
    let d = model.configuration.hiddenSize
    addMean(of: weights, width: width)
    let places = ThreadScratch.floats(2 * Self.chunk + 2, .chosenWords)
    let values = places + Self.chunk + 1
    var spread: [Int] = []
    places.withMemoryRebound(to: Int32.self, capacity: Self.chunk + 1) { places in
      for row in 0..<n {
        let source = exponentials + row * Self.chunk
        let count = reft_select_f32(width, source, limits[row], places, values)
        if count > width / 4 {
          spread.append(row)
          continue
        }
        places[count] = Int32(width)
        values[count] = chunkSums[row]
        for index in 0..<count { values[count] -= values[index] }
        reft_add_rows_f32(d, count + 1, places, values, weights, d, average + row * d)
      }
    }
    if !spread.isEmpty { add(exponentials, spread: spread, of: weights, width: width, to: average) }
  }

  /// Puts the mean of the head's rows behind them.
  private func addMean(of weights: UnsafeMutablePointer<Float>, width: Int) {
    let d = model.configuration.hiddenSize
    let mean = weights + width * d
    mean.update(repeating: 0, count: d)
    for row in 0..<width { reft_axpy_f32(d, 1 / Float(width), weights + row * d, mean) }
  }

  /// The rows that are spread over many words, through the whole product.
  private func add(
    _ exponentials: UnsafeMutablePointer<Float>,
    spread: [Int],
    of weights: UnsafePointer<Float>,
    width: Int,
    to average: UnsafeMutablePointer<Float>
  ) {
    let d = model.configuration.hiddenSize
    // The rows' exponentials move together to the front: a row's place is never before `index`.
    let product = ThreadScratch.floats(spread.count * d, .rowAverages)
    for (index, row) in spread.enumerated() where index != row {
      (exponentials + index * Self.chunk)
        .update(from: exponentials + row * Self.chunk, count: width)
    }
    let panels = ThreadScratch.floats(Self.chunk * (d + 16), .headRowPanels)
    for column in stride(from: 0, to: d, by: 16) {
      let columns = min(16, d - column)
      for row in 0..<width {
        let target = panels + column * width + row * 16
        target.update(from: weights + row * d + column, count: columns)
        for rest in columns..<16 { target[rest] = 0 }
      }
    }
    MatrixProduct.multiply(
      rows: spread.count,
      columns: d,
      extent: width,
      run: width,
      x: exponentials,
      xStride: Self.chunk,
      panels: panels,
      y: product,
      yStride: d,
      accumulate: false
    )
    for (index, row) in spread.enumerated() {
      reft_axpy_f32(d, 1, product + index * d, average + row * d)
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
    let (largest, sum) = total(row, of: n, statistics)
    var labelLogit = -Float.infinity
    for part in 0..<Self.partCount {
      labelLogit = max(labelLogit, statistics[part * n * 3 + 2 * n + row])
    }
    if let gradient, let averages {
      let out = gradient + row * d
      head.weight.parts[0].expand(row: Int(label), column: 0, count: d, into: out)
      var slope = -scale
      if let cap = head.softCap { reft_softcap_backward_f32(1, 1, cap, &labelLogit, &slope) }
      reft_scale_f32(d, slope, out)
      for part in 0..<Self.partCount {
        let factor = exp(statistics[part * n * 3 + row] - largest) / sum * scale
        reft_axpy_f32(d, factor, averages + (part * n + row) * d, out)
      }
    }
    return log(sum) + largest - labelLogit
  }
}
