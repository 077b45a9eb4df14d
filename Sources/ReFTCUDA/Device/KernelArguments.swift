// SPDX-License-Identifier: Apache-2.0
// The arguments of one launch, in place: no memory is asked for.

/// The arguments of a kernel, in the order of its declaration.
///
/// Every argument takes eight bytes, of which the card reads as many as the parameter has. A value
/// that a C `int` cannot hold is told when the kernel is launched.
package struct KernelArguments: ~Copyable {
  /// The most that a kernel can have.
  package static let capacity = 32

  var slots = InlineArray<32, UInt64>(repeating: 0)
  private(set) var count = 0
  /// The place, from 0, and value of the first integer that fits no `int`.
  private(set) var misfit: (index: Int, value: Int)?

  /// Starts with none.
  package init() {}

  /// Adds an address; nil is a null pointer.
  package mutating func add(_ pointer: DevicePointer?) { append(pointer?.address ?? 0) }

  /// Adds an `int`.
  package mutating func add(_ value: Int32) { append(UInt64(UInt32(bitPattern: value))) }

  /// Adds an `int`.
  package mutating func add(_ value: Int) {
    if let narrow = Int32(exactly: value) { return add(narrow) }
    if misfit == nil { misfit = (count, value) }
    append(0)
  }

  /// Adds a `float`.
  package mutating func add(_ value: Float) { append(UInt64(value.bitPattern)) }

  /// Adds a `long long`.
  package mutating func add(_ value: Int64) { append(UInt64(bitPattern: value)) }

  /// Adds an `unsigned long long`.
  package mutating func add(_ value: UInt64) { append(value) }

  private mutating func append(_ bits: UInt64) {
    precondition(count < Self.capacity, "a kernel has at most 32 arguments")
    slots[count] = bits
    count += 1
  }
}
