// SPDX-License-Identifier: Apache-2.0
// Side effects on text that has nothing to do with the contrast: perplexity, and how far the
// distribution of the next token moves from the frozen model's.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import ReFTTraining

/// Running text, in pieces.
final class NeutralMeasure {
  /// What a variant does to the text.
  struct Outcome {
    var perplexity: Double
    var divergence: Double
  }

  /// Tokens of a piece.
  private static let pieceLength = 256

  private let model: LoadedModel
  private let pieces: [[Int32]]
  private let budget: Int
  /// The frozen model's final states at the tokens that predict others, piece after piece.
  private var frozen: [FloatBuffer] = []

  /// Cuts a text.
  ///
  /// - Parameters:
  ///   - ids: the text's tokens, without a beginning-of-text token.
  ///   - limit: how many of them are used.
  ///   - model: the frozen model.
  ///   - microBatchTokens: the most tokens of one pass.
  init(ids: [Int32], limit: Int, model: LoadedModel, microBatchTokens: Int) {
    let used = Array(ids.prefix(limit))
    let length = min(Self.pieceLength, model.configuration.contextLength - 1)
    pieces = stride(from: 0, to: used.count, by: length).map {
      Array(used[$0..<min($0 + length, used.count)])
    }.filter { $0.count > 1 }
    self.model = model
    budget = microBatchTokens
  }

  /// How many tokens are predicted.
  var tokenCount: Int { pieces.reduce(0) { $0 + $1.count - 1 } }

  /// Measures variants.
  ///
  /// - Parameters:
  ///   - variants: the adapter of each; nil for the frozen model.
  ///   - instruction: the tokens of what is put before each piece.
  ///   - runtime: the model.
  /// - Returns: an outcome for each variant.
  /// - Throws: what model and plugins throw.
  func outcomes(
    _ variants: [Adapter?],
    instruction: [Int32] = [],
    _ runtime: any DeviceRuntime
  ) throws -> [Outcome] {
    if frozen.isEmpty { try rememberFrozen(runtime) }
    var sums = [TokenDivergence](repeating: TokenDivergence(), count: variants.count)
    let lengths = pieces.map { $0.count * variants.count }
    for places in MicroBatches.split(lengths: lengths, budget: budget) {
      try run(places, variants, instruction, runtime) { place, states in
        let found = try model.frozen.divergences(
          of: states,
          from: frozen[place].base,
          labels: Array(pieces[place].dropFirst())
        )
        for (variant, part) in found.enumerated() {
          sums[variant].surprise += part.surprise
          sums[variant].divergence += part.divergence
        }
      }
    }
    let count = Double(max(1, tokenCount))
    return sums.map {
      Outcome(perplexity: exp($0.surprise / count), divergence: $0.divergence / count)
    }
  }

  private func rememberFrozen(_ runtime: any DeviceRuntime) throws {
    let width = model.configuration.hiddenSize
    var made = [FloatBuffer?](repeating: nil, count: pieces.count)
    for places in MicroBatches.split(lengths: pieces.map(\.count), budget: budget) {
      try run(places, [nil], [], runtime) { place, states in
        let copy = FloatBuffer(count: (pieces[place].count - 1) * width)
        copy.base.update(from: states[0], count: copy.count)
        made[place] = copy
      }
    }
    frozen = made.compactMap(\.self)
  }

  /// Runs some pieces, and hands over the states of each piece under each variant.
  private func run(
    _ places: [Int],
    _ variants: [Adapter?],
    _ instruction: [Int32],
    _ runtime: any DeviceRuntime,
    _ body: (_ place: Int, _ states: [UnsafePointer<Float>]) throws -> Void
  ) throws {
    let tokenizer = model.tokenizer
    let bos = tokenizer.addsBOS ? tokenizer.bos : nil
    let before = instruction.isEmpty ? (bos.map { [$0] } ?? []) : instruction
    let texts = places.map { VariantBatch.Text(ids: before + pieces[$0]) }
    let batch = try VariantBatch(texts, variants: variants, runtime)
    let width = model.configuration.hiddenSize
    let counts = places.map { pieces[$0].count - 1 }
    let whole = counts.reduce(0, +)
    try batch.finalStates(
      runtime,
      of: { before.count..<before.count + counts[$0 % counts.count] }
    ) { states in
      var first = 0
      for (index, place) in places.enumerated() {
        try body(place, variants.indices.map { states + ($0 * whole + first) * width })
        first += counts[index]
      }
    }
  }
}
