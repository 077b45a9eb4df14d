// SPDX-License-Identifier: Apache-2.0
// Memory for float32 numbers: aligned for SIMD, zeroed, freed with its owner.

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

  /// Allocates `count` zeros.
  ///
  /// - Precondition: `count >= 0`.
  public init(count: Int) {
    precondition(count >= 0)
    self.count = count
    // Fresh pages of the system are zero already, so a large buffer costs only what is touched.
    guard let memory = calloc(count + 32, 4) else { preconditionFailure("no memory") }
    self.memory = memory
    base = memory.alignedUp(toMultipleOf: 64).assumingMemoryBound(to: Float.self)
  }

  /// Copies the values of an array.
  public convenience init(_ values: [Float]) {
    self.init(count: values.count)
    values.withUnsafeBufferPointer { source in
      if let start = source.baseAddress { base.update(from: start, count: source.count) }
    }
  }

  deinit { free(memory) }

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
