// SPDX-License-Identifier: Apache-2.0
// The merges of a byte-pair encoding, found by the ids of the two sides.

/// An open-addressing hash table from pairs of token ids to the merge of the pair.
struct MergeTable: Sendable, MergeRule {
  /// The value that stands for "no such merge"; larger than every merge.
  static let none = UInt64.max

  private var keys: [UInt64]
  private var values: [UInt64]
  private let mask: Int

  /// An empty table with room for `count` merges.
  init(capacity count: Int) {
    var capacity = 16
    while capacity < count * 2 { capacity *= 2 }
    keys = [UInt64](repeating: .max, count: capacity)
    values = [UInt64](repeating: MergeTable.none, count: capacity)
    mask = capacity - 1
  }

  /// Adds a merge unless the pair already has one: the first in the file counts.
  mutating func add(left: Int32, right: Int32, rank: Int, result: Int32) {
    let key = Self.key(left, right)
    let slot = slot(of: key)
    guard keys[slot] == .max else { return }
    keys[slot] = key
    values[slot] = UInt64(rank) << 32 | UInt64(UInt32(bitPattern: result))
  }

  /// The merge of two tokens as `rank << 32 | id of the result`; `none` where they do not merge.
  ///
  /// A lower value is a merge that goes first.
  @inline(__always)
  func merge(_ left: Int32, _ right: Int32, bytes: Range<Int>) -> UInt64 {
    guard left >= 0, right >= 0 else { return MergeTable.none }
    return values[slot(of: Self.key(left, right))]
  }

  @inline(__always)
  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  @inline(__always)
  private func slot(of key: UInt64) -> Int {
    // The multiplier is 2^64 divided by the golden ratio; its high bits are the well mixed ones.
    var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
    while keys[slot] != key, keys[slot] != .max { slot = (slot + 1) & mask }
    return slot
  }
}
