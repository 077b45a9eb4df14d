// SPDX-License-Identifier: Apache-2.0
// Memory for calls through the host's own instances.

/// Aligned memory that lives as long as the object.
final class HostMemory {
  private var blocks: [UnsafeMutableRawPointer] = []

  func block(_ byteCount: Int) -> UnsafeMutableRawPointer {
    let block = UnsafeMutableRawPointer.allocate(byteCount: max(64, byteCount), alignment: 64)
    blocks.append(block)
    return block
  }

  func zeros(_ byteCount: Int) -> UnsafeMutableRawPointer {
    let start = block(byteCount)
    start.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    return start
  }

  func floats(_ values: [Float]) -> UnsafeMutablePointer<Float> {
    let start = block(values.count * 4).bindMemory(to: Float.self, capacity: max(1, values.count))
    start.initialize(from: values, count: values.count)
    return start
  }

  func pointers(_ list: [UnsafeRawPointer]) -> UnsafePointer<UnsafeRawPointer?> {
    let start = block(list.count * 8).bindMemory(
      to: UnsafeRawPointer?.self,
      capacity: max(1, list.count)
    )
    for (index, pointer) in list.enumerated() { start[index] = pointer }
    return UnsafePointer(start)
  }

  func mutablePointers(
    _ list: [UnsafeMutablePointer<Float>]
  ) -> UnsafePointer<UnsafeMutableRawPointer?> {
    let start = block(list.count * 8).bindMemory(
      to: UnsafeMutableRawPointer?.self,
      capacity: max(1, list.count)
    )
    for (index, pointer) in list.enumerated() { start[index] = UnsafeMutableRawPointer(pointer) }
    return UnsafePointer(start)
  }

  deinit { for block in blocks { block.deallocate() } }
}
