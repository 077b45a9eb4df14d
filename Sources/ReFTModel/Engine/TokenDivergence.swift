// SPDX-License-Identifier: Apache-2.0
// How far other final states lead the next token's distribution from a reference: for tables of
// side effects. The head runs on this processor wherever the states come from; logits of a few rows
// at a time.

import CReFTKernels
import Foundation
package import ReFTTensor

/// What some rows of final states say of the next tokens, beside reference rows p.
package struct TokenDivergence: Sendable, Equatable {
  /// Σ −log q(label), in nats.
  package var surprise: Double
  /// Σ KL(p ‖ q), in nats.
  package var divergence: Double

  /// Nothing yet, or sums.
  package init(surprise: Double = 0, divergence: Double = 0) {
    (self.surprise, self.divergence) = (surprise, divergence)
  }
}

extension FrozenModel {
  /// The most logits that are kept at once: 64 MiB.
  private static let logitRoom = 16 << 20

  /// Compares the distributions of variants with those of a reference.
  ///
  /// - Parameters:
  ///   - variants: final states of each variant, [labels, d] each.
  ///   - reference: the reference's, [labels, d].
  ///   - labels: the token that follows each row.
  ///   - pool: does the products.
  /// - Returns: sums over all rows, one for each variant.
  /// - Throws: `usage` for a model that does not predict tokens.
  package func divergences(
    of variants: [UnsafePointer<Float>],
    from reference: UnsafePointer<Float>,
    labels: [Int32],
    pool: ThreadPool = .shared
  ) throws(ReFTError) -> [TokenDivergence] {
    let head = try languageHead()
    let (d, vocabulary) = (configuration.hiddenSize, configuration.vocabularySize)
    let groups = variants.count + 1
    let chunk = max(1, min(labels.count, Self.logitRoom / vocabulary / groups))
    let input = FloatBuffer(count: groups * chunk * d)
    let logits = FloatBuffer(count: groups * chunk * vocabulary)
    // Exponentials of the reference's logits and of one variant's, for each row.
    let scratch = FloatBuffer(count: 2 * chunk * vocabulary)
    var sums = [TokenDivergence](repeating: TokenDivergence(), count: variants.count)
    for first in stride(from: 0, to: labels.count, by: chunk) {
      let count = min(chunk, labels.count - first)
      for (group, states) in ([reference] + variants).enumerated() {
        (input.base + group * count * d).update(from: states + first * d, count: count * d)
      }
      self.logits(head, input.base, rows: groups * count, into: logits.base, pool)
      let rows = LogitRows(
        base: logits.base,
        scratch: scratch.base,
        width: vocabulary,
        count: count,
        groups: groups
      )
      rows.compare(labels: Array(labels[first..<first + count]), pool: pool, adding: &sums)
    }
    return sums
  }

  private func logits(
    _ head: LanguageHeadWeights,
    _ states: UnsafePointer<Float>,
    rows: Int,
    into logits: UnsafeMutablePointer<Float>,
    _ pool: ThreadPool
  ) {
    let vocabulary = configuration.vocabularySize
    MatrixProduct.forward(
      head.weight.panels(repacks: false, pool: pool),
      rows: rows,
      x: states,
      y: logits,
      accumulate: false,
      pool: pool
    )
    guard head.bias != nil || head.softCap != nil else { return }
    for row in 0..<rows {
      let start = logits + row * vocabulary
      if let bias = head.bias { reft_axpy_f32(vocabulary, 1, bias.base, start) }
      if let cap = head.softCap { reft_softcap_f32(vocabulary, 1, cap, start) }
    }
  }
}

/// Logits of a reference, and behind them those of its variants.
private struct LogitRows: @unchecked Sendable {
  // Sendable: each piece of work touches the rows of one token alone.
  let base: UnsafeMutablePointer<Float>
  let scratch: UnsafeMutablePointer<Float>
  let width: Int
  let count: Int
  let groups: Int

  func compare(labels: [Int32], pool: ThreadPool, adding sums: inout [TokenDivergence]) {
    let variants = groups - 1
    var parts = [TokenDivergence](repeating: TokenDivergence(), count: count * variants)
    parts.withUnsafeMutableBufferPointer { parts in
      nonisolated(unsafe) let parts = parts
      pool.run(count) { token in
        compare(token, label: Int(labels[token])) { parts[token * variants + $0] = $1 }
      }
    }
    // In the order of the tokens, however many threads there are.
    for (index, part) in parts.enumerated() {
      sums[index % variants].surprise += part.surprise
      sums[index % variants].divergence += part.divergence
    }
  }

  /// KL(p ‖ q) = Σ p (a − b) + log Σ exp b − log Σ exp a, where a and b are the logits of p and q.
  private func compare(_ token: Int, label: Int, _ note: (Int, TokenDivergence) -> Void) {
    let reference = base + token * width
    let weights = scratch + token * 2 * width
    let (shift, weightSum) = exponentials(of: reference, into: weights)
    for variant in 0..<groups - 1 {
      let row = base + ((variant + 1) * count + token) * width
      let chosen = Double(row[label])
      let (largest, sum) = exponentials(of: row, into: weights + width)
      // The logits of q are not needed again.
      reft_scale_f32(width, -1, row)
      reft_axpy_f32(width, 1, reference, row)
      var along = 0.0
      for word in stride(from: 0, to: width, by: 256) {
        along += Double(reft_dot_f32(min(256, width - word), weights + word, row + word))
      }
      let total = log(sum) + largest
      let divergence = along / weightSum + total - (log(weightSum) + shift)
      note(variant, TokenDivergence(surprise: total - chosen, divergence: max(0, divergence)))
    }
  }

  /// exp(x − largest) of a row, and the sum of these.
  private func exponentials(
    of row: UnsafePointer<Float>,
    into copy: UnsafeMutablePointer<Float>
  ) -> (largest: Double, sum: Double) {
    let largest = reft_max_f32(width, row)
    copy.update(from: row, count: width)
    return (Double(largest), Double(reft_exp_sum_f32(width, largest, copy)))
  }
}
