// SPDX-License-Identifier: Apache-2.0
// The matrices of a block by the field's names, for whoever adds something to their products.

/// A matrix of a block whose product something can be added to.
///
/// The names are those of Llama's folders. Families that hold several matrices in one tensor have the
/// same names here: each is a range of columns of one product, and so are all of them together.
public enum BlockProjection: String, CaseIterable, Sendable, Hashable {
  /// To queries.
  case query = "q_proj"
  /// To keys.
  case key = "k_proj"
  /// To values.
  case value = "v_proj"
  /// To queries, keys and values, one above the other.
  case queryKeyValue = "qkv_proj"
  /// From all heads' values back to the residual stream.
  case attentionOutput = "o_proj"
  /// Into the activation of an MLP with a gate.
  case gate = "gate_proj"
  /// Into what the activation multiplies, or into the activation of an MLP without a gate.
  case up = "up_proj"
  /// The last two, one above the other.
  case gateUp = "gate_up_proj"
  /// From the MLP back to the residual stream.
  case down = "down_proj"

  /// The product that computes it.
  package var product: BlockProduct {
    switch self {
    case .query, .key, .value, .queryKeyValue: .queryKeyValue
    case .attentionOutput: .attentionOutput
    case .gate, .up, .gateUp: .mlpInput
    case .down: .down
    }
  }
}

/// The products of a block, in the order of the computation; several matrices that read the same rows are
/// one.
package enum BlockProduct: Int, CaseIterable, Sendable, Hashable {
  case queryKeyValue, attentionOutput, mlpInput, down
}

extension ModelConfiguration {
  /// Numbers in a row that a projection reads.
  public func inputWidth(of projection: BlockProjection) -> Int {
    switch projection.product {
    case .queryKeyValue, .mlpInput: hiddenSize
    case .attentionOutput: queryWidth
    case .down: feedForwardSize
    }
  }

  /// Numbers in a row that a projection makes.
  public func outputWidth(of projection: BlockProjection) -> Int { columns(of: projection).count }

  /// Which numbers of its product's row a projection makes.
  package func columns(of projection: BlockProjection) -> Range<Int> {
    switch projection {
    case .query: 0..<queryWidth
    case .key: queryWidth..<queryWidth + keyValueWidth
    case .value: queryWidth + keyValueWidth..<queryWidth + 2 * keyValueWidth
    case .queryKeyValue: 0..<queryWidth + 2 * keyValueWidth
    case .attentionOutput, .down: 0..<hiddenSize
    case .gate: 0..<feedForwardSize
    case .up: hasGate ? feedForwardSize..<2 * feedForwardSize : 0..<feedForwardSize
    case .gateUp: 0..<2 * feedForwardSize
    }
  }

  /// For each number of a row that a projection makes, its row in the order of Hugging Face; nil where
  /// the file has that order.
  package func rowOrder(of projection: BlockProjection) -> [Int32]? {
    guard hasReorderedHeads, [.query, .key, .queryKeyValue].contains(projection) else { return nil }
    let rotated = projection == .queryKeyValue ? queryWidth + keyValueWidth : Int.max
    return (0..<outputWidth(of: projection)).map { row in
      guard row < rotated else { return Int32(row) }
      let (head, place) = row.quotientAndRemainder(dividingBy: headSize)
      return Int32(head * headSize + place % 2 * (headSize / 2) + place / 2)
    }
  }

  /// The projections that the model has.
  public var projections: [BlockProjection] {
    BlockProjection.allCases.filter { hasGate || ($0 != .gate && $0 != .gateUp) }
  }
}
