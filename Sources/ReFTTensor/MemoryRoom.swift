// SPDX-License-Identifier: Apache-2.0
// Memory whose size somebody outside decided: a prompt's length, an option, a number in a file. When
// the system has not that much, it is an error with the bytes and a remedy.

import Foundation

/// What memory is wanted for, and what to do when there is not enough.
package struct MemoryPurpose: Sendable {
  /// What the memory holds, such as "the keys and values of 4096 tokens".
  package let what: String
  /// What makes it less, such as "lower --max-tokens".
  package let remedy: String

  /// Describes memory.
  package init(_ what: String, remedy: String) {
    self.what = what
    self.remedy = remedy
  }
}

/// Sizes from outside, before anything of that size is made.
package enum MemoryRoom {
  /// The product of sizes.
  ///
  /// - Throws: `inputOutput` when it is more than any machine addresses.
  package static func product(_ sizes: Int..., for purpose: MemoryPurpose) throws(ReFTError) -> Int
  {
    var result = 1
    for size in sizes {
      let (next, overflows) = result.multipliedReportingOverflow(by: size)
      guard !overflows, next >= 0, next < 1 << 57 else { throw .noMemory(nil, for: purpose) }
      result = next
    }
    return result
  }

  /// Makes sure that the system would hand out so many bytes at once now.
  ///
  /// For work that takes its memory in pieces, where no error could be told any more. Costs two
  /// system calls; nothing is kept.
  ///
  /// - Throws: `inputOutput` with the bytes when it would not.
  package static func check(byteCount: Int, for purpose: MemoryPurpose) throws(ReFTError) {
    guard byteCount > 0 else { return }
    let flags = MAP_PRIVATE | MAP_ANONYMOUS
    let memory = mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, -1, 0)
    guard let memory, memory != MAP_FAILED else { throw .noMemory(byteCount, for: purpose) }
    munmap(memory, byteCount)
  }
}

extension ReFTError {
  /// The system has no such memory; without a number of bytes, no machine has.
  package static func noMemory(
    _ byteCount: Int?,
    for purpose: MemoryPurpose,
    location: Location = .here()
  ) -> ReFTError {
    let size = byteCount.map { "\($0) bytes" } ?? "more bytes than can be addressed"
    return ReFTError(
      .inputOutput,
      "no memory for \(purpose.what): \(size) were asked for and the system has not so many; "
        + "\(purpose.remedy), or free memory (see `ulimit -v` where one is set)",
      location: location
    )
  }
}
