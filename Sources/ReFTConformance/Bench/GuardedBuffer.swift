// SPDX-License-Identifier: Apache-2.0
// Memory between two pages that must not be touched. The data lies against one of them, so that a
// read or write past that side traps at the instruction; the other side is filled with a pattern.

import Glibc

/// Numeric memory for one call, with a guard page before and after it.
final class GuardedBuffer {
  /// Which side of the data touches a guard page exactly.
  enum Side { case end, start }

  let name: String
  let base: UnsafeMutableRawPointer
  let byteCount: Int
  private let mapping: UnsafeMutableRawPointer
  private let pages: UnsafeMutableRawPointer
  private let pageBytes: Int
  private var isMapped = true
  private let slot: Int

  static let pageSize = sysconf(Int32(_SC_PAGESIZE))
  /// The bytes around the data.
  static let filler: UInt8 = 0xA7

  /// Maps the memory; its contents are `fill`.
  init(
    _ name: String,
    byteCount: Int,
    alignment: Int = 4,
    side: Side = .end,
    fill: UInt8 = 0
  ) throws {
    self.name = name
    self.byteCount = byteCount
    let page = GuardedBuffer.pageSize
    pageBytes = max(page, (byteCount + alignment + page - 1) / page * page)
    guard byteCount >= 0, byteCount < 1 << 34,
      let raw = mmap(nil, pageBytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      raw != MAP_FAILED
    else { throw Breach("Cannot map \(byteCount) bytes for `\(name)`.") }
    mapping = raw
    pages = raw + page
    mprotect(pages, pageBytes, PROT_READ | PROT_WRITE)
    let slack = pageBytes - byteCount
    base = side == .start ? pages : pages + slack / alignment * alignment
    pages.initializeMemory(as: UInt8.self, repeating: GuardedBuffer.filler, count: pageBytes)
    base.initializeMemory(as: UInt8.self, repeating: fill, count: byteCount)
    slot = CrashReporter.register(
      mapping,
      pageBytes + 2 * page,
      base: base,
      byteCount: byteCount,
      name: name
    )
  }

  /// Copies numbers in.
  convenience init(_ name: String, floats: [Float], side: Side = .end) throws {
    try self.init(name, byteCount: floats.count * 4, side: side)
    floats.withUnsafeBytes {
      if let from = $0.baseAddress { base.copyMemory(from: from, byteCount: $0.count) }
    }
  }

  var floats: UnsafeMutablePointer<Float> { base.assumingMemoryBound(to: Float.self) }

  /// The numbers in it.
  var array: [Float] { Array(UnsafeBufferPointer(start: floats, count: byteCount / 4)) }

  /// From now on a write traps.
  func makeReadOnly() { mprotect(pages, pageBytes, PROT_READ) }

  /// From now on writes are allowed again.
  func makeWritable() { mprotect(pages, pageBytes, PROT_READ | PROT_WRITE) }

  /// From now on every access traps; the addresses stay taken.
  func forbid() { mprotect(mapping, pageBytes + 2 * GuardedBuffer.pageSize, PROT_NONE) }

  /// The first byte outside the data that is no longer the filler: its offset from the data's start.
  var strayWrite: Int? {
    let before = base - pages
    let bytes = pages.assumingMemoryBound(to: UInt8.self)
    for index in 0..<before where bytes[index] != GuardedBuffer.filler { return index - before }
    for index in (before + byteCount)..<pageBytes where bytes[index] != GuardedBuffer.filler {
      return index - before
    }
    return nil
  }

  /// Memory that ends is forbidden instead of unmapped, so that its addresses never serve again.
  ///
  /// Set by the rule about kept pointers, before it makes calls; never from two threads.
  nonisolated(unsafe) static var keepsAddresses = false

  deinit {
    if GuardedBuffer.keepsAddresses {
      forbid()
      return
    }
    CrashReporter.unregister(slot)
    munmap(mapping, pageBytes + 2 * GuardedBuffer.pageSize)
  }
}
