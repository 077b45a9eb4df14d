// SPDX-License-Identifier: Apache-2.0
// The word that marks a verdict as the checker's own. The parent makes one for each rule; the child
// keeps it on a page that nothing can read until the rule is judged, so that code under check which
// writes "passed" to the report is found out. It is no wall: code in the same process that knows this
// program well can open the page. What a check finds is advice; docs/abi.md says so.

import Glibc

/// A word of 32 hexadecimal digits that only the two sides of a rule know.
struct VerdictSeal {
  /// Its length in bytes.
  static let byteCount = 32

  /// Makes a new one.
  static func make() -> [UInt8] {
    var random = SystemRandomNumberGenerator()
    let digits = Array("0123456789abcdef".utf8)
    return (0..<byteCount).map { _ in digits[Int.random(in: 0..<16, using: &random)] }
  }

  private let page: UnsafeMutableRawPointer
  private static let pageSize = sysconf(Int32(_SC_PAGESIZE))

  /// Reads the word from a descriptor, straight to its page; nil when there is none.
  init?(descriptor: Int32) {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS
    guard let page = mmap(nil, Self.pageSize, PROT_READ | PROT_WRITE, flags, -1, 0),
      page != MAP_FAILED, read(descriptor, page, Self.byteCount) == Self.byteCount,
      mprotect(page, Self.pageSize, PROT_NONE) == 0
    else { return nil }
    self.page = page
  }

  /// Opens the page for good; the judged code does not run any more.
  func open() -> String {
    guard mprotect(page, Self.pageSize, PROT_READ) == 0 else { return "" }
    return String(
      decoding: UnsafeRawBufferPointer(start: page, count: Self.byteCount),
      as: UTF8.self
    )
  }
}
