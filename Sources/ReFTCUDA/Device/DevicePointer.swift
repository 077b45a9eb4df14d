// SPDX-License-Identifier: Apache-2.0
// Addresses and memory of a card, and memory of the machine that the card copies from and to.

/// An address in the memory of a card; nothing on the processor may read there.
package struct DevicePointer: Equatable, Sendable {
  /// The address, as the driver knows it.
  package var address: UInt64

  /// Takes an address.
  package init(address: UInt64) { self.address = address }

  /// The address so many bytes further.
  package func advanced(byBytes count: Int) -> DevicePointer {
    DevicePointer(address: address &+ UInt64(bitPattern: Int64(count)))
  }
}

/// Memory of a card, given back to the card's pool with the last reference.
///
/// What was launched before is done before the memory is used again: there is one stream, and what
/// takes the memory next comes after it on that stream.
package final class DeviceMemory: @unchecked Sendable {
  // Sendable: an address and a size; who writes there, and when, is the rule of the owner. The pool
  // that takes it back has a lock.

  /// The first byte; a multiple of 256.
  package let pointer: DevicePointer
  /// How many bytes were asked for.
  package let byteCount: Int
  private let block: MemoryPool.Block
  private let pool: MemoryPool

  init(_ block: MemoryPool.Block, byteCount: Int, pool: MemoryPool) {
    pointer = DevicePointer(address: block.address)
    (self.byteCount, self.block, self.pool) = (byteCount, block, pool)
  }

  deinit { pool.takeBack(block) }
}

/// Memory of the machine that stays in its place, so that copies to and from a card need no waiting.
package final class PinnedMemory: @unchecked Sendable {
  // Sendable: memory that is fixed for the object's life; who writes to it, and when, is the rule of
  // the owner.

  /// The first byte; a multiple of 64.
  package let base: UnsafeMutableRawPointer
  /// How many bytes there are.
  package let byteCount: Int
  private let context: DeviceContext

  init(_ base: UnsafeMutableRawPointer, byteCount: Int, context: DeviceContext) {
    (self.base, self.byteCount, self.context) = (base, byteCount, context)
    context.pinnedRanges.insert(base, byteCount)
  }

  /// Waits for what the stream does, since a copy may still be under way.
  deinit {
    context.settle()
    context.pinnedRanges.remove(base)
    _ = context.driver.cuMemFreeHost(base)
  }
}
