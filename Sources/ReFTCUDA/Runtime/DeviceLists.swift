// SPDX-License-Identifier: Apache-2.0
// Short lists on their way to the card: ids, positions, row indices, spans.

import ReFTTensor

/// Pinned memory and its likeness on the card, filled from the front during a pass.
///
/// A list is copied when it is put. What a pass has put stays until the next one begins, which waits
/// for the copies of the one before.
final class DeviceLists {
  private let device: CUDADevice
  private var blocks: [(pinned: PinnedMemory, memory: DeviceMemory)] = []
  private var block = 0
  private var offset = 0

  private static let blockByteCount = 1 << 20

  init(_ device: CUDADevice) { self.device = device }

  /// Starts again at the front.
  ///
  /// - Throws: what the card reports.
  func begin() throws(ReFTError) {
    if block > 0 || offset > 0 { try device.synchronise() }
    (block, offset) = (0, 0)
  }

  /// Copies a list to the card.
  ///
  /// - Returns: where it lies until the next pass begins.
  /// - Throws: what the card reports.
  func put<Element: BitwiseCopyable>(_ list: [Element]) throws(ReFTError) -> DevicePointer {
    let count = list.count * MemoryLayout<Element>.stride
    let place = try reserve(max(16, count))
    list.withUnsafeBytes { source in
      if let base = source.baseAddress { place.host.copyMemory(from: base, byteCount: count) }
    }
    if count > 0 { try device.copyIn(place.host, count, to: place.device) }
    return place.device
  }

  private func reserve(
    _ count: Int
  ) throws(ReFTError) -> (host: UnsafeMutableRawPointer, device: DevicePointer) {
    let padded = (count + 255) / 256 * 256
    while true {
      if block < blocks.count {
        let (pinned, memory) = blocks[block]
        if offset + padded <= pinned.byteCount {
          defer { offset += padded }
          return (pinned.base + offset, memory.pointer.advanced(byBytes: offset))
        }
        (block, offset) = (block + 1, 0)
        continue
      }
      let size = max(padded, Self.blockByteCount)
      blocks.append(
        (try device.pinned(size), try device.allocate(size, for: "the lists of a pass"))
      )
    }
  }
}
