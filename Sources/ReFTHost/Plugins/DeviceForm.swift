// SPDX-License-Identifier: Apache-2.0
// The extension reft.cuda/1: what a plugin in this process says of its kernels, checked before anybody
// compiles or launches them.

import CReFTPlugin
package import ReFTModel
package import ReFTTensor

/// An instance that may bring kernels of its own for rows on a card.
package protocol DevicePluginInstance: PluginInstance {
  /// The device form for inference or for training; nil where there is none.
  ///
  /// - Throws: `.misbehaved` when the plugin describes something that cannot be launched.
  func deviceProgram(isTraining: Bool) throws(ReFTError) -> DeviceProgram?
}

/// Reads a program as the ABI has it.
struct DeviceForm {
  /// The plugin's name, for messages.
  let plugin: String
  let isTraining: Bool

  private static let kernelLimit: UInt32 = 16
  private static let memoryLimit: UInt64 = 1 << 32

  /// The program, checked.
  func read(_ program: reft_cuda_program_t) throws(ReFTError) -> DeviceProgram {
    guard let source = ForeignText.strict(program.source), !source.isEmpty else {
      throw fault("a source that is not UTF-8 text of 1 to \(ForeignText.limit) bytes")
    }
    for (name, size) in [
      ("saved_per_row", program.saved_per_row), ("scratch_per_row", program.scratch_per_row),
      ("scratch_fixed", program.scratch_fixed),
    ] where size > Self.memoryLimit {
      throw fault("\(name) of \(size) floats; at most \(Self.memoryLimit) are possible")
    }
    let forward = try kernels(program.forward, program.n_forward, "forward")
    let backward = try kernels(program.backward, program.n_backward, "backward")
    if forward.isEmpty { throw fault("no forward kernel") }
    if isTraining, backward.isEmpty { throw fault("no backward kernel, asked for training") }
    return DeviceProgram(
      plugin: plugin,
      source: source,
      forward: forward,
      backward: backward,
      savedPerRow: Int(program.saved_per_row),
      scratchPerRow: Int(program.scratch_per_row),
      scratchFixed: Int(program.scratch_fixed),
      integers: withUnsafeBytes(of: program.ints) { Array($0.bindMemory(to: Int32.self)) },
      floats: withUnsafeBytes(of: program.floats) { Array($0.bindMemory(to: Float.self)) },
      needsOrigins: program.flags & REFT_CUDA_NEEDS_ROWS != 0
    )
  }

  private func kernels(
    _ list: UnsafePointer<UnsafePointer<reft_cuda_kernel_t>?>?,
    _ count: UInt32,
    _ way: String
  ) throws(ReFTError) -> [DeviceProgram.Kernel] {
    guard count > 0 else { return [] }
    guard count <= Self.kernelLimit else {
      throw fault("\(count) \(way) kernels; at most \(Self.kernelLimit) are possible")
    }
    var result: [DeviceProgram.Kernel] = []
    for index in 0..<Int(count) {
      guard let kernel = list?[index]?.pointee else {
        throw fault("\(way) kernel \(index) of \(count) as null")
      }
      result.append(try self.kernel(kernel, "\(way) kernel \(index)"))
    }
    return result
  }

  private func kernel(
    _ kernel: reft_cuda_kernel_t,
    _ place: String
  ) throws(ReFTError) -> DeviceProgram.Kernel {
    guard kernel.struct_size >= UInt32(MemoryLayout<reft_cuda_kernel_t>.size) else {
      throw fault("\(place) with struct_size \(kernel.struct_size)")
    }
    guard let name = ForeignText.strict(kernel.name), Self.isIdentifier(name) else {
      throw fault("\(place) with a name that no C function has")
    }
    let share: DeviceProgram.Kernel.Share
    switch kernel.share {
    case REFT_CUDA_NOTHING: share = .nothing
    case REFT_CUDA_ROWS: share = .rows
    case REFT_CUDA_COLUMNS: share = .columns
    default: throw fault("\(place) with the unknown share \(kernel.share)")
    }
    for (what, value, range) in [
      ("tile", kernel.tile, 1...UInt32(1 << 20)), ("layers", kernel.layers, 1...65535),
      ("threads", kernel.threads, 32...1024), ("shared_bytes", kernel.shared_bytes, 0...49152),
    ] where !range.contains(value) || what == "threads" && value % 32 != 0 {
      let more = what == "threads" ? ", a multiple of 32" : ""
      throw fault(
        "\(place), '\(name)', with \(what) \(value); it must be from \(range.lowerBound) to "
          + "\(range.upperBound)\(more)"
      )
    }
    return DeviceProgram.Kernel(
      name: name,
      share: share,
      tile: Int(kernel.tile),
      layers: Int(kernel.layers),
      threads: Int(kernel.threads),
      sharedByteCount: Int(kernel.shared_bytes)
    )
  }

  private static func isIdentifier(_ name: String) -> Bool {
    name.utf8.count <= 128 && name.wholeMatch(of: /[A-Za-z_][A-Za-z0-9_]*/) != nil
  }

  func fault(_ what: String) -> ReFTError {
    .pluginMisbehaved(plugin, "its device form (\(REFT_CUDA_EXTENSION)) states \(what)")
  }
}

extension InProcessInstance: DevicePluginInstance {
  package func deviceProgram(isTraining: Bool) throws(ReFTError) -> DeviceProgram? {
    guard parameters.count <= DeviceProgram.parameterLimit else { return nil }
    guard let extensionFunction = plugin.table.pointee.extension,
      let answer = plugin.guarded("extension", { extensionFunction(instance, REFT_CUDA_EXTENSION) })
    else { return nil }
    let form = DeviceForm(plugin: plugin.name, isTraining: isTraining)
    let table = answer.assumingMemoryBound(to: reft_cuda_t.self).pointee
    guard table.struct_size >= UInt32(MemoryLayout<reft_cuda_t>.size), let ask = table.program
    else { throw form.fault("a table without 'program'") }
    var program = reft_cuda_program_t()
    program.struct_size = UInt32(MemoryLayout<reft_cuda_program_t>.size)
    let flags: UInt32 = isTraining ? REFT_CALL_TRAINING : 0
    let status = plugin.guarded("program") { ask(instance, flags, &program) }
    guard status != REFT_E_UNSUPPORTED else { return nil }
    try check(status, call: "program", record: nil)
    return try form.read(program)
  }
}
