// SPDX-License-Identifier: Apache-2.0
// A card's context and its one stream: what memory, modules and graphs hold on to, so that it
// outlives them all.

import Foundation
import ReFTTensor
import Synchronization

/// The primary context of a card, with a stream of its own.
final class DeviceContext: @unchecked Sendable {
  // Sendable: the driver's functions take calls from any thread; the stream's order is that of the
  // calls, which the owner makes one at a time.
  let driver: CUDADriver
  let stream: CUHandle
  let pinnedRanges = PinnedRanges()
  /// Whether launches are being recorded; set and read by the calls of the owner.
  var isCapturing = false
  private let device: Int32
  private let handle: CUHandle
  /// The thread for which the context was made current last.
  private let boundThread = Atomic<UInt>(0)

  /// Retains the context of a card, which other users of the process share, and makes a stream.
  ///
  /// - Throws: `inputOutput` when the driver cannot.
  init(_ driver: CUDADriver, device: Int32) throws(ReFTError) {
    (self.driver, self.device) = (driver, device)
    var context: CUHandle?
    let retained = driver.cuDevicePrimaryCtxRetain(&context, device)
    guard retained == 0, let context else {
      throw .cudaFailed("opening the card", driver.failure(retained))
    }
    handle = context
    var stream: CUHandle?
    var status = driver.cuCtxSetCurrent(context)
    if status == 0 { status = driver.cuStreamCreate(&stream, CUFlag.streamNonBlocking) }
    guard status == 0, let stream else {
      _ = driver.cuDevicePrimaryCtxRelease(device)
      throw .cudaFailed("making the card's stream", driver.failure(status))
    }
    self.stream = stream
    boundThread.store(Self.thread, ordering: .relaxed)
  }

  deinit {
    _ = driver.cuCtxSetCurrent(handle)
    _ = driver.cuStreamSynchronize(stream)
    _ = driver.cuStreamDestroy(stream)
    _ = driver.cuDevicePrimaryCtxRelease(device)
  }

  /// Makes the context current for the calling thread, where it may not be.
  @inline(__always)
  func bindThread() {
    let thread = Self.thread
    guard boundThread.load(ordering: .relaxed) != thread else { return }
    _ = driver.cuCtxSetCurrent(handle)
    boundThread.store(thread, ordering: .relaxed)
  }

  /// Turns a result of the driver into an error that names what was being done.
  @inline(__always)
  func check(
    _ status: CUStatus,
    _ operation: @autoclosure () -> String,
    location: @autoclosure () -> ReFTError.Location = .here()
  ) throws(ReFTError) {
    guard status != CUResult.success else { return }
    throw .cudaFailed(operation(), driver.failure(status), location: location())
  }

  private static var thread: UInt { UInt(pthread_self()) }
}
