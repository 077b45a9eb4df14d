// SPDX-License-Identifier: Apache-2.0
// Finds the id of a token's text: one open-addressing hash table over a string table. Building it
// for 50,000 tokens takes a few milliseconds, a dictionary of strings ten times that.

/// The ids of the strings of a table, by content.
struct TextIndex: Sendable {
  /// Ids, −1 where a slot is free; the count is a power of two and at most half are taken.
  private var slots: [Int32]
  private let mask: Int

  /// Indexes all strings.
  ///
  /// - Throws: the ids of the first two equal strings.
  init(_ table: StringTable) throws(DuplicateString) {
    var capacity = 16
    while capacity < table.count * 2 { capacity *= 2 }
    slots = [Int32](repeating: -1, count: capacity)
    mask = capacity - 1
    var duplicate: DuplicateString?
    table.bytes.withUnsafeBufferPointer { bytes in
      for id in 0..<table.count {
        let text = UnsafeBufferPointer(rebasing: bytes[table.range(id)])
        let slot = slot(of: text, in: table, bytes: bytes)
        if slots[slot] >= 0 {
          duplicate = DuplicateString(first: Int(slots[slot]), second: id)
          return
        }
        slots[slot] = Int32(id)
      }
    }
    if let duplicate { throw duplicate }
  }

  /// Two ids that have the same text.
  struct DuplicateString: Error {
    var first: Int
    var second: Int
  }

  /// The id of `text` in the table that was indexed, or −1.
  func id(of text: UnsafeBufferPointer<UInt8>, in table: StringTable) -> Int32 {
    table.bytes.withUnsafeBufferPointer { slots[slot(of: text, in: table, bytes: $0)] }
  }

  /// The slot that holds `text`, or the free slot where it would go.
  @inline(__always)
  private func slot(
    of text: UnsafeBufferPointer<UInt8>,
    in table: StringTable,
    bytes: UnsafeBufferPointer<UInt8>
  ) -> Int {
    var slot = Int(truncatingIfNeeded: Self.hash(text)) & mask
    while slots[slot] >= 0 {
      let range = table.range(Int(slots[slot]))
      if range.count == text.count, isEqual(text, UnsafeBufferPointer(rebasing: bytes[range])) {
        break
      }
      slot = (slot + 1) & mask
    }
    return slot
  }

  @inline(__always)
  private func isEqual(
    _ left: UnsafeBufferPointer<UInt8>,
    _ right: UnsafeBufferPointer<UInt8>
  ) -> Bool {
    for index in 0..<left.count where left[index] != right[index] { return false }
    return true
  }

  /// FNV-1a with a final mix, since the slot is taken from the low bits.
  @inline(__always)
  private static func hash(_ text: UnsafeBufferPointer<UInt8>) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in text { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return hash ^ (hash >> 32)
  }
}
