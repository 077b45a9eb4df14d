// SPDX-License-Identifier: Apache-2.0
// The tensors that a plan names, found in its file.

package import ReFTTensor

/// Matrices that read the same input, with the bias of all their outputs where one has some.
package struct Projection: Sendable {
  package let weight: StackedWeight
  package let bias: FloatBuffer?
}

/// The weights of one block.
package struct BlockWeights: Sendable {
  package let plan: ModelPlan.Block
  package let attentionNorm: NormWeights?
  package let queryKeyValue: Projection
  package let queryNorm: NormWeights?
  package let keyNorm: NormWeights?
  package let rotation: RotaryTable?
  package let attentionOutput: Projection
  package let attentionPostNorm: NormWeights?
  package let attentionSumNorm: NormWeights?
  package let mlpNorm: NormWeights?
  /// Gate and up, or up alone.
  package let mlpInput: Projection
  package let down: Projection
  package let mlpPostNorm: NormWeights?
  package let mlpSumNorm: NormWeights?
}

/// Finds the tensors of a plan; blocks that rotate alike share a table.
final class WeightBinder {
  private let source: any TensorSource
  private var tables: [RotationKey: RotaryTable] = [:]
  /// Matrices whose rows do not lie one after the other in the file, put in order.
  private(set) var rearranged: [FloatBuffer] = []

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
    let inputs = [plan.mlp.gate, plan.mlp.up].compactMap { $0 }
    return BlockWeights(
      plan: plan,
      attentionNorm: try norm(plan.attentionNorm),
      queryKeyValue: try projection([attention.query, attention.key, attention.value]),
      queryNorm: try norm(attention.queryNorm),
      keyNorm: try norm(attention.keyNorm),
      rotation: try attention.rotation.map { rotation throws(ReFTError) in
        try table(rotation, headSize: attention.headSize)
      },
      attentionOutput: try projection([attention.output]),
      attentionPostNorm: try norm(plan.attentionPostNorm),
      attentionSumNorm: try norm(plan.attentionSumNorm),
      mlpNorm: try norm(plan.mlpNorm),
      mlpInput: try projection(inputs),
      down: try projection([plan.mlp.down]),
      mlpPostNorm: try norm(plan.mlpPostNorm),
      mlpSumNorm: try norm(plan.mlpSumNorm)
    )
  }

  /// The tensors of a norm, where the plan has one.
  ///
  /// - Throws: `badData` naming the tensor.
  func norm(_ plan: ModelPlan.Norm?) throws(ReFTError) -> NormWeights? {
    guard let plan else { return nil }
    let weight = FloatBuffer(try tensor(plan.tensor).floats())
    if plan.offset != 0 {
      for index in 0..<weight.count { weight[index] += plan.offset }
    }
    var bias: FloatBuffer?
    if plan.kind == .layer {
      let zeros = [Float](repeating: 0, count: plan.size)
      let values = try plan.bias.map { name throws(ReFTError) in try tensor(name).floats() }
      bias = FloatBuffer(values ?? zeros)
    }
    return NormWeights(weight: weight, bias: bias, size: plan.size, epsilon: plan.epsilon)
  }

  /// The tensor of a matrix.
  ///
  /// - Throws: `badData` naming the tensor.
  func weight(_ plan: ModelPlan.Matrix) throws(ReFTError) -> FrozenWeight {
    let tensor = try tensor(plan.tensor)
    guard plan.isTransposed || plan.slice.map({ $0.run < plan.rows }) == true else {
      return try FrozenWeight(
        tensor,
        rows: plan.rows,
        columns: plan.columns,
        slice: plan.slice,
        source: source
      )
    }
    let buffer = try tensor.rearranged(plan, source)
    rearranged.append(buffer)
    return FrozenWeight(
      type: tensor.type,
      rows: plan.rows,
      columns: plan.columns,
      data: UnsafeRawPointer(buffer.base)
    )
  }

  /// Matrices that read the same input.
  ///
  /// - Throws: `badData` naming the tensor.
  func projection(_ plans: [ModelPlan.Matrix]) throws(ReFTError) -> Projection {
    var weights: [FrozenWeight] = []
    var bias: [Float] = []
    for plan in plans {
      weights.append(try weight(plan))
      guard let name = plan.bias else {
        bias += [Float](repeating: 0, count: plan.rows)
        continue
      }
      let all = try tensor(name).floats()
      bias += (0..<plan.rows).map { all[plan.slice?.row($0) ?? $0] }
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
    let table = RotaryTable(rotation, factors: factors)
    tables[key] = table
    return table
  }

  private func tensor(_ name: String) throws(ReFTError) -> StoredTensor {
    guard let tensor = source.tensor(name) else { throw .missingTensor(name, source.path) }
    return tensor
  }
}

extension StoredTensor {
  /// The rows of a matrix one after the other, in the tensor's own number format.
  ///
  /// That costs the memory of the matrix once more; folders that need it (GPT-2, GPT-NeoX) are small.
  ///
  /// - Throws: `badData` for transposed blocks, which hold numbers of several rows.
  fileprivate func rearranged(
    _ plan: ModelPlan.Matrix,
    _ source: any TensorSource
  ) throws(ReFTError) -> FloatBuffer {
    let rowBytes = type.byteCount(elements: plan.columns)
    let buffer = try FloatBuffer(
      reserving: (plan.rows * rowBytes + 3) / 4,
      for: MemoryPurpose("the matrix '\(name)' in order", remedy: "choose a smaller model")
    )
    let target = UnsafeMutableRawPointer(buffer.base)
    guard let base = bytes.baseAddress else { throw .missingTensor(name, source.path) }
    guard plan.isTransposed else {
      for row in 0..<plan.rows {
        let from = base + (plan.slice?.row(row) ?? row) * rowBytes
        (target + row * rowBytes).copyMemory(from: from, byteCount: rowBytes)
      }
      return buffer
    }
    guard type.blockSize == 1 else {
      throw .transposedBlocks(name, "\(type)", source.path)
    }
    let size = type.byteCount(elements: 1)
    let total = plan.slice?.total ?? plan.rows
    for row in 0..<plan.rows {
      let from = base + (plan.slice?.row(row) ?? row) * size
      let to = target + row * rowBytes
      for column in 0..<plan.columns {
        (to + column * size).copyMemory(from: from + column * total * size, byteCount: size)
      }
    }
    return buffer
  }
}
