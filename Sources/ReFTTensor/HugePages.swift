// SPDX-License-Identifier: Apache-2.0
// Memory on huge pages, for what is read from end to end over and over: reading ahead does not pass
// the end of a page, and a small page has to be found 512 times as often.

import Foundation
import Synchronization

/// Fresh zeros on huge pages, where the system has them; freed with the object.
final class HugePages: @unchecked Sendable {
  // Sendable: written by `init` alone; who writes to the memory is the rule of the buffers in it.

  /// Bytes of a page.
  static let pageBytes = 2 << 20
  /// Bytes that small buffers share; what is not touched takes no memory.
  private static let sharedBytes = 16 * pageBytes
  /// Bytes that a buffer begins at a multiple of.
  private static let alignment = 64

  /// The first byte, at the start of a page.
  let start: UnsafeMutableRawPointer
  private let memory: UnsafeMutableRawPointer
  private let mappedBytes: Int

  /// Nil when the system has no such memory.
  init?(byteCount: Int) {
    mappedBytes = byteCount + Self.pageBytes
    let flags = MAP_PRIVATE | MAP_ANONYMOUS
    let memory = mmap(nil, mappedBytes, PROT_READ | PROT_WRITE, flags, -1, 0)
    guard let memory, memory != MAP_FAILED else { return nil }
    self.memory = memory
    start = memory.alignedUp(toMultipleOf: Self.pageBytes)
    // Where the system has no huge pages, the memory is as good, only slower.
    _ = madvise(start, byteCount, MADV_HUGEPAGE)
  }

  deinit { munmap(memory, mappedBytes) }

  /// The pages that small buffers lie in, one behind the other, and how many of their bytes are taken.
  private struct Shared {
    // Weak: they go with the last buffer in them.
    weak var pages: HugePages?
    var taken = 0
  }

  private static let shared = Mutex(Shared())

  /// Zeros for a buffer that would not fill a page: they lie behind those of other buffers, and live
  /// as long as `pages` does, which other buffers hold, too.
  ///
  /// - Precondition: `byteCount` is below `pageBytes`.
  static func share(byteCount: Int) -> (pages: HugePages, start: UnsafeMutableRawPointer)? {
    precondition(byteCount < pageBytes)
    return shared.withLock { shared in
      let bytes = (byteCount + alignment - 1) & ~(alignment - 1)
      if let pages = shared.pages, shared.taken + bytes <= sharedBytes {
        defer { shared.taken += bytes }
        return (pages, pages.start + shared.taken)
      }
      guard let pages = HugePages(byteCount: sharedBytes) else { return nil }
      shared = Shared(pages: pages, taken: bytes)
      return (pages, pages.start)
    }
  }
}
