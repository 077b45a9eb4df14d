// SPDX-License-Identifier: Apache-2.0
// A card: its facts and its memory. Copies, kernels, products, graphs and peaks are in the
// extensions beside this file.

package import Foundation
package import ReFTTensor

/// A card with one stream, on which everything runs in the order of the calls.
///
/// Calls come from one thread at a time; memory may be released on any. A call that only asks for
/// work returns before it is done, so an error of the work shows at a later call, latest at
/// `synchronise()`.
package final class CUDADevice: @unchecked Sendable {
  // Sendable: calls come from one thread at a time, as above; the pool has a lock.

  /// The name that the driver gives it, as "NVIDIA H200".
  package let name: String
  /// The compute capability, as (9, 0).
  package let capability: (major: Int, minor: Int)
  /// Bytes of its memory.
  package let totalMemory: Int
  /// How many multiprocessors it has.
  package let multiprocessors: Int
  /// Bytes of shared memory that one block can have, when it asks for more than 48 KiB.
  package let sharedBytesPerBlock: Int

  let libraries: CUDALibraries.Loaded
  let context: DeviceContext
  let pool: MemoryPool
  let cache: KernelCache?
  let products: CUHandle
  /// Loaded modules by the key of their text; kept, since a run asks for the same again.
  var modules: [String: KernelModule] = [:]
  private let workspace: DeviceMemory

  /// What cuBLAS's documentation names for the largest cards.
  private static let workspaceByteCount = 32 << 20

  /// Opens a card.
  ///
  /// - Parameters:
  ///   - ordinal: its number, from 0, among those that CUDA_VISIBLE_DEVICES shows.
  ///   - libraries: where the libraries come from.
  ///   - cache: the folder of compiled kernels; nil compiles anew each time.
  /// - Returns: the card, with a stream and a pool of its own.
  /// - Throws: `inputMissing` when a library or every card is missing, `usage` when there is no card
  ///   of that number, `inputOutput` when the driver fails.
  package static func open(
    _ ordinal: Int = 0,
    libraries: CUDALibraries = .system,
    cache: URL?
  ) throws(ReFTError) -> CUDADevice {
    try CUDADevice(ordinal, libraries.load(), cache.map { KernelCache(folder: $0.path) })
  }

  /// The folder of compiled kernels for this user: `$REFT_HOME/cache/cuda`.
  package static var userCache: URL {
    URL(fileURLWithPath: UserFolder.cache() + "/cache/cuda", isDirectory: true)
  }

  private init(
    _ ordinal: Int,
    _ libraries: CUDALibraries.Loaded,
    _ cache: KernelCache?
  ) throws(ReFTError) {
    (self.libraries, self.cache) = (libraries, cache)
    let facts = try CardFacts(libraries.driver, ordinal: ordinal)
    (name, capability) = (facts.name, facts.capability)
    (totalMemory, multiprocessors) = (facts.totalMemory, facts.multiprocessors)
    sharedBytesPerBlock = facts.sharedBytesPerBlock
    let context = try DeviceContext(libraries.driver, device: facts.device)
    let pool = MemoryPool(context)
    (self.context, self.pool) = (context, pool)
    let size = Self.workspaceByteCount
    switch pool.take(size) {
    case .success(let block): workspace = DeviceMemory(block, byteCount: size, pool: pool)
    case .failure(let failure):
      throw Self.noMemory(size, "the workspace of matrix products", facts, context, failure)
    }
    products = try Self.openProducts(libraries.products, context, workspace)
  }

  deinit {
    context.settle()
    _ = libraries.products.cublasDestroy(products)
  }

  /// Bytes that the driver would hand out now, beside what the pool keeps for use again.
  ///
  /// - Throws: `inputOutput` when the driver fails.
  package func freeMemory() throws(ReFTError) -> Int {
    context.bindThread()
    var (free, total) = (0, 0)
    try context.check(context.driver.cuMemGetInfo(&free, &total), "asking for free memory")
    return free
  }

  /// Takes memory of the card; what it holds is not defined.
  ///
  /// - Parameters:
  ///   - byteCount: how much, 0 or more.
  ///   - purpose: what for, in an error: "the weights of block 3".
  /// - Returns: memory that starts at a multiple of 256 bytes.
  /// - Throws: `inputOutput` with what was asked for and what is free.
  package func allocate(
    _ byteCount: Int,
    for purpose: @autoclosure () -> String
  ) throws(ReFTError) -> DeviceMemory {
    context.bindThread()
    switch pool.take(byteCount) {
    case .success(let block): return DeviceMemory(block, byteCount: byteCount, pool: pool)
    case .failure(let failure):
      guard failure.number == CUResult.outOfMemory else {
        throw .cudaFailed("taking memory for \(purpose())", failure)
      }
      throw .noCardMemory(
        byteCount,
        for: purpose(),
        free: try freeMemory(),
        total: totalMemory,
        card: name,
        failure
      )
    }
  }

  /// Takes memory of the machine that copies to and from the card need not wait for.
  ///
  /// - Throws: `inputOutput` when there is none.
  package func pinned(_ byteCount: Int) throws(ReFTError) -> PinnedMemory {
    context.bindThread()
    var base: UnsafeMutableRawPointer?
    let status = context.driver.cuMemAllocHost(&base, max(byteCount, 64))
    guard status == 0, let base else {
      throw .cudaFailed("pinning \(Bytes(byteCount))", context.driver.failure(status))
    }
    return PinnedMemory(base, byteCount: byteCount, context: context)
  }

  /// The bytes of device memory that owners hold now, and the most that they held at one time.
  package var memoryUse: (now: Int, peak: Int) {
    let statistics = pool.statistics
    return (statistics.bytesInUse, statistics.peakBytesInUse)
  }

  private static func openProducts(
    _ library: CuBLAS,
    _ context: DeviceContext,
    _ workspace: DeviceMemory
  ) throws(ReFTError) -> CUHandle {
    var handle: CUHandle?
    var status = library.cublasCreate(&handle)
    guard status == 0, let handle else {
      throw .cudaFailed("starting cuBLAS", library.failure(status))
    }
    // The stream first: setting it takes the workspace away again.
    status = library.cublasSetStream(handle, context.stream)
    if status == 0 {
      let place = UnsafeMutableRawPointer(bitPattern: UInt(workspace.pointer.address))
      status = library.cublasSetWorkspace(handle, place, workspace.byteCount)
    }
    if status == 0 { status = library.cublasSetMathMode(handle, CuBLASConstant.mathFullSums) }
    guard status == 0 else {
      _ = library.cublasDestroy(handle)
      throw .cudaFailed("preparing cuBLAS", library.failure(status))
    }
    return handle
  }

  private static func noMemory(
    _ byteCount: Int,
    _ purpose: String,
    _ facts: CardFacts,
    _ context: DeviceContext,
    _ failure: CUDAFailure
  ) -> ReFTError {
    var (free, total) = (0, 0)
    _ = context.driver.cuMemGetInfo(&free, &total)
    return .noCardMemory(
      byteCount,
      for: purpose,
      free: free,
      total: facts.totalMemory,
      card: facts.name,
      failure
    )
  }
}
