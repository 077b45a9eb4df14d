// SPDX-License-Identifier: Apache-2.0
// Compiled kernels on a card.

package import ReFTTensor

/// A compiled text, loaded onto a card; it stays there as long as a kernel of it is held.
package final class KernelModule: @unchecked Sendable {
  // Sendable: a handle that only looks up kernels, which the driver allows from any thread.
  let name: String
  private let handle: CUHandle
  private let context: DeviceContext

  /// Loads machine code.
  ///
  /// - Throws: `inputOutput` when the driver does not take it.
  init(_ image: [UInt8], name: String, context: DeviceContext) throws(ReFTError) {
    (self.name, self.context) = (name, context)
    var module: CUHandle?
    let status = image.withUnsafeBytes { bytes in
      bytes.baseAddress.map { context.driver.cuModuleLoadData(&module, $0) }
        ?? CUResult.invalidImage
    }
    guard status == 0, let module else {
      throw .cudaFailed("loading kernels of '\(name)'", context.driver.failure(status))
    }
    handle = module
  }

  deinit {
    context.settle()
    _ = context.driver.cuModuleUnload(handle)
  }

  /// Looks up a kernel; do it once and keep it.
  ///
  /// - Parameter name: the name of its `extern "C" __global__` declaration.
  /// - Returns: the kernel, which keeps the module loaded.
  /// - Throws: `internalFault` when the module has none of that name.
  package func kernel(_ name: String) throws(ReFTError) -> Kernel {
    context.bindThread()
    var function: CUHandle?
    let status = context.driver.cuModuleGetFunction(&function, handle, name)
    guard status == 0, let function else {
      throw .kernelUnknown(name, module: self.name, context.driver.failure(status))
    }
    return Kernel(name, function, module: self)
  }
}

/// A kernel of a module.
package final class Kernel: @unchecked Sendable {
  // Sendable: a handle; what it may be launched with is changed by the launches of its one owner.

  /// Its name in the text.
  package let name: String
  let function: CUHandle
  /// Dynamic shared memory that the driver lets it have; more than 48 KiB must be asked for.
  var allowedSharedBytes = 48 << 10
  private let module: KernelModule

  init(_ name: String, _ function: CUHandle, module: KernelModule) {
    (self.name, self.function, self.module) = (name, function, module)
  }
}
