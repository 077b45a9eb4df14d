// SPDX-License-Identifier: Apache-2.0
// The tensors that a plan names, found in its file.

import ReFTTensor

/// The weight of a normalisation, its offset added.
struct NormWeights: Sendable {
  let weight: FloatBuffer
  let size: Int
  let epsilon: Float
}

/// Matrices that read the same input, with the bias of all their outputs where one has some.
struct Projection: Sendable {
  let weight: StackedWeight
  let bias: FloatBuffer?
}

/// The weights of one block.
struct BlockWeights: Sendable {
  let plan: ModelPlan.Block
  let attentionNorm: NormWeights
  let queryKeyValue: Projection
  let queryNorm: NormWeights?
  let keyNorm: NormWeights?
  let rotation: RotaryTable
  let attentionOutput: Projection
  let attentionPostNorm: NormWeights?
  let mlpNorm: NormWeights
  let gateUp: Projection
  let down: Projection
  let mlpPostNorm: NormWeights?
}

/// Finds the tensors of a plan; blocks that rotate alike share a table.
final class WeightBinder {
  private let source: any TensorSource
  private var tables: [RotationKey: RotaryTable] = [:]

  private struct RotationKey: Hashable {
    var rotation: ModelPlan.Rotation
    var headSize: Int
  }

  init(_ source: any TensorSource) { self.source = source }

  /// The tensors of a block.
  ///
  /// - Throws: `badData` naming the tensor.
  func block(_ plan: ModelPlan.Block) throws(ReFTError) -> BlockWeights {
    let attention = plan.attention
    return BlockWeights(
      plan: plan,
      attentionNorm: try norm(plan.attentionNorm),
      queryKeyValue: try projection([attention.query, attention.key, attention.value]),
      queryNorm: try attention.queryNorm.map { norm throws(ReFTError) in try self.norm(norm) },
      keyNorm: try attention.keyNorm.map { norm throws(ReFTError) in try self.norm(norm) },
      rotation: try table(attention.rotation, headSize: attention.headSize),
      attentionOutput: try projection([attention.output]),
      attentionPostNorm: try plan.attentionPostNorm.map { norm throws(ReFTError) in
        try self.norm(norm)
      },
      mlpNorm: try norm(plan.mlpNorm),
      gateUp: try projection([plan.mlp.gate, plan.mlp.up]),
      down: try projection([plan.mlp.down]),
      mlpPostNorm: try plan.mlpPostNorm.map { norm throws(ReFTError) in try self.norm(norm) }
    )
  }

  /// The tensor of a norm.
  ///
  /// - Throws: `badData` naming the tensor.
  func norm(_ plan: ModelPlan.Norm) throws(ReFTError) -> NormWeights {
    let weight = FloatBuffer(try tensor(plan.tensor).floats())
    if plan.offset != 0 {
      for index in 0..<weight.count { weight[index] += plan.offset }
    }
    return NormWeights(weight: weight, size: plan.size, epsilon: plan.epsilon)
  }

  /// The tensor of a matrix.
  ///
  /// - Throws: `badData` naming the tensor.
  func weight(_ plan: ModelPlan.Matrix) throws(ReFTError) -> FrozenWeight {
    try FrozenWeight(
      try tensor(plan.tensor),
      rows: plan.rows,
      columns: plan.columns,
      source: source
    )
  }

  private func projection(_ plans: [ModelPlan.Matrix]) throws(ReFTError) -> Projection {
    var weights: [FrozenWeight] = []
    var bias: [Float] = []
    for plan in plans {
      weights.append(try weight(plan))
      guard let name = plan.bias else {
        bias += [Float](repeating: 0, count: plan.rows)
        continue
      }
      bias += try tensor(name).floats()
    }
    let hasBias = plans.contains { $0.bias != nil }
    return Projection(
      weight: StackedWeight(parts: weights),
      bias: hasBias ? FloatBuffer(bias) : nil
    )
  }

  private func table(
    _ rotation: ModelPlan.Rotation,
    headSize: Int
  ) throws(ReFTError) -> RotaryTable {
    let key = RotationKey(rotation: rotation, headSize: headSize)
    if let table = tables[key] { return table }
    var factors: [Float]?
    if case .factors(let name) = rotation.scaling {
      let values = try tensor(name).floats()
      if let factor = values.first(where: { !($0 > 0 && $0.isFinite) }) {
        throw .rotationFactor(factor, source.path)
      }
      factors = values
    }
    let table = RotaryTable(rotation, headSize: headSize, factors: factors)
    tables[key] = table
    return table
  }

  private func tensor(_ name: String) throws(ReFTError) -> StoredTensor {
    guard let tensor = source.tensor(name) else { throw .missingTensor(name, source.path) }
    return tensor
  }
}
