// SPDX-License-Identifier: Apache-2.0
// Recorded work that is launched at once, and marks in the stream that tell the time.

package import ReFTTensor

/// Recorded launches and copies.
///
/// Memory that was taken while recording stays with it.
package final class CUDAGraph: @unchecked Sendable {
  // Sendable: a handle that the one owner of the card launches.
  let handle: CUHandle
  private let context: DeviceContext
  private let pool: MemoryPool
  private let capture: UInt64

  init(_ handle: CUHandle, _ context: DeviceContext, _ pool: MemoryPool, _ capture: UInt64) {
    (self.handle, self.context, self.pool, self.capture) = (handle, context, pool, capture)
  }

  deinit {
    context.settle()
    _ = context.driver.cuGraphExecDestroy(handle)
    pool.endGraph(capture)
  }
}

/// A mark in the stream.
package final class CUDAEvent: @unchecked Sendable {
  // Sendable: a handle that the driver takes from any thread.
  let handle: CUHandle
  private let context: DeviceContext

  fileprivate init(_ context: DeviceContext) throws(ReFTError) {
    self.context = context
    var event: CUHandle?
    let status = context.driver.cuEventCreate(&event, CUFlag.eventDefault)
    guard status == 0, let event else {
      throw .cudaFailed("making an event", context.driver.failure(status))
    }
    handle = event
  }

  deinit {
    context.bindThread()
    _ = context.driver.cuEventDestroy(handle)
  }

  /// Puts the mark behind everything that was asked for until now.
  ///
  /// - Throws: `inputOutput` when the driver fails.
  package func record() throws(ReFTError) {
    context.bindThread()
    try context.check(
      context.driver.cuEventRecord(handle, context.stream),
      "recording an event"
    )
  }

  /// Waits until the card has reached the mark.
  ///
  /// - Throws: `inputOutput` when what was before it failed.
  package func wait() throws(ReFTError) {
    context.bindThread()
    try context.check(context.driver.cuEventSynchronize(handle), "waiting for an event")
  }
}

extension CUDADevice {
  /// Records what a closure asks for, without running it.
  ///
  /// Run the same once before: what is loaded or set up at first use cannot be recorded. Sizes and
  /// addresses are recorded as they are; the bytes at them are read at each launch.
  ///
  /// - Throws: what the closure throws, or `inputOutput` when it asked for what a graph cannot hold.
  package func capture(_ body: () throws(ReFTError) -> Void) throws(ReFTError) -> CUDAGraph {
    context.bindThread()
    let (driver, stream) = (context.driver, context.stream)
    guard !context.isCapturing else { throw .notInGraph("another recording") }
    try context.check(
      driver.cuStreamBeginCapture(stream, CUFlag.captureRelaxed),
      "beginning to record a graph"
    )
    context.isCapturing = true
    pool.beginCapture()
    var thrown: ReFTError?
    do throws(ReFTError) { try body() } catch { thrown = error }
    let capture = pool.endCapture()
    context.isCapturing = false
    var (graph, executable): (CUHandle?, CUHandle?) = (nil, nil)
    var status = driver.cuStreamEndCapture(stream, &graph)
    defer { if let graph { _ = driver.cuGraphDestroy(graph) } }
    if thrown == nil, status == 0 {
      status = driver.cuGraphInstantiateWithFlags(&executable, graph, 0)
    }
    guard thrown == nil, status == 0, let executable else {
      pool.endGraph(capture)
      throw thrown ?? .cudaFailed("recording a graph", driver.failure(status))
    }
    return CUDAGraph(executable, context, pool, capture)
  }

  /// Runs recorded work, in the stream's order.
  ///
  /// - Throws: `inputOutput` when the driver fails.
  package func launch(_ graph: CUDAGraph) throws(ReFTError) {
    context.bindThread()
    try context.check(
      context.driver.cuGraphLaunch(graph.handle, context.stream),
      "launching a graph"
    )
  }

  /// Makes an event and puts it behind everything that was asked for until now.
  ///
  /// - Throws: `inputOutput` when the driver fails.
  package func event() throws(ReFTError) -> CUDAEvent {
    context.bindThread()
    let event = try CUDAEvent(context)
    try event.record()
    return event
  }

  /// The seconds that the card took from one event to a later one; waits for both.
  ///
  /// - Throws: `inputOutput` when the driver fails.
  package func elapsed(from first: CUDAEvent, to last: CUDAEvent) throws(ReFTError) -> Double {
    try last.wait()
    var milliseconds: Float = 0
    let status = context.driver.cuEventElapsedTime(&milliseconds, first.handle, last.handle)
    try context.check(status, "reading the time between events")
    return Double(milliseconds) / 1000
  }
}
