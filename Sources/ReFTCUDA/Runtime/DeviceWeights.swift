// SPDX-License-Identifier: Apache-2.0
// A frozen model's weights on the card.

import ReFTModel
import ReFTTensor

/// Float32 numbers on the card.
struct DeviceFloats {
  let memory: DeviceMemory
  let count: Int
  var pointer: DevicePointer { memory.pointer }

  init(_ values: FloatBuffer, _ device: CUDADevice, for purpose: String) throws(ReFTError) {
    count = values.count
    memory = try device.allocate(max(1, count) * 4, for: purpose)
    if count > 0 { try device.copyIn(values.base, count * 4, to: memory.pointer) }
  }
}

/// A normalisation; `kind` as the kernels count: 0 RMS, 1 Layer.
struct DeviceNorm {
  let weight: DeviceFloats
  let bias: DeviceFloats?
  let size: Int
  let epsilon: Float
  var kind: Int { bias == nil ? 0 : 1 }

  init(_ norm: NormWeights, _ device: CUDADevice) throws(ReFTError) {
    weight = try DeviceFloats(norm.weight, device, for: "the weights of a norm")
    bias = try norm.bias.map { values throws(ReFTError) in
      try DeviceFloats(values, device, for: "the bias of a norm")
    }
    (size, epsilon) = (norm.size, norm.epsilon)
  }
}

/// Matrices that read the same input, with a bias.
struct DeviceProjection {
  let matrix: DeviceMatrix
  let bias: DeviceFloats?

  init(
    _ projection: Projection,
    _ loader: WeightLoader,
    isGated: Bool = false
  ) throws(ReFTError) {
    matrix = try loader.matrix(projection.weight, isGated: isGated)
    bias = try projection.bias.map { values throws(ReFTError) in
      try DeviceFloats(values, loader.operations.device, for: "a bias")
    }
  }
}

/// Token rows and what is added to them.
struct DeviceEmbedding {
  let table: DeviceMatrix
  let scale: Float
  let positions: DeviceMatrix?
  let firstPosition: Int
  let types: DeviceFloats?
  let norm: DeviceNorm?
}

/// Cosines and sines, [position, width], for as many positions as were asked for.
final class DeviceRotation {
  private let table: RotaryTable
  private let device: CUDADevice
  private var memory: DeviceMemory?
  private var positions = 0
  let width: Int
  let isHalves: Bool

  init(_ table: RotaryTable, _ device: CUDADevice) {
    (self.table, self.device) = (table, device)
    (width, isHalves) = (table.width, table.pairs == .halves)
  }

  var pointer: DevicePointer? { memory?.pointer }

  /// Makes room for positions below `count`.
  ///
  /// - Returns: whether the table moved.
  @discardableResult
  func reserve(positions count: Int) throws(ReFTError) -> Bool {
    guard count > positions else { return false }
    let wanted = max(1024, count, positions * 2)
    let rows = table.rows(positions: wanted)
    let bytes = wanted * width * 4
    memory = try device.allocate(bytes, for: "cosines and sines of \(wanted) positions")
    if let memory { try device.copyIn(rows.base, bytes, to: memory.pointer) }
    positions = wanted
    return true
  }
}

/// The weights of one block.
struct DeviceBlock {
  let plan: ModelPlan.Block
  let attentionNorm: DeviceNorm?
  let queryKeyValue: DeviceProjection
  let queryNorm: DeviceNorm?
  let keyNorm: DeviceNorm?
  let rotation: DeviceRotation?
  let attentionOutput: DeviceProjection
  let attentionPostNorm: DeviceNorm?
  let attentionSumNorm: DeviceNorm?
  let mlpNorm: DeviceNorm?
  let mlpInput: DeviceProjection
  let down: DeviceProjection
  let mlpPostNorm: DeviceNorm?
  let mlpSumNorm: DeviceNorm?
}

/// What predicts tokens; a soft cap of 0 is none.
struct DeviceHead {
  let matrix: DeviceMatrix
  let bias: DeviceFloats?
  let softCap: Float
}

/// All weights of a model on a card.
final class DeviceWeights {
  let embedding: DeviceEmbedding
  let blocks: [DeviceBlock]
  let finalNorm: DeviceNorm?
  /// Nil where the model predicts no tokens.
  let head: DeviceHead?
  let rotations: [DeviceRotation]
  /// Whether in every block the MLP follows the attention.
  let isSequential: Bool

  /// Copies a model to the card.
  ///
  /// - Throws: what the card reports, for instance that there is no room.
  init(_ model: FrozenModel, _ loader: WeightLoader) throws(ReFTError) {
    let device = loader.operations.device
    func norm(_ weights: NormWeights?) throws(ReFTError) -> DeviceNorm? {
      guard let weights else { return nil }
      return try DeviceNorm(weights, device)
    }
    let source = model.embedding
    embedding = DeviceEmbedding(
      table: try loader.matrix(StackedWeight(source.weight), isEmbedding: true),
      scale: model.plan.embedding.scale,
      positions: try source.positions.map { weight throws(ReFTError) in
        try loader.matrix(StackedWeight(weight), isEmbedding: true)
      },
      firstPosition: model.plan.embedding.positions?.first ?? 0,
      types: try source.types.map { rows throws(ReFTError) in
        try DeviceFloats(rows, device, for: "the rows of token types")
      },
      norm: try norm(source.norm)
    )
    var rotations: [ObjectIdentifier: DeviceRotation] = [:]
    var blocks: [DeviceBlock] = []
    for block in model.blocks {
      var rotation: DeviceRotation?
      if let table = block.rotation {
        rotation = rotations[ObjectIdentifier(table)] ?? DeviceRotation(table, device)
        rotations[ObjectIdentifier(table)] = rotation
      }
      blocks.append(
        DeviceBlock(
          plan: block.plan,
          attentionNorm: try norm(block.attentionNorm),
          queryKeyValue: try DeviceProjection(block.queryKeyValue, loader),
          queryNorm: try norm(block.queryNorm),
          keyNorm: try norm(block.keyNorm),
          rotation: rotation,
          attentionOutput: try DeviceProjection(block.attentionOutput, loader),
          attentionPostNorm: try norm(block.attentionPostNorm),
          attentionSumNorm: try norm(block.attentionSumNorm),
          mlpNorm: try norm(block.mlpNorm),
          mlpInput: try DeviceProjection(
            block.mlpInput,
            loader,
            isGated: block.plan.mlp.gate != nil
          ),
          down: try DeviceProjection(block.down, loader),
          mlpPostNorm: try norm(block.mlpPostNorm),
          mlpSumNorm: try norm(block.mlpSumNorm)
        )
      )
    }
    self.blocks = blocks
    isSequential = !blocks.contains { $0.plan.isParallel }
    self.rotations = Array(rotations.values)
    finalNorm = try norm(model.finalNorm)
    guard let own = try? model.languageHead() else {
      head = nil
      return
    }
    let isShared = model.plan.isTied && !loader.keepsQuantised
    head = DeviceHead(
      matrix: isShared ? embedding.table : try loader.matrix(own.weight),
      bias: try own.bias.map { values throws(ReFTError) in
        try DeviceFloats(values, device, for: "the head's bias")
      },
      softCap: own.softCap ?? 0
    )
  }

  /// Makes room for positions below `count` in all tables.
  ///
  /// - Returns: whether one moved.
  func reserve(positions count: Int) throws(ReFTError) -> Bool {
    var moved = false
    for rotation in rotations where try rotation.reserve(positions: count) { moved = true }
    return moved
  }
}
