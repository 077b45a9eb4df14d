// SPDX-License-Identifier: Apache-2.0
// Kernels from texts, and their launches.

package import ReFTTensor

extension CUDADevice {
  /// Compiles a text for this card, or finds what was compiled of it before, and loads it.
  ///
  /// - Parameters:
  ///   - source: the text.
  ///   - defines: values of macros, as `-DNAME=value`.
  /// - Returns: the module, the same one for the same text and values.
  /// - Throws: `internalFault` with the compiler's messages when the text does not compile,
  ///   `inputOutput` when it cannot be loaded or kept.
  package func module(
    _ source: KernelSource,
    defines: [String: Int] = [:]
  ) throws(ReFTError) -> KernelModule {
    context.bindThread()
    let options = compilerOptions(defines)
    let compiler = libraries.compiler
    let key = KernelCache.key(source, options: options, compiler: compiler.version)
    if let module = modules[key] { return module }
    if let image = cache?.load(key),
      let module = try? KernelModule(image, name: source.name, context: context)
    {
      modules[key] = module
      return module
    }
    let image = try compiler.compile(source.text, name: source.name, options: options)
    let module = try KernelModule(image, name: source.name, context: context)
    try cache?.store(image, key)
    modules[key] = module
    return module
  }

  /// Launches a kernel, in the stream's order.
  ///
  /// - Parameters:
  ///   - kernel: what to run.
  ///   - grid: how many blocks in x, y and z; a launch of no blocks does nothing.
  ///   - block: how many threads a block has, 1 to 1024.
  ///   - sharedBytes: dynamic shared memory of a block.
  ///   - arguments: as many as the kernel declares, of its types.
  /// - Throws: `usage` when a number is more than a launch can have, `inputOutput` when the driver
  ///   does not take it.
  package func launch(
    _ kernel: Kernel,
    grid: (Int, Int, Int),
    block: Int,
    sharedBytes: Int = 0,
    _ arguments: borrowing KernelArguments
  ) throws(ReFTError) {
    guard let shape = try shape(kernel, grid, block, sharedBytes, arguments.misfit) else { return }
    let (count, slots) = (arguments.count, arguments.slots)
    // Pointers with a null pointer behind the last, and then the values that they lead to.
    let status = withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 65) { memory in
      guard let base = memory.baseAddress else { return CUResult.outOfMemory }
      for index in 0..<count {
        let value = base + 33 + index
        value.initialize(to: slots[index])
        (base + index).initialize(to: UInt64(UInt(bitPattern: value)))
      }
      (base + count).initialize(to: 0)
      let pointers = UnsafeMutableRawPointer(base)
        .assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
      return enqueue(kernel, shape, pointers)
    }
    try context.check(status, "launching \(kernel.name)")
  }

  /// Launches a kernel whose one argument is a struct by value.
  ///
  /// - Parameters:
  ///   - kernel: what to run.
  ///   - grid: how many blocks in x, y and z; a launch of no blocks does nothing.
  ///   - block: how many threads a block has, 1 to 1024.
  ///   - sharedBytes: dynamic shared memory of a block.
  ///   - structure: as many bytes as the kernel's struct has; read before this returns.
  ///   - overlaps: whether the kernel waits itself for the end of the one before it, so that it may
  ///     begin earlier, on cards that can.
  /// - Throws: as the launch with arguments.
  package func launch(
    _ kernel: Kernel,
    grid: (Int, Int, Int),
    block: Int,
    sharedBytes: Int = 0,
    structure: UnsafeRawPointer,
    overlaps: Bool = false
  ) throws(ReFTError) {
    guard let shape = try shape(kernel, grid, block, sharedBytes, nil) else { return }
    var argument: UnsafeMutableRawPointer? = UnsafeMutableRawPointer(mutating: structure)
    let status =
      overlaps && capability.major >= 9
      ? enqueueEarly(kernel, shape, &argument) : enqueue(kernel, shape, &argument)
    try context.check(status, "launching \(kernel.name)")
  }

  private func enqueueEarly(
    _ kernel: Kernel,
    _ shape: LaunchShape,
    _ arguments: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  ) -> CUStatus {
    var attribute = CULaunchAttribute.overlap
    return withUnsafeMutablePointer(to: &attribute) { attribute in
      var configuration = CULaunchConfiguration(
        grid: shape.grid,
        block: (shape.block, 1, 1),
        sharedBytes: shape.sharedBytes,
        stream: context.stream,
        attributes: attribute,
        attributeCount: 1
      )
      return context.driver.cuLaunchKernelEx(&configuration, kernel.function, arguments, nil)
    }
  }

  /// Blocks and threads of a launch, as the driver takes them.
  private struct LaunchShape {
    var grid: (UInt32, UInt32, UInt32)
    var block: UInt32
    var sharedBytes: UInt32
  }

  /// Checks a launch and prepares the card for it; nil where there is nothing to do.
  @inline(__always)
  private func shape(
    _ kernel: Kernel,
    _ grid: (Int, Int, Int),
    _ block: Int,
    _ sharedBytes: Int,
    _ misfit: (index: Int, value: Int)?
  ) throws(ReFTError) -> LaunchShape? {
    if grid.0 == 0 || grid.1 == 0 || grid.2 == 0 { return nil }
    guard let x = UInt32(exactly: grid.0), let y = UInt32(exactly: grid.1),
      let z = UInt32(exactly: grid.2), x <= 0x7fff_ffff, y <= 0xffff, z <= 0xffff,
      block > 0, block <= 1024, misfit == nil
    else { throw Self.impossible(kernel, grid, block, misfit) }
    context.bindThread()
    if sharedBytes > kernel.allowedSharedBytes { try allow(sharedBytes, kernel) }
    return LaunchShape(grid: (x, y, z), block: UInt32(block), sharedBytes: UInt32(sharedBytes))
  }

  @inline(__always)
  private func enqueue(
    _ kernel: Kernel,
    _ shape: LaunchShape,
    _ arguments: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  ) -> CUStatus {
    context.driver.cuLaunchKernel(
      kernel.function,
      shape.grid.0,
      shape.grid.1,
      shape.grid.2,
      shape.block,
      1,
      1,
      shape.sharedBytes,
      context.stream,
      arguments,
      nil
    )
  }

  private func compilerOptions(_ defines: [String: Int]) -> [String] {
    let macros = defines.sorted { $0.key < $1.key }.map { "-D\($0.key)=\($0.value)" }
    // The last: older compilers take functions without a word, lambdas among them, for the host's.
    return [
      "--gpu-architecture=sm_\(capability.major)\(capability.minor)", "--std=c++17",
      "--device-as-default-execution-space",
    ] + macros
  }

  private func allow(_ sharedBytes: Int, _ kernel: Kernel) throws(ReFTError) {
    guard sharedBytes <= sharedBytesPerBlock else {
      throw .launchImpossible(
        kernel.name,
        "it wants \(sharedBytes) bytes of shared memory a block, and '\(name)' has "
          + "\(sharedBytesPerBlock)"
      )
    }
    let status = context.driver.cuFuncSetAttribute(
      kernel.function,
      CUFlag.maximumDynamicSharedBytes,
      Int32(sharedBytes)
    )
    try context.check(status, "giving \(kernel.name) \(sharedBytes) bytes of shared memory")
    kernel.allowedSharedBytes = sharedBytes
  }

  private static func impossible(
    _ kernel: Kernel,
    _ grid: (Int, Int, Int),
    _ block: Int,
    _ misfit: (index: Int, value: Int)?
  ) -> ReFTError {
    if let misfit {
      return .launchImpossible(
        kernel.name,
        "argument \(misfit.index) is \(misfit.value), more than a C int holds"
      )
    }
    return .launchImpossible(
      kernel.name,
      "a grid of \(grid.0) × \(grid.1) × \(grid.2) blocks of \(block) threads is not one of at most "
        + "2147483647 × 65535 × 65535 blocks of 1 to 1024 threads"
    )
  }
}
