// SPDX-License-Identifier: Apache-2.0
// Device memory in blocks that are used again: a training step asks the driver for none once the
// first has run. Freed blocks need no waiting, since all work is on one stream.

import ReFTTensor
import Synchronization

/// The blocks of one card, by size.
final class MemoryPool: Sendable {
  /// A piece of device memory.
  struct Block: Sendable {
    var address: UInt64
    /// Its size class.
    var byteCount: Int
    /// The recording that it was handed out in; 0 outside of any.
    var capture: UInt64
  }

  /// What the pool holds and has done.
  struct Statistics: Sendable, Equatable {
    /// Bytes in the hands of owners, in whole blocks.
    var bytesInUse = 0
    /// The most that were so at one time.
    var peakBytesInUse = 0
    /// Bytes taken from the driver.
    var bytesHeld = 0
    /// How often the driver was asked for memory.
    var driverAllocations = 0
  }

  private struct State {
    var free: [Int: [UInt64]] = [:]
    /// Blocks that belong to recordings: a replay writes there, so nobody else may have them.
    var recorded: [UInt64: [Block]] = [:]
    var capture: UInt64 = 0
    var captures: UInt64 = 0
    /// Recordings whose graph is gone.
    var ended: Set<UInt64> = []
    var statistics = Statistics()
  }

  private let context: DeviceContext
  private let state = Mutex(State())

  init(_ context: DeviceContext) { self.context = context }

  /// Gives every free block back to the driver; blocks in use are none, since they hold the pool.
  deinit {
    context.settle()
    state.withLock { state in
      let recorded = state.recorded.values.flatMap { $0.map(\.address) }
      for address in state.free.values.flatMap({ $0 }) + recorded {
        _ = context.driver.cuMemFree(address)
      }
    }
  }

  var statistics: Statistics { state.withLock { $0.statistics } }

  /// The size that a request is rounded to: at most an eighth more, in multiples of 256 bytes.
  static func sizeClass(_ byteCount: Int) -> Int {
    let least = 512
    guard byteCount > least else { return least }
    let power = Int.bitWidth - 1 - (byteCount - 1).leadingZeroBitCount
    let step = max(256, 1 << max(0, power - 3))
    return (byteCount + step - 1) / step * step
  }

  /// Takes a block, a used one where there is one.
  ///
  /// - Returns: the block, or the driver's status when it has no memory.
  func take(_ byteCount: Int) -> Result<Block, CUDAFailure> {
    let size = Self.sizeClass(byteCount)
    return state.withLock { state in
      if let address = reuse(size, &state) { return .success(hand(address, size, &state)) }
      var address: CUAddress = 0
      state.statistics.driverAllocations += 1
      var status = context.driver.cuMemAlloc(&address, size)
      if status == CUResult.outOfMemory, release(&state) {
        status = context.driver.cuMemAlloc(&address, size)
      }
      guard status == 0 else { return .failure(context.driver.failure(status)) }
      state.statistics.bytesHeld += size
      return .success(hand(address, size, &state))
    }
  }

  /// Takes a block back; called when its owner is gone, on any thread.
  func takeBack(_ block: Block) {
    state.withLock { state in
      state.statistics.bytesInUse -= block.byteCount
      if block.capture != 0, !state.ended.contains(block.capture) {
        state.recorded[block.capture, default: []].append(block)
      } else {
        state.free[block.byteCount, default: []].append(block.address)
      }
    }
  }

  /// Begins a recording; what is handed out until its end stays with it.
  func beginCapture() {
    state.withLock { state in
      state.captures += 1
      state.capture = state.captures
    }
  }

  /// Ends the recording and returns its number.
  func endCapture() -> UInt64 {
    state.withLock { state in
      defer { state.capture = 0 }
      return state.capture
    }
  }

  /// Frees the blocks of a recording whose graph is gone.
  func endGraph(_ capture: UInt64) {
    state.withLock { state in
      state.ended.insert(capture)
      for block in state.recorded.removeValue(forKey: capture) ?? [] {
        state.free[block.byteCount, default: []].append(block.address)
      }
    }
  }

  private func reuse(_ size: Int, _ state: inout State) -> UInt64? {
    if state.capture != 0,
      let index = state.recorded[state.capture]?.lastIndex(where: { $0.byteCount == size })
    {
      return state.recorded[state.capture]?.remove(at: index).address
    }
    return state.free[size]?.popLast()
  }

  private func hand(_ address: UInt64, _ size: Int, _ state: inout State) -> Block {
    state.statistics.bytesInUse += size
    state.statistics.peakBytesInUse =
      max(state.statistics.peakBytesInUse, state.statistics.bytesInUse)
    return Block(address: address, byteCount: size, capture: state.capture)
  }

  /// Gives the free blocks back to the driver; false when there were none, or while recording.
  private func release(_ state: inout State) -> Bool {
    guard state.capture == 0, state.free.values.contains(where: { !$0.isEmpty }) else {
      return false
    }
    // cuMemFree waits for the card, so what still runs is done with the blocks.
    for (size, addresses) in state.free {
      for address in addresses {
        _ = context.driver.cuMemFree(address)
        state.statistics.bytesHeld -= size
      }
    }
    state.free = [:]
    return true
  }
}
