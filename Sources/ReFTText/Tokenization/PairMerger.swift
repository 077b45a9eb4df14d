// SPDX-License-Identifier: Apache-2.0
// Merges neighbouring symbols of one piece of text: the pair that a rule ranks lowest first, the
// leftmost of equal ones. Short pieces scan a list; long ones keep a heap, so that a megabyte of one
// letter is no trap. What the symbols are, and which merge, is the rule's business.

/// Which neighbouring symbols merge, and in what order.
protocol MergeRule {
  /// Looks up the merge of two neighbours.
  ///
  /// - Parameters:
  ///   - left: the token of the left symbol, −1 where it has none.
  ///   - right: the token of the right symbol, −1 where it has none.
  ///   - bytes: the place in the text that both cover.
  /// - Returns: `rank << 32 | id of the result`, lower ranks going first; `MergeTable.none` where
  ///   they do not merge.
  func merge(_ left: Int32, _ right: Int32, bytes: Range<Int>) -> UInt64
}

/// Scratch memory for merging pieces; one serves a whole text.
struct PairMerger {
  /// Up to this many symbols the list is scanned for the lowest rank at each merge.
  private static let scanLimit = 32

  /// The tokens of the symbols, −1 for those without one.
  private(set) var ids: [Int32] = []
  /// Where in the text each symbol starts.
  private(set) var starts: [Int] = []
  private var end = 0

  private var merges: [UInt64] = []
  private var next: [Int32] = []
  private var previous: [Int32] = []
  private var heap: [UInt64] = []

  /// Begins a piece without symbols.
  mutating func begin() {
    ids.removeAll(keepingCapacity: true)
    starts.removeAll(keepingCapacity: true)
  }

  /// Appends a symbol that starts at `start`.
  @inline(__always)
  mutating func append(_ id: Int32, start: Int) {
    ids.append(id)
    starts.append(start)
  }

  /// Where in the text the symbol at `index` lies, once merging is done.
  func bytes(_ index: Int) -> Range<Int> {
    starts[index]..<(index + 1 < starts.count ? starts[index + 1] : end)
  }

  /// Merges until no rule applies; then `ids` holds what is left.
  ///
  /// - Complexity: O(n log n) for n symbols.
  @inline(__always)
  mutating func merge(end: Int, by rule: borrowing some MergeRule) {
    self.end = end
    if ids.count < 2 { return }
    if ids.count <= Self.scanLimit { scan(rule) } else { mergeWithHeap(rule) }
  }

  private mutating func scan(_ rule: borrowing some MergeRule) {
    var count = ids.count
    starts.append(end)
    merges.removeAll(keepingCapacity: true)
    for index in 1..<count {
      let bytes = starts[index - 1]..<starts[index + 1]
      merges.append(rule.merge(ids[index - 1], ids[index], bytes: bytes))
    }
    while count > 1 {
      var best = 0
      for index in 1..<(count - 1) where merges[index] < merges[best] { best = index }
      guard merges[best] != MergeTable.none else { break }
      ids[best] = Int32(truncatingIfNeeded: merges[best])
      count -= 1
      for index in (best + 1)..<max(best + 1, count) { ids[index] = ids[index + 1] }
      for index in (best + 1)..<(count + 1) { starts[index] = starts[index + 1] }
      for index in best..<max(best, count - 1) { merges[index] = merges[index + 1] }
      if best > 0 {
        merges[best - 1] = rule.merge(
          ids[best - 1],
          ids[best],
          bytes: starts[best - 1]..<starts[best + 1]
        )
      }
      if best + 1 < count {
        merges[best] = rule.merge(ids[best], ids[best + 1], bytes: starts[best]..<starts[best + 2])
      }
    }
    ids.removeLast(ids.count - count)
    starts.removeLast(starts.count - count)
  }

  /// The same result as `scan` in O(n log n): a linked list of symbols, and a heap of merges as
  /// `rank << 32 | position` of which those that no longer hold are passed over.
  private mutating func mergeWithHeap(_ rule: borrowing some MergeRule) {
    let count = ids.count
    next = (0..<count).map { Int32($0 + 1) }
    previous = (0..<count).map { Int32($0 - 1) }
    merges = [UInt64](repeating: MergeTable.none, count: count)
    heap.removeAll(keepingCapacity: true)
    for index in 0..<(count - 1) { consider(index, rule) }
    while let entry = popHeap() {
      let position = Int(entry & 0xFFFF_FFFF)
      let merge = merges[position]
      guard merge != MergeTable.none, merge >> 32 == entry >> 32 else { continue }
      let gone = Int(next[position])
      ids[position] = Int32(truncatingIfNeeded: merge)
      next[position] = next[gone]
      merges[gone] = MergeTable.none
      if Int(next[gone]) < count { previous[Int(next[gone])] = Int32(position) }
      consider(position, rule)
      if previous[position] >= 0 { consider(Int(previous[position]), rule) }
    }
    keepLinked(count)
  }

  /// Moves the symbols that are still in the list to the front.
  private mutating func keepLinked(_ count: Int) {
    var kept = 0
    var index = 0
    while index < count {
      ids[kept] = ids[index]
      starts[kept] = starts[index]
      kept += 1
      index = Int(next[index])
    }
    ids.removeLast(count - kept)
    starts.removeLast(count - kept)
  }

  /// Looks up the merge of the symbol at `position` with the one after it.
  private mutating func consider(_ position: Int, _ rule: borrowing some MergeRule) {
    let after = Int(next[position])
    var merge = MergeTable.none
    if after < ids.count {
      let last = Int(next[after])
      let bytes = starts[position]..<(last < ids.count ? starts[last] : end)
      merge = rule.merge(ids[position], ids[after], bytes: bytes)
    }
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
