// SPDX-License-Identifier: Apache-2.0
// The tensors outside the blocks: of the embedding and of the head.

package import ReFTTensor

/// Rows of tokens, and what is added to them.
package struct EmbeddingWeights: Sendable {
  package let weight: FrozenWeight
  package let positions: FrozenWeight?
  /// A row for each type of token, expanded, since there are few.
  package let types: FloatBuffer?
  package let typeCount: Int
  package let norm: NormWeights?

  /// Finds them.
  ///
  /// - Throws: `badData` naming the tensor.
  init(_ plan: ModelPlan.Embedding, _ binder: WeightBinder) throws(ReFTError) {
    weight = try binder.weight(plan.weight)
    positions = try plan.positions.map { positions throws(ReFTError) in
      try binder.weight(positions.weight)
    }
    types = try plan.types.map { types throws(ReFTError) in
      let weight = try binder.weight(types)
      let rows = FloatBuffer(count: types.rows * types.columns)
      for row in 0..<types.rows {
        let target = rows.base + row * types.columns
        weight.expand(row: row, column: 0, count: types.columns, into: target)
      }
      return rows
    }
    typeCount = plan.types?.rows ?? 1
    norm = try binder.norm(plan.norm)
  }
}

/// What predicts tokens.
package struct LanguageHeadWeights: Sendable {
  package let weight: StackedWeight
  package let bias: FloatBuffer?
  package let softCap: Float?
}

/// What predicts classes.
package struct ClassifierWeights: Sendable {
  package let hidden: Projection
  package let activation: ModelPlan.Classifier.Activation
  package let output: Projection
}

/// What reads the stream behind the last block.
package enum HeadWeights: Sendable {
  case language(LanguageHeadWeights)
  case classifier(ClassifierWeights)
  case none

  /// Finds its tensors; a tied one shares those of the embedding.
  ///
  /// - Throws: `badData` naming the tensor.
  init(
    _ plan: ModelPlan,
    embedding: EmbeddingWeights,
    _ binder: WeightBinder
  ) throws(ReFTError) {
    switch plan.head {
    case .language(let head):
      let own = plan.isTied ? nil : try binder.projection([head.weight])
      let weight = own?.weight ?? StackedWeight(embedding.weight)
      self = .language(
        LanguageHeadWeights(weight: weight, bias: own?.bias, softCap: head.softCap)
      )
    case .classifier(let head):
      self = .classifier(
        ClassifierWeights(
          hidden: try binder.projection([head.hidden]),
          activation: head.activation,
          output: try binder.projection([head.output])
        )
      )
    case .none: self = .none
    }
  }
}
