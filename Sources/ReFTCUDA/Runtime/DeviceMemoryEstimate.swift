// SPDX-License-Identifier: Apache-2.0
// What a model takes of a card's memory, from the sizes by which passes allocate theirs.

package import ReFTModel
import ReFTTensor

/// Bytes on a card.
package struct DeviceMemoryEstimate: Sendable, Equatable {
  /// The weights, as they lie on the card.
  package let weightBytes: Int
  /// What a block with a way back keeps of each token.
  package let keptBytesPerToken: Int
  /// What a pass takes of each token whatever its blocks keep.
  package let passBytesPerToken: Int
  /// Keys and values of a token, of all blocks.
  package let cacheBytesPerToken: Int
  /// The most logits, and their gradients, at once.
  package let logitBytes: Int

  /// Computes them.
  package init(_ model: FrozenModel, isExact: Bool, keepsQuantised: Bool = false) {
    let shape = model.configuration
    let size = isExact ? 4 : 2
    let (d, f) = (shape.hiddenSize, shape.feedForwardSize)
    let heads = shape.queryWidth + 2 * shape.keyValueWidth
    var weights = 0
    var largest = 0
    func add(_ weight: StackedWeight) {
      let dense = weight.rows * weight.columns * size
      guard keepsQuantised, !isExact, let format = WeightLoader.packedFormat(weight) else {
        weights += dense
        return
      }
      weights += format.byteCount(rows: weight.rows, columns: weight.columns)
      largest = max(largest, dense)
    }
    for block in model.blocks {
      for projection in [block.queryKeyValue, block.attentionOutput, block.mlpInput, block.down] {
        add(projection.weight)
      }
    }
    weights += model.embedding.weight.rows * d * size
    if let head = try? model.languageHead(), !model.plan.isTied || keepsQuantised {
      add(head.weight)
    }
    weightBytes = weights + largest
    let hasGate = model.plan.blocks.contains { $0.mlp.gate != nil }
    let up = (hasGate ? 2 : 1) * f
    let hasHeadNorm = model.plan.blocks.contains { $0.attention.queryNorm != nil }
    let hasPost = model.plan.blocks.contains {
      $0.attentionPostNorm != nil || $0.attentionSumNorm != nil
    }
    let queries = model.plan.blocks.map(\.attention.heads).max() ?? 0
    keptBytesPerToken =
      8 * d + size * (heads + shape.queryWidth + up) + 4 * queries
      + (hasHeadNorm ? size * (heads - shape.keyValueWidth) : 0) + (hasPost ? 8 * d : 0)
    passBytesPerToken =
      size * (3 * d + shape.queryWidth + f + heads) + 4 * (4 * d + queries)
    cacheBytesPerToken = 2 * shape.layers * shape.keyValueWidth * size
    logitBytes = DeviceLoss.logitBytes / 2 * (isExact ? 4 : 3)
  }
}

extension ReFTError {
  static func modelTooLarge(
    _ path: String,
    needed: Int,
    free: Int,
    card: String
  ) -> ReFTError {
    func giga(_ bytes: Int) -> String { "\((Double(bytes) / 1e8).rounded() / 10) GB" }
    return ReFTError(
      .inputOutput,
      "\(path): the model takes \(giga(needed)) of a card's memory, and \(card) has "
        + "\(giga(max(0, free))) free. Take a quantised or smaller model, another card "
        + "(--device cuda:1), or --device cpu."
    )
  }
}
