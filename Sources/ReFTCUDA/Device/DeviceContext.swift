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
  /// Whether launches are being recorded, and the stream cannot be waited for.
  private let capturing = Atomic<Bool>(false)
  private let device: Int32
  private let handle: CUHandle
  /// Its number among the contexts of this process: addresses are used again, numbers are not.
  private let number: UInt = count.add(1, ordering: .relaxed).newValue

  private static let count = Atomic<UInt>(0)
  /// Where each thread keeps the number of the context that is current for it.
  private static let current: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key, nil)
    return key
  }()

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
      pthread_setspecific(Self.current, nil)
      _ = driver.cuDevicePrimaryCtxRelease(device)
      throw .cudaFailed("making the card's stream", driver.failure(status))
    }
    self.stream = stream
    pthread_setspecific(Self.current, UnsafeRawPointer(bitPattern: number))
  }

  deinit {
    settle()
    _ = driver.cuStreamDestroy(stream)
    _ = driver.cuDevicePrimaryCtxRelease(device)
  }

  /// Makes the context current for the calling thread, where it may not be.
  @inline(__always)
  func bindThread() {
    guard UInt(bitPattern: pthread_getspecific(Self.current)) != number else { return }
    _ = driver.cuCtxSetCurrent(handle)
    pthread_setspecific(Self.current, UnsafeRawPointer(bitPattern: number))
  }

  var isCapturing: Bool {
    get { capturing.load(ordering: .relaxed) }
    set { capturing.store(newValue, ordering: .relaxed) }
  }

  /// Waits for the stream before something is given up; what failed shows at the owner's next call.
  func settle() {
    bindThread()
    if !isCapturing { _ = driver.cuStreamSynchronize(stream) }
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
}
