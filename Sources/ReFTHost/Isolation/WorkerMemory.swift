// SPDX-License-Identifier: Apache-2.0
// The shared memory of host and worker: a channel of 64 KiB, then the data of the call.

import CReFTPlatform
import Foundation
import ReFTTensor

/// A mapping of the shared memory; both sides have one.
final class WorkerMemory {
  /// Where the data of calls begins.
  static let dataOffset = MemoryLayout<reft_channel_t>.size

  private(set) var base: UnsafeMutableRawPointer
  private(set) var byteCount: Int
  private let descriptor: Int32

  /// Maps what the file has now; nil when the kernel refuses.
  init?(descriptor: Int32, byteCount: Int) {
    guard let base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
      base != MAP_FAILED
    else { return nil }
    self.base = base
    self.byteCount = byteCount
    self.descriptor = descriptor
  }

  deinit { munmap(base, byteCount) }

  /// Maps more of the file; false when the kernel refuses.
  func grow(to wanted: Int) -> Bool {
    guard wanted > byteCount else { return true }
    guard let new = mmap(nil, wanted, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
      new != MAP_FAILED
    else { return false }
    munmap(base, byteCount)
    base = new
    byteCount = wanted
    return true
  }

  var channel: UnsafeMutablePointer<reft_channel_t> {
    base.assumingMemoryBound(to: reft_channel_t.self)
  }

  var requestWord: UnsafeMutableRawPointer { base }
  var replyWord: UnsafeMutableRawPointer { base + Int(REFT_CHANNEL_REPLY) }

  /// The text of the channel: JSON, or an error.
  var message: Data {
    get {
      let count = min(Int(clamping: channel.pointee.message_bytes), messageCapacity)
      return Data(bytes: base + messageOffset, count: count)
    }
    set {
      let count = min(newValue.count, messageCapacity)
      newValue.copyBytes(
        to: (base + messageOffset).assumingMemoryBound(to: UInt8.self),
        count: count
      )
      channel.pointee.message_bytes = UInt64(count)
    }
  }

  var messageCapacity: Int { Self.dataOffset - messageOffset }

  private var messageOffset: Int { Int(REFT_CHANNEL_MESSAGE) }

  /// A place in the data, or nil for offset 0 and offsets outside of the mapping.
  func pointer(_ offset: UInt64) -> UnsafeMutableRawPointer? {
    guard offset >= UInt64(Self.dataOffset), offset < UInt64(byteCount) else { return nil }
    return base + Int(offset)
  }
}
