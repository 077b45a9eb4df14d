// SPDX-License-Identifier: Apache-2.0
// What a LoRA is: which matrices of which blocks are updated, by what rank and how much.

public import ReFTModel

/// Low-rank updates of frozen matrices (Hu et al., arXiv 2106.09685), beside interventions or alone.
///
/// A matrix W of `targets` in a block of `layers` computes y = W x + s B (A x) with A [rank, inputs] and
/// B [outputs, rank]; s is alpha / rank, or alpha / √rank where it is rank-stabilised
/// (arXiv 2312.03732). B starts at zero, so that a new LoRA changes nothing.
public struct LoRASpec: Sendable, Hashable {
  /// Rows of A and columns of B.
  public var rank: Int
  /// Multiplies the update, with the rank.
  public var alpha: Double
  /// The part of a row's numbers that training leaves out before A; 0 by default.
  public var dropout: Double
  /// The matrices, each once, in the order of `BlockProjection`.
  public var targets: [BlockProjection]
  /// The blocks, 0-based, ascending.
  public var layers: [Int]
  /// Whether alpha is divided by √rank.
  public var isRankStabilized: Bool

  /// The heads of the model that it was made for, which formats of other programs ask for; nil where
  /// nobody has said.
  public var heads: Heads?

  /// How many heads a model has, and how wide they are.
  public struct Heads: Sendable, Hashable {
    /// Of queries.
    public var count: Int
    /// Of keys and values.
    public var keyValueCount: Int
    /// Numbers in one.
    public var size: Int

    /// The heads of a model.
    public init(_ model: ModelConfiguration) {
      (count, keyValueCount, size) = (model.heads, model.keyValueHeads, model.headSize)
    }

    init(count: Int, keyValueCount: Int, size: Int) {
      (self.count, self.keyValueCount, self.size) = (count, keyValueCount, size)
    }
  }

  /// The largest rank.
  public static let maximumRank = 1024

  /// Describes a LoRA.
  public init(
    rank: Int = 8,
    alpha: Double = 16,
    dropout: Double = 0,
    targets: [BlockProjection] = [.query, .value],
    layers: [Int],
    isRankStabilized: Bool = false
  ) {
    (self.rank, self.alpha, self.dropout) = (rank, alpha, dropout)
    self.targets = BlockProjection.allCases.filter(targets.contains)
    self.layers = layers
    self.isRankStabilized = isRankStabilized
  }

  /// What the update is multiplied by.
  public var scale: Double {
    alpha / (isRankStabilized ? Double(rank).squareRoot() : Double(rank))
  }

  /// Floats of a row that training keeps for the gradients of A and B.
  public func keptFloatsPerRow(_ model: ModelConfiguration) -> Int {
    let sources = Dictionary(grouping: targets, by: \.product).values.compactMap(\.first)
    let widths = sources.reduce(0) { $0 + model.inputWidth(of: $1) }
    return layers.count * (widths + 2 * rank * targets.count)
  }
}
