// SPDX-License-Identifier: Apache-2.0
// How much work a pass through a model is, by its shape alone.

public import ReFTModel

/// Counts of the arithmetic that a model's passes need.
public struct ModelArithmetic: Sendable {
  private let shape: ModelConfiguration

  /// Counts for a model of that shape.
  public init(_ shape: ModelConfiguration) { self.shape = shape }

  /// Numbers in the weight matrices of one block.
  public var blockWeights: Int {
    keyValueWeights + shape.hiddenSize * (2 * shape.queryWidth + 3 * shape.feedForwardSize)
  }

  /// Numbers in the output matrix.
  public var headWeights: Int { shape.vocabularySize * shape.hiddenSize }

  private var keyValueWeights: Int { 2 * shape.hiddenSize * shape.keyValueWidth }

  /// Operations of the attention of one block over a sequence: scores and weighted values.
  ///
  /// - Parameters:
  ///   - tokens: new tokens of the sequence.
  ///   - past: tokens before them.
  /// - Returns: a count of additions and multiplications.
  public func attention(tokens: Int, past: Int = 0) -> Double {
    let pairs = Double(tokens) * Double(past) + Double(tokens) * Double(tokens + 1) / 2
    return 4 * Double(shape.queryWidth) * pairs
  }

  /// Operations of running a prompt and computing the logits after its last token.
  ///
  /// In the last block only the last token goes beyond keys and values.
  public func prefill(tokens: Int) -> Double {
    let full = Double(shape.layers - 1) * 2 * Double(blockWeights) * Double(tokens)
    let last =
      2 * Double(keyValueWeights) * Double(tokens) + 2 * Double(blockWeights - keyValueWeights)
    let scores =
      Double(shape.layers - 1) * attention(tokens: tokens) + attention(tokens: 1, past: tokens)
    return full + last + scores + 2 * Double(headWeights)
  }

  /// Operations of one decoded token after `past` tokens.
  public func decode(past: Int) -> Double {
    let weights = Double(shape.layers * blockWeights + headWeights)
    return 2 * weights + Double(shape.layers) * attention(tokens: 1, past: past)
  }

  /// Operations of a training step: forward, and backward down to the input of `lowest`.
  ///
  /// Frozen weights have no gradient, so that a block costs as much backward as forward; attention
  /// costs two and a half times as much.
  ///
  /// - Parameters:
  ///   - lengths: the sequences' lengths.
  ///   - labels: how many label rows there are.
  ///   - lowest: the lowest edited block.
  /// - Returns: a count of additions and multiplications.
  public func training(lengths: [Int], labels: Int, lowest: Int) -> Double {
    let tokens = Double(lengths.reduce(0, +))
    let scores = lengths.reduce(0.0) { $0 + attention(tokens: $1) }
    let forward = Double(shape.layers) * (2 * Double(blockWeights) * tokens + scores)
    let backward =
      Double(shape.layers - lowest) * (2 * Double(blockWeights) * tokens + 2.5 * scores)
    return forward + backward + 4 * Double(headWeights) * Double(labels)
  }
}
