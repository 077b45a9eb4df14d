// SPDX-License-Identifier: Apache-2.0
// The keys and values of one sequence, after rotation and after edits.

import ReFTTensor

/// Keys and values of all blocks for up to `capacity` tokens of one sequence.
public final class KVCache {
  /// How many tokens fit.
  public let capacity: Int
  /// How many tokens are held.
  public internal(set) var count = 0
  private let headSize: Int
  private let heads: Int
  private let storage: FloatBuffer

  /// Reserves memory; it is touched only as tokens arrive.
  public init(model: FrozenModel, capacity: Int) {
    self.capacity = capacity
    headSize = model.configuration.headSize
    heads = model.configuration.keyValueHeads
    let count = model.configuration.layers * 2 * heads * capacity * headSize
    storage = FloatBuffer(count: count, isStreamed: true)
  }

  /// Forgets the tokens from `count` on.
  public func truncate(to count: Int) { self.count = min(self.count, max(0, count)) }

  /// The keys of a head in a block, [capacity, headSize].
  func keys(block: Int, head: Int) -> UnsafeMutablePointer<Float> {
    storage.base + ((block * 2) * heads + head) * capacity * headSize
  }

  /// The values of a head in a block, [capacity, headSize].
  func values(block: Int, head: Int) -> UnsafeMutablePointer<Float> {
    storage.base + ((block * 2 + 1) * heads + head) * capacity * headSize
  }
}
