// SPDX-License-Identifier: Apache-2.0
// Which of the machine's memory is pinned: a copy from elsewhere cannot be part of a graph.

import Synchronization

/// The ranges of pinned memory of one card.
final class PinnedRanges: Sendable {
  private struct Range {
    var start: UInt
    var end: UInt
  }

  private let ranges = Mutex<[Range]>([])

  func insert(_ base: UnsafeRawPointer, _ byteCount: Int) {
    let start = UInt(bitPattern: base)
    ranges.withLock { $0.append(Range(start: start, end: start + UInt(byteCount))) }
  }

  func remove(_ base: UnsafeRawPointer) {
    ranges.withLock { $0.removeAll { $0.start == UInt(bitPattern: base) } }
  }

  func contains(_ base: UnsafeRawPointer, _ byteCount: Int) -> Bool {
    let start = UInt(bitPattern: base)
    return ranges.withLock { ranges in
      ranges.contains { $0.start <= start && start + UInt(byteCount) <= $0.end }
    }
  }
}
