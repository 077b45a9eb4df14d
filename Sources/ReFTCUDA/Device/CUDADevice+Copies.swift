// SPDX-License-Identifier: Apache-2.0
// Bytes to a card, from it and on it, and waiting for it.

package import ReFTTensor

extension CUDADevice {
  /// Copies from the machine to the card, in the stream's order.
  ///
  /// From pinned memory the call returns at once, and the bytes are read later: leave them be until
  /// the copy is done. From other memory they are read before the call returns, which may wait for
  /// the stream. In a graph only pinned memory can be copied; each replay reads it anew.
  ///
  /// - Throws: `inputOutput` when the driver fails, `internalFault` in a graph from other memory.
  package func copyIn(
    _ source: UnsafeRawPointer,
    _ byteCount: Int,
    to target: DevicePointer
  ) throws(ReFTError) {
    guard byteCount > 0 else { return }
    context.bindThread()
    if context.isCapturing, !context.pinnedRanges.contains(source, byteCount) {
      throw .notInGraph("a copy of \(Bytes(byteCount)) from memory that is not pinned")
    }
    let status = context.driver.cuMemcpyHtoDAsync(
      target.address,
      source,
      byteCount,
      context.stream
    )
    try context.check(status, "copying \(Bytes(byteCount)) to the card")
  }

  /// Copies from the card to the machine, in the stream's order.
  ///
  /// The bytes are there after `synchronise()`, or after an event that was recorded behind the copy.
  ///
  /// - Throws: `inputOutput` when the driver fails, `internalFault` in a graph to memory that is not
  ///   pinned.
  package func copyOut(
    _ source: DevicePointer,
    _ byteCount: Int,
    to target: UnsafeMutableRawPointer
  ) throws(ReFTError) {
    guard byteCount > 0 else { return }
    context.bindThread()
    if context.isCapturing, !context.pinnedRanges.contains(target, byteCount) {
      throw .notInGraph("a copy of \(Bytes(byteCount)) to memory that is not pinned")
    }
    let status = context.driver.cuMemcpyDtoHAsync(
      target,
      source.address,
      byteCount,
      context.stream
    )
    try context.check(status, "copying \(Bytes(byteCount)) from the card")
  }

  /// Copies on the card, in the stream's order; the two places do not overlap.
  ///
  /// - Throws: `inputOutput` when the driver fails.
  package func copy(
    _ source: DevicePointer,
    to target: DevicePointer,
    _ byteCount: Int
  ) throws(ReFTError) {
    guard byteCount > 0 else { return }
    context.bindThread()
    let status = context.driver.cuMemcpyDtoDAsync(
      target.address,
      source.address,
      byteCount,
      context.stream
    )
    try context.check(status, "copying \(Bytes(byteCount)) on the card")
  }

  /// Fills memory with zero bytes, in the stream's order.
  ///
  /// - Throws: `inputOutput` when the driver fails.
  package func zero(_ target: DevicePointer, _ byteCount: Int) throws(ReFTError) {
    guard byteCount > 0 else { return }
    context.bindThread()
    let status = context.driver.cuMemsetD8Async(target.address, 0, byteCount, context.stream)
    try context.check(status, "clearing \(Bytes(byteCount)) on the card")
  }

  /// Waits until everything that was asked for is done.
  ///
  /// - Throws: `inputOutput` when any of it failed.
  package func synchronise() throws(ReFTError) {
    context.bindThread()
    guard !context.isCapturing else { throw .notInGraph("waiting for the card") }
    try context.check(
      context.driver.cuStreamSynchronize(context.stream),
      "waiting for the card"
    )
  }
}
