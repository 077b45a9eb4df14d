// SPDX-License-Identifier: Apache-2.0
// LoReFT compiled into the engine, to measure what the way through the plugin ABI costs. It edits rows
// where they lie: nothing is gathered, no table is called, nothing is checked.

import CReFTKernels
import ReFTTensor

/// LoReFT at the output of every block without a plugin, the yardstick of the ABI benchmark.
///
/// Edits h to h + Rᵀ(W h + b − R h). Nobody trains with it.
package final class InlineLoReFT: HiddenStateEditor {
  package let sites: Set<Site>
  package let needsAllRows = false
  package let sharedPrefixLimit = 0

  /// What the backward pass needs of one block: rows and their coefficients.
  private struct Kept {
    var rows: FloatBuffer
    var coefficients: FloatBuffer
  }

  private let rank: Int
  private let width: Int
  /// The edited tokens of the batch.
  private let tokens: [Int]
  /// Per block R [r, d], W [r, d], b [r]; gradients have the same layout.
  private let parameters: [FloatBuffer]
  private let gradients: [FloatBuffer]
  private var kept: [Kept] = []

  /// Makes an edit of chosen tokens.
  ///
  /// - Parameters:
  ///   - model: the model whose blocks are edited.
  ///   - blocks: the edited blocks.
  ///   - rank: of the edit, at least 1.
  ///   - tokens: indices of the edited tokens in the batch.
  ///   - isTraining: whether backward passes follow.
  package init(model: FrozenModel, blocks: [Int], rank: Int, tokens: [Int], isTraining: Bool) {
    let (layers, width) = (model.configuration.layers, model.configuration.hiddenSize)
    (self.rank, self.width, self.tokens) = (rank, width, tokens)
    sites = Set(blocks.map { Site(block: $0, component: .blockOutput) })
    let size = rank * (2 * width + 1)
    parameters = (0..<layers).map { block in
      let buffer = FloatBuffer(count: size)
      for index in 0..<size { buffer[index] = 0.02 * Float((index * 31 + block * 7) % 17 - 8) }
      return buffer
    }
    gradients = isTraining ? (0..<layers).map { _ in FloatBuffer(count: size) } : []
    if isTraining {
      kept = (0..<layers).map { _ in
        Kept(
          rows: FloatBuffer(count: tokens.count * width),
          coefficients: FloatBuffer(count: tokens.count * rank)
        )
      }
    }
  }

  /// Takes the parameters of a block, so that both ways compute the same.
  ///
  /// - Parameters:
  ///   - values: R [r, d], W [r, d] and b [r], one behind the other.
  ///   - block: the block.
  package func setParameters(_ values: [Float], block: Int) {
    precondition(values.count == parameters[block].count)
    for (index, value) in values.enumerated() { parameters[block][index] = value }
  }

  package func edit(_ hidden: HiddenRows, at site: Site) throws {
    let base = parameters[site.block].base
    let (weight, bias) = (base + rank * width, base + 2 * rank * width)
    let scratch = ThreadScratch.floats(rank, slot: 0)
    for (place, token) in tokens.enumerated() {
      guard let row = hidden.row(ofToken: token) else { continue }
      var coefficients = scratch
      if !kept.isEmpty {
        (kept[site.block].rows.base + place * width).update(from: row, count: width)
        coefficients = kept[site.block].coefficients.base + place * rank
      }
      for i in 0..<rank {
        let replaced = reft_dot_f32(width, weight + i * width, row) + bias[i]
        coefficients[i] = replaced - reft_dot_f32(width, base + i * width, row)
      }
      for i in 0..<rank { reft_axpy_f32(width, coefficients[i], base + i * width, row) }
    }
  }

  package func differentiate(_ gradient: HiddenRows, at site: Site) throws {
    let base = parameters[site.block].base
    let weight = base + rank * width
    let into = gradients[site.block].base
    let slopes = ThreadScratch.floats(rank, slot: 0)
    for (place, token) in tokens.enumerated() {
      guard let row = gradient.row(ofToken: token) else { continue }
      let input = kept[site.block].rows.base + place * width
      let coefficients = kept[site.block].coefficients.base + place * rank
      for i in 0..<rank {
        slopes[i] = reft_dot_f32(width, base + i * width, row)
        reft_axpy_f32(width, coefficients[i], row, into + i * width)
        reft_axpy_f32(width, -slopes[i], input, into + i * width)
        reft_axpy_f32(width, slopes[i], input, into + (rank + i) * width)
        into[2 * rank * width + i] += slopes[i]
      }
      for i in 0..<rank {
        reft_axpy_f32(width, slopes[i], weight + i * width, row)
        reft_axpy_f32(width, -slopes[i], base + i * width, row)
      }
    }
  }
}
