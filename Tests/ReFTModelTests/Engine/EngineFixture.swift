// SPDX-License-Identifier: Apache-2.0
// Models, batches and editors that the engine's tests share.

import ReFTModel
import ReFTTensor
import _ReFTTestSupport

enum EngineFixture {
  /// Pools of 1, 2 and 4 threads.
  static let pools = [1, 2, 4].map { ThreadPool(threadCount: $0) }

  /// A tiny model; its file is gone, but its mapping stays.
  static func model(_ shape: TinyModel = TinyModel()) throws -> FrozenModel {
    try withTemporaryDirectory { try FrozenModel(path: try shape.write(in: $0)) }
  }

  /// A shape none of whose sizes is a multiple of a vector: 5 heads of 10 over 1 key-value head.
  static var odd: TinyModel {
    var shape = TinyModel()
    shape.blocks = 3
    shape.hiddenSize = 50
    shape.heads = 5
    shape.keyValueHeads = 1
    shape.feedForwardSize = 77
    shape.isTied = false
    return shape
  }

  /// A shape whose products and heads matrix tiles take: 4 heads of 32 over 2 key-value heads.
  static var tiles: TinyModel {
    var shape = threeBlocks
    shape.hiddenSize = 128
    return shape
  }

  /// Three blocks, so that there is a first, a middle and a last.
  static var threeBlocks: TinyModel {
    var shape = TinyModel()
    shape.blocks = 3
    return shape
  }

  static func tokens(_ count: Int, seed: UInt64) -> [Int32] {
    var random = SeededGenerator(seed: seed)
    return (0..<count).map { _ in Int32(random.next() % UInt64(TinyModel.vocabularySize)) }
  }

  /// Sequences whose labels are their own tokens from index `labelled` on.
  static func batch(_ sequences: [[Int32]], labelled: Int) -> PackedBatch {
    var batch = PackedBatch()
    for ids in sequences {
      batch.append(
        ids: ids,
        labels: ids.enumerated().map { $0.offset < labelled ? -100 : $0.element }
      )
    }
    return batch
  }

  /// Random vectors for some sites.
  static func vectors(
    _ sites: some Sequence<Site>,
    of model: FrozenModel,
    scale: Float,
    seed: UInt64
  ) -> [Site: [Float]] {
    var random = SeededGenerator(seed: seed)
    var vectors: [Site: [Float]] = [:]
    for site in sites {
      vectors[site] = random.normals(model.width(of: site.component), scale: scale)
    }
    return vectors
  }

  /// The tokens at some positions of every sequence, with weights that depend on the position alone.
  static func weights(
    _ batch: PackedBatch,
    positions: [Int]
  ) -> [(token: Int, weight: Float)] {
    batch.segments.flatMap { segment in
      positions.filter { $0 < segment.count }.map { position in
        (segment.start + position, 1 - 0.3 * Float(position % 7))
      }
    }
  }

  static func allSites(_ model: FrozenModel) -> [Site] {
    (0..<model.configuration.layers).flatMap { block in
      order.map { Site(block: block, component: $0) }
    }
  }

  /// The components of a block in the order of computation.
  static let order: [Component] = [
    .blockInput, .attentionInput, .queryOutput, .keyOutput, .valueOutput, .attentionValueOutput,
    .attentionOutput, .mlpInput, .mlpActivation, .mlpOutput, .blockOutput,
  ]
}
