// SPDX-License-Identifier: Apache-2.0
// Memory of keys and values, handed out in pages as tokens arrive and taken back as they go.

import CReFTKernels
import ReFTTensor

/// How a cache holds the numbers of keys and values.
public enum CacheFormat: String, CaseIterable, Sendable {
  /// Rounded to eleven bits: half the memory, and half of what a decoded token has to read.
  case float16
  /// As computed.
  case float32
  /// Rounded to eight bits: 32 neighbouring numbers of a key share a scale, those of a value in one
  /// head another. A little more than half of float16's memory.
  case int8

  /// Its number in reft_attention.h.
  var raw: UInt32 {
    switch self {
    case .float16: REFT_CACHE_FLOAT16
    case .float32: REFT_CACHE_FLOAT32
    case .int8: REFT_CACHE_INT8
    }
  }
}

/// Where the keys and values of each block lie in pages.
///
/// Blocks that see equally far share pages: where they see a window alone, pages behind it go back.
struct CacheLayout: Sendable {
  /// Blocks that see equally far.
  struct Group: Sendable {
    /// How many keys a row sees at most, its own among them.
    let window: Int
    /// Bytes of a token's keys and values.
    fileprivate(set) var tokenByteCount = 0
  }

  /// Where a block's keys and values lie in a page: head by head, keys before values.
  struct Place: Sendable {
    let group: Int
    /// Bytes before them, for each token of the page.
    let tokenOffset: Int
  }

  let format: CacheFormat
  let heads: Int
  /// Bytes of a token's key in one head.
  let keyByteCount: Int
  /// Bytes of a token's value in one head.
  let valueByteCount: Int
  private(set) var groups: [Group] = []
  private(set) var places: [Place] = []

  init(_ model: FrozenModel, format: CacheFormat) {
    self.format = format
    heads = model.configuration.keyValueHeads
    let headSize = model.configuration.headSize
    keyByteCount = reft_cache_key_bytes(format.raw, headSize)
    valueByteCount = reft_cache_value_bytes(format.raw, headSize)
    for block in model.plan.blocks {
      let window = Attention(block.attention).window
      let known = groups.firstIndex { $0.window == window }
      if known == nil { groups.append(Group(window: window)) }
      let group = known ?? groups.count - 1
      places.append(Place(group: group, tokenOffset: groups[group].tokenByteCount))
      groups[group].tokenByteCount += heads * (keyByteCount + valueByteCount)
    }
  }

  /// The pages of a group that a sequence of `count` tokens may read or take back.
  ///
  /// One page more than the window needs stays, so that the last tokens can always be truncated.
  func pages(of group: Int, count: Int) -> Range<Int> {
    let size = CachePages.tokenCount
    let end = (count + size - 1) / size
    let firstKey = max(0, count - groups[group].window + 1)
    return min(end, max(0, firstKey - size) / size)..<end
  }

  /// Bytes of all pages of a sequence of `count` tokens, of which no more will come.
  func byteCount(count: Int, for purpose: MemoryPurpose) throws(ReFTError) -> Int {
    var sum = 0
    for (index, group) in groups.enumerated() {
      let pages = pages(of: index, count: count)
      let last = Self.tokenCount(ofPage: pages.upperBound - 1, capacity: count)
      let tokens = (pages.count - 1) * CachePages.tokenCount + last
      sum += try MemoryRoom.product(tokens, group.tokenByteCount, for: purpose)
    }
    return sum
  }

  /// The tokens of a sequence's page: of the last one, as many panels as its capacity needs.
  static func tokenCount(ofPage page: Int, capacity: Int) -> Int {
    let panel = Int(REFT_CACHE_PANEL)
    let rest = max(1, capacity) - page * CachePages.tokenCount
    return min(CachePages.tokenCount, (rest + panel - 1) / panel * panel)
  }
}

/// The keys and values of neighbouring tokens in the blocks of one group: `CachePages.tokenCount`, or
/// fewer in the last page that a sequence may have.
///
/// Whoever holds a page keeps it; when nobody does, its memory goes back to where it came from.
final class CachePage {
  let base: UnsafeMutableRawPointer
  fileprivate let memory: FloatBuffer
  fileprivate let group: Int
  private let origin: CachePages

  fileprivate init(_ memory: FloatBuffer, group: Int, of origin: CachePages) {
    (self.memory, self.group, self.origin) = (memory, group, origin)
    base = UnsafeMutableRawPointer(memory.base)
  }

  deinit { origin.takeBack(self) }
}

/// Hands out the pages of one model's caches, and keeps those that came back for the next sequence.
///
/// Not thread-safe: caches of one origin are used by one thread at a time.
public final class CachePages {
  /// Tokens of a page: a run of keys of a decoded token, and whole panels of the kernels, so that
  /// neither crosses a page.
  public static let tokenCount = 256

  let layout: CacheLayout
  /// How many pages sequences hold.
  public private(set) var heldCount = 0
  /// How many bytes these have.
  public private(set) var heldByteCount = 0
  /// The most bytes that are handed out, whatever the system has.
  package var byteLimit = Int.max
  private var free: [[FloatBuffer]]

  /// Prepares pages for a model.
  public init(model: FrozenModel, format: CacheFormat) {
    layout = CacheLayout(model, format: format)
    free = Array(repeating: [], count: layout.groups.count)
  }

  /// How many pages wait for the next sequence.
  public var freeCount: Int { free.reduce(0) { $0 + $1.count } }

  /// Gives the memory of pages that nobody holds back to the system.
  public func releaseFree() {
    for group in free.indices { free[group].removeAll() }
  }

  /// A page for so many tokens, whose numbers are anything.
  ///
  /// - Throws: `inputOutput` when the system has no such memory.
  func take(group: Int, tokens: Int) throws(ReFTError) -> CachePage {
    let floats = tokens * layout.groups[group].tokenByteCount / 4
    let purpose = MemoryPurpose(
      "the keys and values of \(tokens) more tokens",
      remedy: KVCache.remedy
    )
    guard heldByteCount <= byteLimit - 4 * floats else { throw .noMemory(4 * floats, for: purpose) }
    let memory: FloatBuffer
    let place =
      free[group].lastIndex { $0.count == floats } ?? free[group].firstIndex { $0.count > floats }
    if let place {
      memory = free[group].remove(at: place)
    } else {
      memory = try FloatBuffer(reserving: floats, for: purpose, isStreamed: true)
    }
    heldCount += 1
    heldByteCount += 4 * memory.count
    return CachePage(memory, group: group, of: self)
  }

  fileprivate func takeBack(_ page: CachePage) {
    heldCount -= 1
    heldByteCount -= 4 * page.memory.count
    free[page.group].append(page.memory)
  }
}
