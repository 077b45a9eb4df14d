// SPDX-License-Identifier: Apache-2.0
// The keys and values of one sequence, after rotation and after edits.

import CReFTKernels
public import ReFTTensor

/// Keys and values of all blocks for the tokens of one sequence, in pages.
///
/// Its memory follows its tokens: pages come as they arrive, and go with the cache, when it is
/// truncated, and, for blocks that see a window alone, once the window has passed them. The last page
/// holds no more than the capacity asks for.
public final class KVCache {
  package static let remedy = "ask for fewer tokens, or for fewer texts at once"

  /// How many tokens may be held at most.
  public let capacity: Int
  /// How many tokens are held.
  public private(set) var count = 0
  private let origin: CachePages
  /// The pages of each group by their number; nil where there is none now.
  private var pages: [[CachePage?]]
  /// Where these lie, [groups, most pages]; pointers, since threads read them.
  private let table: UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>
  private let mostPages: Int
  /// Each block's part of the same; threads take it without counting references.
  private let blocks: UnsafeMutableBufferPointer<CachedBlock>

  /// Makes an empty cache with pages of its own.
  ///
  /// - Throws: `inputOutput` when the system has not the memory of so many tokens.
  public convenience init(
    model: FrozenModel,
    capacity: Int,
    format: CacheFormat = .float32
  ) throws(ReFTError) {
    try self.init(CachePages(model: model, format: format), capacity: capacity)
  }

  /// Makes an empty cache, which takes its pages from `origin` as tokens arrive.
  ///
  /// - Throws: `inputOutput` when the system has not the memory of so many tokens now: better known
  ///   before a text is begun than in its midst.
  public init(_ origin: CachePages, capacity: Int) throws(ReFTError) {
    let purpose = MemoryPurpose("the keys and values of \(capacity) tokens", remedy: Self.remedy)
    // What is counted in the next lines must not be more than can be counted.
    _ = try MemoryRoom.product(max(0, capacity), 1, for: purpose)
    let byteCount = try origin.layout.byteCount(count: max(1, capacity), for: purpose)
    try MemoryRoom.check(byteCount: byteCount, for: purpose)
    self.capacity = capacity
    self.origin = origin
    let groups = origin.layout.groups.count
    mostPages = (max(1, capacity) - 1) / CachePages.tokenCount + 1
    pages = Array(repeating: [], count: groups)
    table = .allocate(capacity: groups * mostPages)
    table.initialize(repeating: nil)
    blocks = .allocate(capacity: origin.layout.places.count)
    for (index, place) in origin.layout.places.enumerated() {
      let own = table[(place.group * mostPages)..<((place.group + 1) * mostPages)]
      blocks.initializeElement(
        at: index,
        to: CachedBlock(
          pages: UnsafeBufferPointer(rebasing: own),
          capacity: capacity,
          place,
          origin.layout
        )
      )
    }
  }

  deinit {
    blocks.deallocate()
    table.deallocate()
  }

  /// How numbers are held.
  public var format: CacheFormat { origin.layout.format }

  /// How many pages are held, those of different groups of blocks counted apart.
  public var pageCount: Int {
    pages.reduce(0) { sum, list in sum + list.reduce(0) { $0 + ($1 == nil ? 0 : 1) } }
  }

  /// Forgets the tokens from `count` on; the last `CachePages.tokenCount` ones always can be.
  ///
  /// - Throws: `usage` when blocks with a window have given back the keys that the next token would
  ///   see; nothing is forgotten then.
  public func truncate(to count: Int) throws(ReFTError) {
    let kept = min(self.count, max(0, count))
    for (group, shape) in origin.layout.groups.enumerated() where kept > 0 {
      let first = max(0, kept - shape.window + 1) / CachePages.tokenCount
      guard pages[group][first] != nil else {
        throw .truncatedBehindWindow(kept, of: self.count, window: shape.window)
      }
    }
    settle(count: kept)
  }

  /// Takes the pages of `more` tokens behind those that are held.
  ///
  /// - Throws: `inputOutput` when the system has no such memory; pages are then as they were.
  func reserve(_ more: Int) throws(ReFTError) {
    let end = origin.layout.pages(of: 0, count: count + more).upperBound
    do throws(ReFTError) {
      for group in pages.indices {
        while pages[group].count < end {
          let tokens = CacheLayout.tokenCount(ofPage: pages[group].count, capacity: capacity)
          let page = try origin.take(group: group, tokens: tokens)
          table[group * mostPages + pages[group].count] = page.base
          pages[group].append(page)
        }
      }
    } catch {
      settle(count: count)
      throw error
    }
  }

  /// Takes `count` tokens for held and lets go of the pages that nobody needs for them.
  func settle(count: Int) {
    self.count = count
    for group in pages.indices {
      let needed = origin.layout.pages(of: group, count: count)
      while pages[group].count > needed.upperBound { drop(pages[group].count - 1, of: group) }
      // Those before have gone already.
      var page = needed.lowerBound - 1
      while page >= 0, pages[group][page] != nil {
        drop(page, of: group)
        page -= 1
      }
    }
  }

  private func drop(_ page: Int, of group: Int) {
    table[group * mostPages + page] = nil
    if page == pages[group].count - 1 {
      pages[group].removeLast()
    } else {
      pages[group][page] = nil
    }
  }

  /// The keys and values of a block.
  func block(_ index: Int) -> CachedBlock { blocks[index] }
}

/// The keys and values of one block of a cache, for whoever holds the cache.
struct CachedBlock {
  private let pages: UnsafeBufferPointer<UnsafeMutableRawPointer?>
  /// The tokens of the last page.
  private let lastPageTokens: Int
  /// Bytes of a page before the block's keys, for each token of the page.
  private let tokenOffset: Int
  /// Bytes of one key, and of one value, of one head.
  private let keyByteCount: Int
  private let valueByteCount: Int
  /// The format's number in reft_attention.h.
  let format: UInt32

  fileprivate init(
    pages: UnsafeBufferPointer<UnsafeMutableRawPointer?>,
    capacity: Int,
    _ place: CacheLayout.Place,
    _ layout: CacheLayout
  ) {
    self.pages = pages
    lastPageTokens = CacheLayout.tokenCount(ofPage: pages.count - 1, capacity: capacity)
    tokenOffset = place.tokenOffset
    (keyByteCount, valueByteCount) = (layout.keyByteCount, layout.valueByteCount)
    format = layout.format.raw
  }

  /// Where the keys and values of a head lie, as reft_attention.h lays them out.
  struct Address {
    /// The keys, from a whole panel on.
    let keys: UnsafeMutableRawPointer
    /// The values.
    let values: UnsafeMutableRawPointer
  }

  /// Where those from a position on lie, to the end of its page.
  ///
  /// - Precondition: the position begins a panel, and the cache holds its page.
  func address(head: Int, position: Int) -> Address {
    let index = position / CachePages.tokenCount
    guard let page = pages[index] else {
      preconditionFailure("the keys of position \(position) have gone")
    }
    let tokens = index == pages.count - 1 ? lastPageTokens : CachePages.tokenCount
    let place = position % CachePages.tokenCount
    let keys = page + tokens * (tokenOffset + head * (keyByteCount + valueByteCount))
    return Address(
      keys: keys + place * keyByteCount,
      values: keys + tokens * keyByteCount + place * valueByteCount
    )
  }

  /// Calls for the parts of a range that lie in one page each.
  func forEachPage(of range: Range<Int>, _ body: (Range<Int>) -> Void) {
    var first = range.lowerBound
    while first < range.upperBound {
      let end = (first / CachePages.tokenCount + 1) * CachePages.tokenCount
      body(first..<min(end, range.upperBound))
      first = end
    }
  }
}
