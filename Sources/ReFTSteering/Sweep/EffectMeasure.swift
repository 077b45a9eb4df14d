// SPDX-License-Identifier: Apache-2.0
// The effect of steering on held-out texts: which of two completions the model prefers, or where
// texts have none, how far their final states move from the negative to the positive ones.

import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining

/// Measures how far the model leans to the positive side.
final class EffectMeasure {
  /// The axis between the classes, in the frozen model's final states.
  private struct Axis {
    /// From the negative to the positive mean, over the square of their distance.
    var slope: [Double]
    /// Where the negative mean lies.
    var origin: Double
  }

  private let model: LoadedModel
  private let contrast: ContrastSet
  private let encoder: ContrastEncoder
  private let position: ReadPosition
  private let budget: Int
  private var axis: Axis?

  /// Whether completions are compared; else final states are projected.
  var comparesCompletions: Bool { contrast.hasCompletions }

  /// How many pairs, or texts, the effect is a mean over.
  var count: Int { comparesCompletions ? contrast.positives.count : contrast.count }

  init(
    _ contrast: ContrastSet,
    encoder: ContrastEncoder,
    position: ReadPosition,
    model: LoadedModel,
    microBatchTokens: Int
  ) {
    (self.contrast, self.encoder, self.position) = (contrast, encoder, position)
    (self.model, budget) = (model, microBatchTokens)
  }

  /// The lean of each pair, or text, under each variant.
  ///
  /// - Parameters:
  ///   - variants: the adapter of each; nil for the frozen model.
  ///   - instruction: what is put before each prompt.
  ///   - runtime: the model.
  /// - Returns: for each variant one number per pair, or per text.
  /// - Throws: what model and plugins throw.
  func values(
    _ variants: [Adapter?],
    instruction: String? = nil,
    _ runtime: any DeviceRuntime
  ) throws -> [[Double]] {
    let positives = try encoder.encode(contrast.positives, instruction: instruction)
    let negatives = try encoder.encode(contrast.negatives, instruction: instruction)
    if comparesCompletions {
      return try preferences(positives, negatives, variants, runtime)
    }
    let axis = try axis(runtime)
    let texts = positives + negatives
    return try states(texts, variants, runtime).map { rows in
      rows.product(axis.slope).map { $0 - axis.origin }
    }
  }

  // MARK: Completions

  private func preferences(
    _ positives: [EncodedContrast],
    _ negatives: [EncodedContrast],
    _ variants: [Adapter?],
    _ runtime: any DeviceRuntime
  ) throws -> [[Double]] {
    var result = [[Double]](
      repeating: [Double](repeating: 0, count: positives.count),
      count: variants.count
    )
    let lengths = zip(positives, negatives).map {
      ($0.ids.count + $1.ids.count) * variants.count
    }
    for pairs in MicroBatches.split(lengths: lengths, budget: budget) {
      let texts = pairs.flatMap { [positives[$0], negatives[$0]] }
      let batch = try VariantBatch(
        texts.map { VariantBatch.Text($0, predicts: true) },
        variants: variants,
        runtime
      )
      let losses = try batch.losses(runtime)
      for variant in variants.indices {
        for (place, pair) in pairs.enumerated() {
          let first = variant * texts.count + 2 * place
          result[variant][pair] = losses[first + 1] - losses[first]
        }
      }
    }
    return result
  }

  // MARK: Projection

  private func axis(_ runtime: any DeviceRuntime) throws -> Axis {
    if let axis { return axis }
    let positive = try states(encoder.encode(contrast.positives), [nil], runtime)[0].mean
    let negative = try states(encoder.encode(contrast.negatives), [nil], runtime)[0].mean
    let difference = zip(positive, negative).map { $0 - $1 }
    let square = RowMatrix.dot(difference, difference)
    guard square > 0 else { throw ReFTError.statesAlike() }
    let slope = difference.map { $0 / square }
    let made = Axis(slope: slope, origin: RowMatrix.dot(slope, negative))
    axis = made
    return made
  }

  /// The final state of each text under each variant: the mean over the tokens that stand for it.
  private func states(
    _ texts: [EncodedContrast],
    _ variants: [Adapter?],
    _ runtime: any DeviceRuntime
  ) throws -> [RowMatrix] {
    let width = model.configuration.hiddenSize
    var read: [[Int]] = []
    for text in texts { read.append(try position.tokens(of: text, tokenizer: model.tokenizer)) }
    var rows = [[[Double]]](
      repeating: [[Double]](repeating: [], count: texts.count),
      count: variants.count
    )
    let lengths = texts.map { $0.ids.count * variants.count }
    for places in MicroBatches.split(lengths: lengths, budget: budget) {
      let batch = try VariantBatch(
        places.map { VariantBatch.Text(texts[$0]) },
        variants: variants,
        runtime
      )
      try batch.finalStates(runtime, of: { read[places[$0 % places.count]] }) { states in
        var next = states
        for variant in variants.indices {
          for place in places {
            let count = read[place].count
            rows[variant][place] = (0..<width).map { column in
              (0..<count).reduce(0) { $0 + Double(next[$1 * width + column]) } / Double(count)
            }
            next += count * width
          }
        }
      }
    }
    return rows.map { rows in
      var matrix = RowMatrix(columns: width)
      for row in rows { matrix.append(row) }
      return matrix
    }
  }
}

extension ReFTError {
  fileprivate static func statesAlike() -> ReFTError {
    ReFTError(
      .badData,
      "positive and negative texts have the same final states at the tokens that are read, so "
        + "that an effect cannot be told; read at another --position, or give texts with "
        + "completions"
    )
  }
}
