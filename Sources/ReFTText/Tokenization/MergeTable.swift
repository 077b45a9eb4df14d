// SPDX-License-Identifier: Apache-2.0
// The merges of a byte-pair encoding, found by the ids of the two sides.

import ReFTTensor

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

extension MergeTable {
  /// Reads merges, each as two texts of tokens with a space (or a zero byte) between them.
  ///
  /// - Parameters:
  ///   - lines: the merges.
  ///   - vocabulary: the tokens.
  ///   - continuation: how many bytes at the start of a right side the result does not have.
  ///   - path: the file, for messages.
  /// - Throws: `badData` naming the merge that does not fit.
  init(
    _ lines: StringTable,
    vocabulary: Vocabulary,
    continuation: Int = 0,
    path: String
  ) throws(ReFTError) {
    let (texts, index) = (vocabulary.texts, vocabulary.index)
    guard lines.count <= Vocabulary.limit else {
      throw .tokenizerTooLarge("merges", count: lines.count, limit: Vocabulary.limit, path: path)
    }
    self.init(capacity: lines.count)
    var joined: [UInt8] = []
    var fault: ReFTError?
    lines.bytes.withUnsafeBufferPointer { bytes in
      for rank in 0..<lines.count {
        let range = lines.range(rank)
        let line = UnsafeBufferPointer(rebasing: bytes[range])
        let space = line.firstIndex(of: 0) ?? line.dropFirst().firstIndex(of: 0x20)
        guard let space, space > 0, space + 1 < line.count else {
          fault = .mergeMalformed(lines.text(rank), index: rank, path: path)
          return
        }
        joined.removeAll(keepingCapacity: true)
        joined.append(contentsOf: line[..<space])
        joined.append(contentsOf: line[(space + 1)...])
        let ids = joined.withUnsafeBufferPointer { joined in
          (
            left: index.id(of: UnsafeBufferPointer(rebasing: joined[..<space]), in: texts),
            right: index.id(of: UnsafeBufferPointer(rebasing: joined[space...]), in: texts),
            result: Self.joined(joined, space, continuation) { index.id(of: $0, in: texts) }
          )
        }
        guard ids.left >= 0, ids.right >= 0, ids.result >= 0 else {
          let unknown =
            ids.left < 0 ? joined[..<space] : ids.right < 0 ? joined[space...] : joined[...]
          fault = .mergeOfUnknownToken(
            String(decoding: unknown, as: UTF8.self),
            merge: lines.text(rank),
            index: rank,
            path: path
          )
          return
        }
        add(left: ids.left, right: ids.right, rank: rank, result: ids.result)
      }
    }
    if let fault { throw fault }
  }

  /// Looks up both sides as one text, the right one without the bytes of a continuation.
  private static func joined(
    _ sides: UnsafeBufferPointer<UInt8>,
    _ middle: Int,
    _ continuation: Int,
    _ lookUp: (UnsafeBufferPointer<UInt8>) -> Int32
  ) -> Int32 {
    if continuation == 0 { return lookUp(sides) }
    let bytes = Array(sides[..<middle]) + sides[middle...].dropFirst(continuation)
    return bytes.withUnsafeBufferPointer(lookUp)
  }
}
