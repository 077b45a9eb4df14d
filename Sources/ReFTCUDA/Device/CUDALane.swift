// SPDX-License-Identifier: Apache-2.0
// A second stream for copies that go on beside the work of a card.

package import ReFTTensor

/// Copies between the machine's pinned memory and the card, in an order of their own.
///
/// What they touch is not in the order of the card's other work unless an event says so: the lane waits
/// for what it reads, and who reads what it brought waits for the lane.
package final class CUDALane: @unchecked Sendable {
  // Sendable: a handle that the one owner of the card uses.
  private let stream: CUHandle
  private let context: DeviceContext

  fileprivate init(_ context: DeviceContext) throws(ReFTError) {
    self.context = context
    context.bindThread()
    var stream: CUHandle?
    let status = context.driver.cuStreamCreate(&stream, CUFlag.streamNonBlocking)
    guard status == 0, let stream else {
      throw .cudaFailed("making a stream for copies", context.driver.failure(status))
    }
    self.stream = stream
  }

  deinit {
    settle()
    _ = context.driver.cuStreamDestroy(stream)
  }

  /// Waits until no copy is under way, before memory is given up.
  package func settle() {
    context.bindThread()
    _ = context.driver.cuStreamSynchronize(stream)
  }

  /// Copies from pinned memory to the card; the bytes are read later.
  ///
  /// - Throws: `inputOutput` when the driver fails.
  package func copyIn(
    _ source: UnsafeRawPointer,
    _ byteCount: Int,
    to target: DevicePointer
  ) throws(ReFTError) {
    guard byteCount > 0 else { return }
    context.bindThread()
    let status = context.driver.cuMemcpyHtoDAsync(target.address, source, byteCount, stream)
    try context.check(status, "copying \(Bytes(byteCount)) to the card")
  }

  /// Copies from the card to pinned memory; the bytes are there once an event behind the copy is
  /// reached.
  ///
  /// - Throws: `inputOutput` when the driver fails.
  package func copyOut(
    _ source: DevicePointer,
    _ byteCount: Int,
    to target: UnsafeMutableRawPointer
  ) throws(ReFTError) {
    guard byteCount > 0 else { return }
    context.bindThread()
    let status = context.driver.cuMemcpyDtoHAsync(target, source.address, byteCount, stream)
    try context.check(status, "copying \(Bytes(byteCount)) from the card")
  }

  /// Puts a mark behind the copies that were asked for until now.
  ///
  /// - Throws: `inputOutput` when the driver fails.
  package func record(_ event: CUDAEvent) throws(ReFTError) {
    context.bindThread()
    try context.check(context.driver.cuEventRecord(event.handle, stream), "recording an event")
  }

  /// Lets later copies wait for a mark.
  ///
  /// - Throws: `inputOutput` when the driver fails.
  package func follow(_ event: CUDAEvent) throws(ReFTError) {
    context.bindThread()
    let status = context.driver.cuStreamWaitEvent(stream, event.handle, 0)
    try context.check(status, "ordering copies behind an event")
  }
}

extension CUDADevice {
  /// A lane for copies.
  ///
  /// - Throws: `inputOutput` when the driver fails.
  package func lane() throws(ReFTError) -> CUDALane { try CUDALane(context) }

  /// Lets what is asked for from now on wait for a mark of a lane.
  ///
  /// - Throws: `inputOutput` when the driver fails.
  package func follow(_ event: CUDAEvent) throws(ReFTError) {
    context.bindThread()
    let status = context.driver.cuStreamWaitEvent(context.stream, event.handle, 0)
    try context.check(status, "ordering work behind an event")
  }
}
