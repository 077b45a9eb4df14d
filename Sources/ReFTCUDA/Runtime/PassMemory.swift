// SPDX-License-Identifier: Apache-2.0
// The memory of passes on the card, reused from one to the next.

import ReFTTensor

/// Memory that grows to the largest size asked for.
struct GrowingMemory {
  private var memory: DeviceMemory?

  /// At least so many bytes; what they held is lost where they move.
  ///
  /// - Throws: what the card reports when there is no room.
  mutating func bytes(
    _ count: Int,
    _ device: CUDADevice,
    for purpose: String
  ) throws(ReFTError) -> DevicePointer {
    if let memory, memory.byteCount >= count { return memory.pointer }
    // The old one goes back first, so that both need not fit.
    memory = nil
    let grown = try device.allocate(max(16, count), for: purpose)
    memory = grown
    return grown.pointer
  }

  /// Where it lies now.
  var pointer: DevicePointer? { memory?.pointer }
}

/// What lies in a piece of memory, and for messages its name.
enum PassSlot: Int, CaseIterable {
  case streams0, streams1
  case normed
  case mixed
  case mixedEdited
  case hidden
  case product
  case gradient
  case roundedGradient
  case parallelGradient
  case headGradients
  case dots
  case finalNormed
  case finalFloats
  case logits
  case logitGradients
  case losses
  case rowIndices
  case gathered
  case gatheredSource
  case gatheredBefore
  case editedRows, editedProduct
  case likeliest
  case decodeParts
}

/// What a block keeps for its way back.
enum KeptSlot: Int, CaseIterable {
  /// The residual stream entering the block after edits, [T, d], float32.
  case input
  /// Queries, keys and values as the attention reads them, [T, queryWidth + 2 keyValueWidth].
  case queryKeyValue
  /// Queries and keys before their norms.
  case bareHeads
  /// Log-sum-exp of the scores, [T, heads], float32.
  case logSumExp
  /// The weighted values, [T, queryWidth].
  case mixed
  /// The attention's output before its own norm, or its sum with the stream, [T, d], float32.
  case attentionProduct
  /// The residual stream after the attention, [T, d], float32.
  case middle
  /// Gate and up, or up alone; on the way back their gradients.
  case mlpInput
  /// The edited activation, only where it is edited.
  case activation
  /// The MLP's output before its own norm, or its sum with the stream, [T, d], float32.
  case mlpProduct
  /// What each product read, [T, its width]; only of those that have updates.
  case queryKeyValueSource, attentionOutputSource, mlpInputSource, downSource
}

/// Memory by what it holds.
final class PassMemory {
  private let device: CUDADevice
  private var slots = [GrowingMemory](repeating: GrowingMemory(), count: PassSlot.allCases.count)
  private var kept: [[GrowingMemory]] = []

  init(_ device: CUDADevice) { self.device = device }

  func bytes(_ slot: PassSlot, _ count: Int) throws(ReFTError) -> DevicePointer {
    try slots[slot.rawValue].bytes(count, device, for: "\(slot) of a pass")
  }

  /// What a block keeps; index −1 is the one that blocks without a way back share.
  func bytes(_ slot: KeptSlot, block: Int, _ count: Int) throws(ReFTError) -> DevicePointer {
    let place = block + 1
    while kept.count <= place {
      kept.append(
        [GrowingMemory](repeating: GrowingMemory(), count: KeptSlot.allCases.count)
      )
    }
    return try kept[place][slot.rawValue].bytes(count, device, for: "\(slot) of block \(block)")
  }

  /// Where everything lies, for a recording that must know whether something moved.
  var addresses: [UInt64] {
    slots.map { $0.pointer?.address ?? 0 } + kept.flatMap { $0 }.map { $0.pointer?.address ?? 0 }
  }

  /// Gives everything back to the device's pool.
  func release() {
    slots = [GrowingMemory](repeating: GrowingMemory(), count: PassSlot.allCases.count)
    kept = []
  }
}
