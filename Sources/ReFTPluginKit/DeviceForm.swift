// SPDX-License-Identifier: Apache-2.0
// The device form of an intervention (reft_cuda.h), as an author in Swift states it: CUDA kernels beside
// `forward` and `backward`.

import CReFTPlugin

/// CUDA kernels that compute what `forward` and `backward` do, for rows that stay on the card.
///
/// ```swift
/// private static let kernels = DeviceForm(
///   source: """
///     extern "C" __global__ void shift(reft_cuda_call_t call) {
///       long long at = (long long)blockIdx.x * call.d;
///       for (int j = threadIdx.x; j < call.d; j += blockDim.x)
///         call.y[at + j] = call.x[at + j] + call.floats[0];
///     }
///     """,
///   forward: [.init("shift", over: .rows)]
/// )
/// ```
///
/// All functions get one `reft_cuda_call_t`; `reft plugin check NAME --device cuda` compares them with the
/// host's form. Make a form once and keep it: its texts are never freed.
public struct DeviceForm: @unchecked Sendable {
  // Sendable: the texts and lists are written in `init` alone, and never freed.

  /// What the blocks of a launch share out.
  public enum Share: Sendable {
    /// Nothing: there is one block.
    case nothing
    /// The rows of the call.
    case rows
    /// The numbers of a row.
    case columns
  }

  /// One launch.
  public struct Kernel: Sendable {
    let name: String
    let share: Share
    let tile: Int
    let layers: Int
    let threads: Int
    let sharedBytes: Int

    /// Describes a launch.
    ///
    /// - Parameters:
    ///   - name: of the function in the source.
    ///   - share: what its blocks share out.
    ///   - tile: rows or columns of a block.
    ///   - layers: blocks in y.
    ///   - threads: of a block, a multiple of 32 up to 1024.
    ///   - sharedBytes: dynamic shared memory of a block.
    public init(
      _ name: String,
      over share: Share,
      tile: Int = 1,
      layers: Int = 1,
      threads: Int = 256,
      sharedBytes: Int = 0
    ) {
      self.name = name
      self.share = share
      self.tile = tile
      self.layers = layers
      self.threads = threads
      self.sharedBytes = sharedBytes
    }
  }

  private var program = reft_cuda_program_t()

  /// States the kernels and the memory that they need.
  ///
  /// - Parameters:
  ///   - source: CUDA C++; the host puts the definition of `reft_cuda_call_t` before it.
  ///   - forward: what makes y of x, in order.
  ///   - backward: what makes dx of dy and adds to the gradients, in order.
  ///   - savedPerRow: floats that forward leaves for the backward of the same rows.
  ///   - scratchPerRow: floats for the duration of one call.
  ///   - needsRows: whether a function reads where rows come from.
  public init(
    source: String,
    forward: [Kernel],
    backward: [Kernel] = [],
    savedPerRow: Int = 0,
    scratchPerRow: Int = 0,
    needsRows: Bool = false
  ) {
    program.struct_size = UInt32(MemoryLayout<reft_cuda_program_t>.size)
    program.flags = needsRows ? REFT_CUDA_NEEDS_ROWS : 0
    program.source = permanent(source)
    program.forward = Self.list(forward)
    program.n_forward = UInt32(forward.count)
    program.backward = Self.list(backward)
    program.n_backward = UInt32(backward.count)
    program.saved_per_row = UInt64(savedPerRow)
    program.scratch_per_row = UInt64(scratchPerRow)
  }

  /// The same kernels with numbers that they find in `ints` and `floats`, and with memory that depends on
  /// the instance.
  ///
  /// - Precondition: at most `REFT_CUDA_NUMBERS` of each.
  public func with(
    integers: [Int] = [],
    floats: [Float] = [],
    savedPerRow: Int? = nil,
    scratchPerRow: Int? = nil
  ) -> DeviceForm {
    var form = self
    withUnsafeMutableBytes(of: &form.program.ints) { memory in
      let list = memory.bindMemory(to: Int32.self)
      precondition(integers.count <= list.count, "at most \(list.count) integers")
      for (index, value) in integers.enumerated() { list[index] = Int32(value) }
    }
    withUnsafeMutableBytes(of: &form.program.floats) { memory in
      let list = memory.bindMemory(to: Float.self)
      precondition(floats.count <= list.count, "at most \(list.count) floats")
      for (index, value) in floats.enumerated() { list[index] = value }
    }
    if let savedPerRow { form.program.saved_per_row = UInt64(savedPerRow) }
    if let scratchPerRow { form.program.scratch_per_row = UInt64(scratchPerRow) }
    return form
  }

  /// Writes it to a host's struct, as far as that has room.
  func write(to out: UnsafeMutablePointer<reft_cuda_program_t>) {
    copy(program, to: out, room: out.pointee.struct_size)
  }

  private static func list(
    _ kernels: [Kernel]
  ) -> UnsafePointer<UnsafePointer<reft_cuda_kernel_t>?> {
    let list = UnsafeMutablePointer<UnsafePointer<reft_cuda_kernel_t>?>.allocate(
      capacity: max(1, kernels.count)
    )
    for (index, kernel) in kernels.enumerated() {
      let share =
        switch kernel.share {
        case .nothing: REFT_CUDA_NOTHING
        case .rows: REFT_CUDA_ROWS
        case .columns: REFT_CUDA_COLUMNS
        }
      let memory = UnsafeMutablePointer<reft_cuda_kernel_t>.allocate(capacity: 1)
      memory.initialize(
        to: reft_cuda_kernel_t(
          struct_size: UInt32(MemoryLayout<reft_cuda_kernel_t>.size),
          share: share,
          name: permanent(kernel.name),
          tile: UInt32(kernel.tile),
          layers: UInt32(kernel.layers),
          threads: UInt32(kernel.threads),
          shared_bytes: UInt32(kernel.sharedBytes)
        )
      )
      (list + index).initialize(to: UnsafePointer(memory))
    }
    return UnsafePointer(list)
  }
}

/// The table of the extension reft.cuda/1, one for all instances; never freed.
nonisolated(unsafe) let deviceTable: UnsafeRawPointer = {
  let table = UnsafeMutablePointer<reft_cuda_t>.allocate(capacity: 1)
  table.initialize(to: reft_cuda_t())
  table.pointee.struct_size = UInt32(MemoryLayout<reft_cuda_t>.size)
  table.pointee.program = { pointer, flags, out in
    guard let out, let instance = Instance.of(pointer) else { return REFT_E_INVALID }
    let isTraining = flags & REFT_CALL_TRAINING != 0
    guard let form = instance.intervention.deviceForm(isTraining: isTraining) else {
      return REFT_E_UNSUPPORTED
    }
    form.write(to: out)
    return REFT_OK
  }
  return UnsafeRawPointer(table)
}()
