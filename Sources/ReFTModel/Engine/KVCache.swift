// SPDX-License-Identifier: Apache-2.0
// The keys and values of one sequence, after rotation and after edits.

import CReFTKernels
public import ReFTTensor

/// How a cache holds the numbers of keys and values.
public enum CacheFormat: String, CaseIterable, Sendable {
  /// Rounded to eleven bits: half the memory, and half of what a decoded token has to read.
  case float16
  /// As computed.
  case float32

  /// Its number in reft_attention.h.
  var raw: UInt32 {
    switch self {
    case .float16: REFT_CACHE_FLOAT16
    case .float32: REFT_CACHE_FLOAT32
    }
  }

  /// Bytes of a number.
  var byteCount: Int { reft_cache_number_bytes(raw) }
}

/// Keys and values of all blocks for up to `capacity` tokens of one sequence.
public final class KVCache {
  /// How many tokens fit.
  public let capacity: Int
  /// How many tokens are held.
  public internal(set) var count = 0
  /// How numbers are held.
  public let format: CacheFormat
  private let heads: Int
  /// Bytes of the keys, or of the values, of one head of one block.
  private let headBytes: Int
  private let storage: FloatBuffer

  /// Reserves memory; it is touched only as tokens arrive.
  ///
  /// - Throws: `inputOutput` when the system has no such memory.
  public init(
    model: FrozenModel,
    capacity: Int,
    format: CacheFormat = .float32
  ) throws(ReFTError) {
    let purpose = MemoryPurpose(
      "the keys and values of \(capacity) tokens",
      remedy: "ask for fewer tokens, or for fewer texts at once"
    )
    self.capacity = capacity
    self.format = format
    heads = model.configuration.keyValueHeads
    let panel = Int(REFT_CACHE_PANEL)
    let panels = (max(1, capacity) - 1) / panel + 1
    headBytes = try MemoryRoom.product(
      panels,
      panel,
      model.configuration.headSize,
      format.byteCount,
      for: purpose
    )
    let byteCount = try MemoryRoom.product(
      model.configuration.layers,
      2 * heads,
      headBytes,
      for: purpose
    )
    storage = try FloatBuffer(reserving: byteCount / 4, for: purpose, isStreamed: true)
  }

  /// Forgets the tokens from `count` on.
  public func truncate(to count: Int) { self.count = min(self.count, max(0, count)) }

  /// The keys of a head in a block, as reft_attention.h lays them out.
  func keys(block: Int, head: Int) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(storage.base) + ((block * 2) * heads + head) * headBytes
  }

  /// The values of a head in a block, [capacity, headSize].
  func values(block: Int, head: Int) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(storage.base) + ((block * 2 + 1) * heads + head) * headBytes
  }
}
