// SPDX-License-Identifier: Apache-2.0
// Memory for float32 numbers: aligned for SIMD, zeroed, freed with its owner.

import CReFTKernels
import Foundation

/// A fixed number of float32 values in 64-byte aligned memory, zero at the start.
public final class FloatBuffer: @unchecked Sendable {
  // Sendable: the memory is fixed for the object's life; who writes to it, and when, is the rule of
  // the type that owns the buffer.

  /// How many values there are.
  public let count: Int
  /// The first value; valid for the life of the buffer.
  public let base: UnsafeMutablePointer<Float>
  private let memory: UnsafeMutableRawPointer
  private let mappedByteCount: Int

  private static let hugePage = 2 << 20

  /// Allocates `count` zeros, a number that this program chose.
  ///
  /// Without memory for them the process ends, with a sentence and status 74; where the number comes
  /// from outside, take `init(reserving:for:)`, which throws.
  ///
  /// - Parameters:
  ///   - count: how many.
  ///   - isStreamed: asks for huge pages, for memory that is read from end to end over and over:
  ///     reading ahead does not pass the end of a page.
  /// - Precondition: `count >= 0`.
  public init(count: Int, isStreamed: Bool = false) {
    precondition(count >= 0)
    guard let place = Self.allocate(count, isStreamed) else {
      reft_no_memory(count.multipliedReportingOverflow(by: 4).partialValue)
    }
    (self.count, memory, base, mappedByteCount) = (count, place.memory, place.base, place.mapped)
  }

  /// Allocates `count` zeros, a number that somebody outside chose.
  ///
  /// - Throws: `inputOutput` with the bytes and the remedy when the system has no such memory.
  package init(
    reserving count: Int,
    for purpose: MemoryPurpose,
    isStreamed: Bool = false
  ) throws(ReFTError) {
    let byteCount = try MemoryRoom.product(count, 4, for: purpose)
    guard let place = Self.allocate(count, isStreamed) else {
      throw .noMemory(byteCount, for: purpose)
    }
    (self.count, memory, base, mappedByteCount) = (count, place.memory, place.base, place.mapped)
  }

  private static func allocate(
    _ count: Int,
    _ isStreamed: Bool
  ) -> (memory: UnsafeMutableRawPointer, base: UnsafeMutablePointer<Float>, mapped: Int)? {
    guard count < 1 << 57 else { return nil }
    if isStreamed, count * 4 >= hugePage, let (mapped, start) = map(count * 4) {
      return (mapped, start.assumingMemoryBound(to: Float.self), count * 4 + hugePage)
    }
    // Fresh pages of the system are zero already, so a large buffer costs only what is touched.
    guard let memory = calloc(count + 32, 4) else { return nil }
    return (memory, memory.alignedUp(toMultipleOf: 64).assumingMemoryBound(to: Float.self), 0)
  }

  /// Copies the values of an array.
  public convenience init(_ values: [Float]) {
    self.init(count: values.count)
    values.withUnsafeBufferPointer { source in
      if let start = source.baseAddress { base.update(from: start, count: source.count) }
    }
  }

  deinit {
    if mappedByteCount > 0 { munmap(memory, mappedByteCount) } else { free(memory) }
  }

  /// Fresh zeros on huge pages; nil when the system has no such memory.
  private static func map(
    _ byteCount: Int
  ) -> (memory: UnsafeMutableRawPointer, start: UnsafeMutableRawPointer)? {
    let size = byteCount + hugePage
    let flags = MAP_PRIVATE | MAP_ANONYMOUS
    let memory = mmap(nil, size, PROT_READ | PROT_WRITE, flags, -1, 0)
    guard let memory, memory != MAP_FAILED else { return nil }
    let start = memory.alignedUp(toMultipleOf: hugePage)
    // Where the system has no huge pages, the memory is as good, only slower.
    _ = madvise(start, byteCount, MADV_HUGEPAGE)
    return (memory, start)
  }

  /// All values as a collection that is valid for the life of the buffer.
  public var values: UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: base, count: count)
  }

  /// One value.
  public subscript(index: Int) -> Float {
    get { values[index] }
    set { values[index] = newValue }
  }
}
