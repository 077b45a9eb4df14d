// SPDX-License-Identifier: Apache-2.0
// Merges the bytes of one piece of text: the pair with the lowest rank first, the leftmost of equal
// ones. Short pieces scan a list; long ones keep a heap, so that a megabyte of one letter is no trap.

/// Scratch memory for merging pieces, and the tokens that came out.
struct BytePairEncoder {
  /// Up to this many bytes the list is scanned for the lowest rank at each merge.
  private static let scanLimit = 32

  /// What has been encoded so far.
  private(set) var output: [Int32] = []

  private var ids: [Int32] = []
  private var merges: [UInt64] = []
  private var next: [Int32] = []
  private var previous: [Int32] = []
  private var heap: [UInt64] = []

  /// Appends one token that is no product of merging.
  mutating func append(_ id: Int32) { output.append(id) }

  /// Makes room for tokens to come.
  mutating func reserve(_ count: Int) { output.reserveCapacity(count) }

  /// Appends the tokens of one piece; a byte without a token (−1 in `byteTokens`) gives none.
  @inline(__always)
  mutating func encode(
    _ piece: UnsafeBufferPointer<UInt8>,
    byteTokens: [Int32],
    table: MergeTable
  ) {
    if piece.count == 1 {
      let id = byteTokens[Int(piece[0])]
      if id >= 0 { output.append(id) }
    } else if piece.count <= Self.scanLimit {
      scan(piece, byteTokens: byteTokens, table: table)
    } else {
      mergeWithHeap(piece, byteTokens: byteTokens, table: table)
    }
  }

  private mutating func load(_ piece: UnsafeBufferPointer<UInt8>, byteTokens: [Int32]) {
    ids.removeAll(keepingCapacity: true)
    for byte in piece { ids.append(byteTokens[Int(byte)]) }
  }

  private mutating func scan(
    _ piece: UnsafeBufferPointer<UInt8>,
    byteTokens: [Int32],
    table: MergeTable
  ) {
    load(piece, byteTokens: byteTokens)
    var count = ids.count
    merges.removeAll(keepingCapacity: true)
    for index in 1..<count { merges.append(table.merge(ids[index - 1], ids[index])) }
    while count > 1 {
      var best = 0
      for index in 1..<(count - 1) where merges[index] < merges[best] { best = index }
      guard merges[best] != MergeTable.none else { break }
      ids[best] = Int32(truncatingIfNeeded: merges[best])
      count -= 1
      for index in (best + 1)..<max(best + 1, count) { ids[index] = ids[index + 1] }
      for index in best..<max(best, count - 1) { merges[index] = merges[index + 1] }
      if best > 0 { merges[best - 1] = table.merge(ids[best - 1], ids[best]) }
      if best + 1 < count { merges[best] = table.merge(ids[best], ids[best + 1]) }
    }
    for index in 0..<count where ids[index] >= 0 { output.append(ids[index]) }
  }

  /// The same result as `scan` in O(n log n): a linked list of symbols, and a heap of merges as
  /// `rank << 32 | position` of which those that no longer hold are passed over.
  private mutating func mergeWithHeap(
    _ piece: UnsafeBufferPointer<UInt8>,
    byteTokens: [Int32],
    table: MergeTable
  ) {
    load(piece, byteTokens: byteTokens)
    let count = ids.count
    next = (0..<count).map { Int32($0 + 1) }
    previous = (0..<count).map { Int32($0 - 1) }
    merges = [UInt64](repeating: MergeTable.none, count: count)
    heap.removeAll(keepingCapacity: true)
    for index in 0..<(count - 1) { consider(index, table: table, count: count) }
    while let entry = popHeap() {
      let position = Int(entry & 0xFFFF_FFFF)
      let merge = merges[position]
      guard merge != MergeTable.none, merge >> 32 == entry >> 32 else { continue }
      let gone = Int(next[position])
      ids[position] = Int32(truncatingIfNeeded: merge)
      next[position] = next[gone]
      merges[gone] = MergeTable.none
      if Int(next[gone]) < count { previous[Int(next[gone])] = Int32(position) }
      consider(position, table: table, count: count)
      if previous[position] >= 0 {
        consider(Int(previous[position]), table: table, count: count)
      }
    }
    var index = 0
    while index < count {
      if ids[index] >= 0 { output.append(ids[index]) }
      index = Int(next[index])
    }
  }

  /// Looks up the merge of the symbol at `position` with the one after it.
  private mutating func consider(_ position: Int, table: MergeTable, count: Int) {
    let after = Int(next[position])
    let merge = after < count ? table.merge(ids[position], ids[after]) : MergeTable.none
    merges[position] = merge
    if merge != MergeTable.none { pushHeap((merge & ~0xFFFF_FFFF) | UInt64(position)) }
  }

  private mutating func pushHeap(_ entry: UInt64) {
    heap.append(entry)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[parent] > entry else { break }
      heap[child] = heap[parent]
      child = parent
    }
    heap[child] = entry
  }

  private mutating func popHeap() -> UInt64? {
    guard let top = heap.first, let last = heap.popLast() else { return nil }
    guard !heap.isEmpty else { return top }
    var parent = 0
    while true {
      var child = parent * 2 + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
      guard heap[child] < last else { break }
      heap[parent] = heap[child]
      parent = child
    }
    heap[parent] = last
    return top
  }
}
