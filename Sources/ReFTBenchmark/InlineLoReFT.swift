// SPDX-License-Identifier: Apache-2.0
// LoReFT compiled into the engine, to measure what the way through the plugin ABI costs: no table is
// called, nothing is checked.

import CReFTKernels
package import ReFTModel
import ReFTTensor

/// LoReFT at the output of every block without a plugin, the yardstick of the ABI benchmark.
///
/// Edits h to h + Rᵀ(W h + b − R h). Nobody trains with it.
package final class InlineLoReFT: HiddenStateEditor {
  package let sites: Set<Site>
  package let needsAllRows = false
  package let sharedPrefixLimit = 0

  /// Per block R [r, d], W [r, d], b [r]; gradients have the same layout.
  private let parameters: [FloatBuffer]
  private let gradients: [FloatBuffer]
  private let edits: [BlockEdit]

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
    sites = Set(blocks.map { Site(block: $0, component: .blockOutput) })
    let size = rank * (2 * width + 1)
    let parameters = (0..<layers).map { block in
      let buffer = FloatBuffer(count: size)
      for index in 0..<size { buffer[index] = 0.02 * Float((index * 31 + block * 7) % 17 - 8) }
      return buffer
    }
    let gradients = isTraining ? (0..<layers).map { _ in FloatBuffer(count: size) } : []
    (self.parameters, self.gradients) = (parameters, gradients)
    edits = parameters.enumerated().map { block, parameters in
      BlockEdit(
        parameters,
        isTraining ? gradients[block] : nil,
        rank: rank,
        width: width,
        tokens: tokens.map { Int32($0) }
      )
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

  package func edits(at site: Site) -> [any RowEdit] { [edits[site.block]] }

  /// The edit of one block.
  private final class BlockEdit: RowEdit {
    let tokens: [Int32]
    private let rank: Int
    /// R [r, d], W [r, d], b [r].
    private let base: UnsafeMutablePointer<Float>
    private let gradients: UnsafeMutablePointer<Float>?
    /// What the backward pass needs: rows and their coefficients.
    private let kept: (rows: FloatBuffer, coefficients: FloatBuffer)?
    /// Coefficients of one row, or their gradients.
    private let scratch: FloatBuffer

    init(
      _ parameters: FloatBuffer,
      _ gradients: FloatBuffer?,
      rank: Int,
      width: Int,
      tokens: [Int32]
    ) {
      (self.tokens, self.rank) = (tokens, rank)
      (base, self.gradients) = (parameters.base, gradients?.base)
      scratch = FloatBuffer(count: rank)
      kept = gradients.map { _ in
        (FloatBuffer(count: tokens.count * width), FloatBuffer(count: tokens.count * rank))
      }
    }

    func edit(_ rows: GatheredRows) {
      let width = rows.width
      let (weight, bias) = (base + rank * width, base + 2 * rank * width)
      kept?.rows.base.update(from: rows.rows, count: rows.count * width)
      for index in 0..<rows.count {
        let row = rows.rows + index * width
        let coefficients = kept.map { $0.coefficients.base + index * rank } ?? scratch.base
        for i in 0..<rank {
          let replaced = reft_dot_f32(width, weight + i * width, row) + bias[i]
          coefficients[i] = replaced - reft_dot_f32(width, base + i * width, row)
        }
        for i in 0..<rank { reft_axpy_f32(width, coefficients[i], base + i * width, row) }
      }
    }

    func differentiate(_ rows: GatheredRows) {
      guard let kept, let into = gradients else { return }
      let width = rows.width
      let weight = base + rank * width
      let slopes = scratch.base
      for index in 0..<rows.count {
        let row = rows.rows + index * width
        let input = kept.rows.base + index * width
        let coefficients = kept.coefficients.base + index * rank
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
}
