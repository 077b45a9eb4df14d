// SPDX-License-Identifier: Apache-2.0
// Compiles the kernels that plugins bring, and launches them.

package import ReFTModel
package import ReFTTensor

/// A program whose kernels lie on the card.
package final class PreparedEdit {
  /// What was prepared.
  package let program: DeviceProgram
  let forward: [Kernel]
  let backward: [Kernel]

  init(_ program: DeviceProgram, forward: [Kernel], backward: [Kernel]) {
    self.program = program
    self.forward = forward
    self.backward = backward
  }
}

/// Runs device edits on one card, in the order of its stream; calls come from one thread at a time.
package final class DeviceEditRunner {
  private let device: CUDADevice
  private var modules: [String: KernelModule] = [:]
  private var prepared: [DeviceProgram: PreparedEdit] = [:]

  /// A runner without programs.
  package init(_ device: CUDADevice) { self.device = device }

  /// Compiles a program, each text once, and finds its kernels.
  ///
  /// - Throws: `misbehaved` when the text does not compile, or lacks a kernel that the program names.
  package func prepare(_ program: DeviceProgram) throws(ReFTError) -> PreparedEdit {
    if let known = prepared[program] { return known }
    let module = try module(of: program)
    let edit = PreparedEdit(
      program,
      forward: try kernels(program.forward, of: module, program),
      backward: try kernels(program.backward, of: module, program)
    )
    prepared[program] = edit
    return edit
  }

  /// Makes `call.y` of `call.x`.
  ///
  /// - Throws: `inputOutput` when a launch fails.
  package func forward(_ edit: PreparedEdit, _ call: DeviceEditCall) throws(ReFTError) {
    try launch(edit.forward, edit.program.forward, edit.program, call)
  }

  /// Makes `call.dx` of `call.dy` and adds to `call.gradients`.
  ///
  /// - Throws: as `forward`.
  package func backward(_ edit: PreparedEdit, _ call: DeviceEditCall) throws(ReFTError) {
    try launch(edit.backward, edit.program.backward, edit.program, call)
  }

  private func module(of program: DeviceProgram) throws(ReFTError) -> KernelModule {
    if let known = modules[program.source] { return known }
    // The compiler then counts lines as the plugin's author does.
    let text = DeviceEditCall.definition + "#line 1\n" + program.source
    do throws(ReFTError) {
      let module = try device.module(KernelSource(name: "\(program.plugin).cu", text: text))
      modules[program.source] = module
      return module
    } catch {
      guard error.code == .internalFault else { throw error }
      throw .deviceFormBroken(program.plugin, cause: error)
    }
  }

  private func kernels(
    _ list: [DeviceProgram.Kernel],
    of module: KernelModule,
    _ program: DeviceProgram
  ) throws(ReFTError) -> [Kernel] {
    var result: [Kernel] = []
    for kernel in list {
      do throws(ReFTError) {
        result.append(try module.kernel(kernel.name))
      } catch {
        guard error.code == .internalFault else { throw error }
        throw .deviceFormBroken(program.plugin, cause: error)
      }
    }
    return result
  }

  private func launch(
    _ kernels: [Kernel],
    _ shapes: [DeviceProgram.Kernel],
    _ program: DeviceProgram,
    _ call: DeviceEditCall
  ) throws(ReFTError) {
    guard call.rows > 0 else { return }
    guard Int32(exactly: call.rows) != nil, Int32(exactly: call.width) != nil else {
      throw .deviceEditTooLarge(program.plugin, rows: call.rows, width: call.width)
    }
    try withStruct(program, call) { memory throws(ReFTError) in
      for index in kernels.indices {
        let grid = shapes[index].grid(rows: call.rows, width: call.width)
        try device.launch(
          kernels[index],
          grid: (grid.x, grid.y, 1),
          block: shapes[index].threads,
          sharedBytes: shapes[index].sharedByteCount,
          structure: memory
        )
      }
    }
  }

  private func withStruct(
    _ program: DeviceProgram,
    _ call: DeviceEditCall,
    _ body: (UnsafeRawPointer) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    try withUnsafeTemporaryAllocation(
      of: UInt64.self,
      capacity: DeviceEditCall.byteCount / 8
    ) { words -> Result<Void, ReFTError> in
      Result { () throws(ReFTError) in
        guard let base = words.baseAddress else { return }
        call.write(program, to: base)
        try body(base)
      }
    }.get()
  }
}

extension ReFTError {
  static func deviceFormBroken(_ plugin: String, cause: ReFTError) -> ReFTError {
    ReFTError(
      .misbehaved,
      "plugin '\(plugin)': its device form (reft.cuda/1) cannot be used: \(cause.message); run without "
        + "device forms, or ask its author",
      cause: cause
    )
  }

  static func deviceEditTooLarge(_ plugin: String, rows: Int, width: Int) -> ReFTError {
    ReFTError(
      .usage,
      "plugin '\(plugin)' would edit \(rows) rows of \(width) numbers in one call on the card; at most "
        + "2147483647 are possible, use fewer tokens in a pass"
    )
  }
}
