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
  private let memory: Memory

  /// Where the values lie.
  private enum Memory {
    case heap(UnsafeMutableRawPointer)
    case pages(HugePages)
  }

  /// What the values are for.
  private enum Kind {
    case ordinary
    /// Read from end to end over and over.
    case streamed
    /// The same, and none of them is freed long before the others.
    case streamedTogether
  }

  /// Allocates `count` zeros, a number that this program chose.
  ///
  /// Without memory for them the process ends, with a sentence and status 74; where the number comes
  /// from outside, take `init(reserving:for:)`, which throws.
  ///
  /// - Parameters:
  ///   - count: how many.
  ///   - isStreamed: asks for huge pages, for memory that is read from end to end over and over. Small
  ///     buffers share pages, which are freed with the last of them.
  /// - Precondition: `count >= 0`.
  public init(count: Int, isStreamed: Bool = false) {
    precondition(count >= 0)
    guard let place = Self.allocate(count, isStreamed ? .streamedTogether : .ordinary) else {
      reft_no_memory(count.multipliedReportingOverflow(by: 4).partialValue)
    }
    (self.count, memory, base) = (count, place.memory, place.base)
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
    guard let place = Self.allocate(count, isStreamed ? .streamed : .ordinary) else {
      throw .noMemory(byteCount, for: purpose)
    }
    (self.count, memory, base) = (count, place.memory, place.base)
  }

  private static func allocate(
    _ count: Int,
    _ kind: Kind
  ) -> (memory: Memory, base: UnsafeMutablePointer<Float>)? {
    guard count < 1 << 57 else { return nil }
    let byteCount = count * 4
    if kind != .ordinary, byteCount >= HugePages.pageBytes {
      if let pages = HugePages(byteCount: byteCount) {
        return (.pages(pages), pages.start.assumingMemoryBound(to: Float.self))
      }
    } else if kind == .streamedTogether, let (pages, start) = HugePages.share(byteCount: byteCount)
    {
      return (.pages(pages), start.assumingMemoryBound(to: Float.self))
    }
    // Fresh pages of the system are zero already, so a large buffer costs only what is touched.
    guard let memory = calloc(count + 32, 4) else { return nil }
    let base = memory.alignedUp(toMultipleOf: 64).assumingMemoryBound(to: Float.self)
    return (.heap(memory), base)
  }

  /// Copies the values of an array.
  public convenience init(_ values: [Float]) {
    self.init(count: values.count)
    values.withUnsafeBufferPointer { source in
      if let start = source.baseAddress { base.update(from: start, count: source.count) }
    }
  }

  deinit {
    if case .heap(let memory) = memory { free(memory) }
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
