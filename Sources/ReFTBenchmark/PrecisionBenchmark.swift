// SPDX-License-Identifier: Apache-2.0
// What rounding the activations of decoded tokens changes in the model's predictions.

import Foundation
public import ReFTModel
import ReFTTensor

/// Compares the predictions of each decode precision with those of float32 activations.
public struct PrecisionBenchmark {
  /// How far one precision's predictions are from float32's.
  public struct Result: Sendable {
    /// The precision.
    public var precision: DecodePrecision
    /// The mean Kullback-Leibler divergence KL(float32 ‖ rounded) in nats per token.
    public var meanDivergence: Double
    /// The largest of a token.
    public var largestDivergence: Double
    /// The part of tokens whose likeliest successor is the same, from 0 to 1.
    public var sameChoice: Double
    /// The mean negative log likelihood of the text, in nats per token.
    public var loss: Double
    /// That of float32 activations.
    public var exactLoss: Double
  }

  private let model: FrozenModel

  /// Prepares measurements of a model.
  public init(model: FrozenModel) { self.model = model }

  /// Reads a text with every precision, and compares what each predicts after each piece of it.
  ///
  /// - Parameters:
  ///   - tokens: the text, at least 2 tokens.
  ///   - piece: how many tokens are read at once: one as generated ones are, more as a prompt is.
  /// - Returns: one result for each precision but float32, and for int16 with a cache of int8.
  /// - Throws: `badData` when the text does not fit the model.
  public func run(_ tokens: [Int32], piece: Int = 1) throws -> [Result] {
    let precisions = [.int8, .int16, DecodePrecision(.int16, cache: .int8), .float32]
    let lanes = try precisions.map { precision in
      let pass = ModelRuntime(model: model, precision: precision)
      return (pass: pass, cache: try pass.makeCache(capacity: max(2, tokens.count)))
    }
    guard tokens.count > 1 else { throw ReFTError.textTooShort(tokens: tokens.count) }
    let exact = precisions.count - 1
    var sums = precisions.map {
      Result(
        precision: $0,
        meanDivergence: 0,
        largestDivergence: 0,
        sameChoice: 0,
        loss: 0,
        exactLoss: 0
      )
    }
    let starts = stride(from: 0, to: tokens.count - 1, by: max(1, piece))
    let count = Double(Array(starts).count)
    for start in starts {
      let end = min(tokens.count - 1, start + max(1, piece))
      let read = Array(tokens[start..<end])
      let rows = try lanes.map { lane in
        Self.logProbabilities(try lane.pass.step([(lane.cache, read)], editor: nil))
      }
      let label = Int(tokens[end])
      let choice = Self.likeliest(rows[exact])
      for lane in precisions.indices {
        let divergence = zip(rows[exact], rows[lane]).reduce(0.0) { sum, pair in
          sum + exp(pair.0) * (pair.0 - pair.1)
        }
        sums[lane].meanDivergence += divergence / count
        sums[lane].largestDivergence = max(sums[lane].largestDivergence, divergence)
        if Self.likeliest(rows[lane]) == choice { sums[lane].sameChoice += 1 / count }
        sums[lane].loss -= rows[lane][label] / count
        sums[lane].exactLoss -= rows[exact][label] / count
      }
    }
    return Array(sums[..<exact])
  }

  private static func logProbabilities(_ logits: UnsafeMutableBufferPointer<Float>) -> [Double] {
    let largest = Double(logits.max() ?? 0)
    let total = log(logits.reduce(0.0) { $0 + exp(Double($1) - largest) }) + largest
    return logits.map { Double($0) - total }
  }

  private static func likeliest(_ row: [Double]) -> Int? {
    row.indices.max { row[$0] < row[$1] }
  }
}
