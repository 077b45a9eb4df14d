// SPDX-License-Identifier: Apache-2.0
// What a model offers to whoever updates its products by matrices of low rank, y += s B (A x). The model
// knows nothing of adapters; the arithmetic is in LowRankUpdate+Arithmetic.

/// The tokens of a batch that updates work on, for all updates of one owner.
package final class UpdatedTokens: Sendable {
  /// Neighbouring tokens of one sequence.
  package struct Run: Sendable {
    /// Their indices in the batch.
    package var tokens: Range<Int>
    /// The position of the first in its sequence.
    package var position: Int
    /// Names the sequence for dropout, however a batch is split.
    package var example: Int32

    /// Describes a run.
    package init(tokens: Range<Int>, position: Int, example: Int32) {
      (self.tokens, self.position, self.example) = (tokens, position, example)
    }
  }

  /// The runs, ascending and apart.
  package let runs: [Run]

  /// Takes runs.
  package init(_ runs: [Run]) { self.runs = runs }
}

/// An update of one projection of one block for some tokens of one batch: y += scale · B (A m(x)).
///
/// x is what the projection reads, and m leaves numbers out while training, where there is dropout. A
/// token's result has the same bits whatever else is in the batch.
package final class LowRankUpdate {
  /// Where gradients are added.
  package struct Gradients {
    /// Of A, [rank, inputs].
    package var a: UnsafeMutablePointer<Float>
    /// Of B, [outputs, rank].
    package var b: UnsafeMutablePointer<Float>

    /// Names both.
    package init(a: UnsafeMutablePointer<Float>, b: UnsafeMutablePointer<Float>) {
      (self.a, self.b) = (a, b)
    }
  }

  /// Which numbers of x are left out: those of (key, example, position, index).
  package struct Dropout: Sendable {
    /// The part that is left out, above 0 and below 1; the others are divided by the rest.
    package var rate: Float
    /// Names the random numbers of this update in this step.
    package var key: UInt64

    /// Names the numbers.
    package init(rate: Float, key: UInt64) { (self.rate, self.key) = (rate, key) }
  }

  /// The block.
  package let block: Int
  /// The matrix whose product it is added to.
  package let projection: BlockProjection
  /// The tokens.
  package let tokens: UpdatedTokens
  /// Rows of A and columns of B.
  package let rank: Int
  /// Numbers in a row of x.
  package let inputs: Int
  /// Numbers in a row of y.
  package let outputs: Int
  /// Multiplies the whole.
  package let scale: Float
  let a: UnsafePointer<Float>
  let b: UnsafePointer<Float>
  /// For each number of a row of y the row of B that makes it; nil: the same.
  let rowOrder: [Int32]?
  let gradients: Gradients?
  /// What training leaves out; nil for nothing.
  package let dropout: Dropout?

  /// A and B in panels for the way forward, made when they are first multiplied.
  lazy var forwardPanels = makeForwardPanels()
  /// scale · A m(x) of each row, kept for the way back; then d loss / d (A m(x)).
  var inner = GrowingBuffer()
  var innerGradient = GrowingBuffer()

  /// Describes an update.
  ///
  /// - Parameters:
  ///   - block: the block.
  ///   - projection: the matrix.
  ///   - tokens: the tokens.
  ///   - rank: at least 1.
  ///   - widths: numbers in a row of x and of y.
  ///   - scale: multiplies the whole.
  ///   - a: [rank, inputs]; valid and the same for the life of the update, as `b` is.
  ///   - b: [outputs, rank].
  ///   - rowOrder: for each number of a row of y the row of B that makes it; nil: the same.
  ///   - gradients: where gradients are added; nil when no way back follows.
  ///   - dropout: what training leaves out; nil for nothing.
  package init(
    block: Int,
    projection: BlockProjection,
    tokens: UpdatedTokens,
    rank: Int,
    widths: (inputs: Int, outputs: Int),
    scale: Float,
    a: UnsafePointer<Float>,
    b: UnsafePointer<Float>,
    rowOrder: [Int32]? = nil,
    gradients: Gradients? = nil,
    dropout: Dropout? = nil
  ) {
    (self.block, self.projection, self.tokens) = (block, projection, tokens)
    (self.rank, self.inputs, self.outputs) = (rank, widths.inputs, widths.outputs)
    (self.scale, self.a, self.b) = (scale, a, b)
    self.rowOrder = rowOrder
    (self.gradients, self.dropout) = (gradients, dropout)
  }
}

/// All updates of one batch.
package final class LowRankUpdates {
  /// By block and product, in the order in which they are added.
  private let lists: [[LowRankUpdate]]
  /// The lowest block that has one.
  package let lowestBlock: Int
  /// The highest.
  let highestBlock: Int

  /// Sorts updates; nil where there are none.
  package init?(_ updates: [LowRankUpdate]) {
    guard let lowest = updates.map(\.block).min(), let highest = updates.map(\.block).max() else {
      return nil
    }
    (lowestBlock, highestBlock) = (lowest, highest)
    let width = BlockProduct.allCases.count
    var lists = [[LowRankUpdate]](repeating: [], count: (highest + 1) * width)
    for update in updates {
      lists[update.block * width + update.projection.product.rawValue].append(update)
    }
    self.lists = lists
  }

  /// The updates of a product.
  package func of(_ product: BlockProduct, block: Int) -> [LowRankUpdate] {
    let place = block * BlockProduct.allCases.count + product.rawValue
    return place < lists.count ? lists[place] : []
  }

  /// Floats that they keep of a row for the way back: what each product read, and two rows of a rank.
  var keptFloatsPerRow: Int {
    lists.reduce(0) { sum, list in
      sum + (list.first?.inputs ?? 0) + list.reduce(0) { $0 + 2 * $1.rank }
    }
  }

  /// How many products have some.
  package var productCount: Int { lists.count { !$0.isEmpty } }

  /// All of them.
  package var all: some Sequence<LowRankUpdate> { lists.lazy.joined() }
}
