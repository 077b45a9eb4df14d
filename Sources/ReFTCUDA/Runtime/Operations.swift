// SPDX-License-Identifier: Apache-2.0
// The kernels of a pass under the names of what they compute; the mathematics is in Kernels/*.cu. Rows
// and widths are counts of numbers, strides and offsets too.

import ReFTModel
import ReFTTensor

/// What a kernel is given: a pointer, a count or a number.
protocol KernelArgument {
  func append(to arguments: inout KernelArguments)
}

extension Int: KernelArgument {
  func append(to arguments: inout KernelArguments) { arguments.add(self) }
}

extension Float: KernelArgument {
  func append(to arguments: inout KernelArguments) { arguments.add(self) }
}

extension DevicePointer: KernelArgument {
  func append(to arguments: inout KernelArguments) { arguments.add(self) }
}

extension Optional: KernelArgument where Wrapped == DevicePointer {
  func append(to arguments: inout KernelArguments) { arguments.add(self) }
}

/// A count or a key of 64 bits.
struct LongCount: KernelArgument {
  var value: Int
  func append(to arguments: inout KernelArguments) { arguments.add(Int64(value)) }
}

/// The kernels of one number format of activations.
final class Operations {
  let device: CUDADevice
  /// The format of activations and dense weights.
  let format: NumberFormat
  let digitRoom = DigitRoom()
  private var kernels: [String: Kernel] = [:]
  private var modules: [String: KernelModule] = [:]

  /// Prepares kernels; each is compiled when it is first called.
  init(_ device: CUDADevice, format: NumberFormat) {
    (self.device, self.format) = (device, format)
  }

  /// Bytes of an activation.
  var actSize: Int { format == .float32 ? 4 : 2 }

  /// The kernel of a name.
  ///
  /// - Throws: what compiling it throws.
  func kernel(
    _ name: String,
    _ source: KernelSource,
    defines: [String: Int] = [:],
    variant: String = ""
  ) throws(ReFTError) -> Kernel {
    let key = variant.isEmpty ? name : name + variant
    if let kernel = kernels[key] { return kernel }
    let moduleKey = source.name + variant
    let module: KernelModule
    if let known = modules[moduleKey] {
      module = known
    } else {
      var all = defines
      all["REFT_ACT"] = format == .float32 ? 0 : 1
      module = try device.module(source, defines: all)
      modules[moduleKey] = module
    }
    let kernel = try module.kernel(name)
    kernels[key] = kernel
    return kernel
  }

  /// Launches a kernel.
  ///
  /// - Throws: what the card reports, with the kernel's name.
  func launch<each Argument: KernelArgument>(
    _ kernel: Kernel,
    grid: (Int, Int, Int),
    block: Int = 256,
    sharedBytes: Int = 0,
    _ arguments: repeat each Argument
  ) throws(ReFTError) {
    var list = KernelArguments()
    repeat (each arguments).append(to: &list)
    try device.launch(kernel, grid: grid, block: block, sharedBytes: sharedBytes, list)
  }

  /// A grid for kernels that stride over `count` numbers, eight to a thread.
  func runs(_ count: Int) -> (Int, Int, Int) {
    (max(1, min((count + 2047) / 2048, device.multiprocessors * 16)), 1, 1)
  }

  /// Launches a kernel of rows.cu, gate.cu or rotary.cu, which takes a grid of any size.
  private func stride<each Argument: KernelArgument>(
    _ name: String,
    _ source: KernelSource,
    over count: Int,
    _ arguments: repeat each Argument
  ) throws(ReFTError) {
    guard count > 0 else { return }
    try launch(try kernel(name, source), grid: runs(count), repeat each arguments)
  }

  // MARK: Rows

  func embed(
    rows: Int,
    width: Int,
    ids: DevicePointer,
    positions: DevicePointer,
    types: DevicePointer?,
    _ embedding: DeviceEmbedding,
    stream: DevicePointer
  ) throws(ReFTError) {
    try stride(
      "embed",
      .rows,
      over: rows * width,
      rows,
      width,
      ids,
      positions,
      types,
      embedding.table.dense,
      embedding.scale,
      embedding.positions?.dense,
      embedding.firstPosition,
      embedding.types?.pointer,
      stream
    )
  }

  func gather(
    _ count: Int,
    _ rows: DevicePointer?,
    from hidden: DeviceRows,
    into out: DevicePointer
  ) throws(ReFTError) {
    try stride(
      hidden.isFloat ? "gather_float" : "gather_act",
      .rows,
      over: count * hidden.width,
      count,
      hidden.width,
      rows,
      hidden.base,
      hidden.stride,
      hidden.offset,
      out
    )
  }

  /// hidden[rows[i]] = values[i], or what of the change `strength` leaves; `fault` becomes 1 where
  /// a number is not finite.
  func scatter(
    _ count: Int,
    _ rows: DevicePointer?,
    _ values: DevicePointer,
    old: DevicePointer?,
    strength: Float,
    to hidden: DeviceRows,
    fault: DevicePointer? = nil
  ) throws(ReFTError) {
    try stride(
      hidden.isFloat ? "scatter_float" : "scatter_act",
      .rows,
      over: count * hidden.width,
      count,
      hidden.width,
      rows,
      values,
      old,
      strength,
      hidden.base,
      hidden.stride,
      hidden.offset,
      fault
    )
    guard let rounded = hidden.rounded else { return }
    try stride(
      "scatter_act",
      .rows,
      over: count * hidden.width,
      count,
      hidden.width,
      rows,
      values,
      old,
      strength,
      rounded,
      hidden.stride,
      hidden.offset,
      fault
    )
  }

  /// y[i] = x[pick[i]], in the format of activations.
  func cast(
    rows: Int,
    width: Int,
    pick: DevicePointer? = nil,
    _ x: DevicePointer,
    to y: DevicePointer
  ) throws(ReFTError) {
    try stride("cast_rows", .rows, over: rows * width, rows, width, pick, x, y)
  }

  func widen(
    rows: Int,
    width: Int,
    _ x: DevicePointer,
    to y: DevicePointer
  ) throws(ReFTError) {
    try stride("widen_rows", .rows, over: rows * width, rows, width, x, width, 0, y)
  }

  /// Multiplies each row of activations by a factor of its own.
  func scaleRows(
    rows: Int,
    width: Int,
    _ factors: DevicePointer,
    _ x: DevicePointer
  ) throws(ReFTError) {
    try stride("scale_rows", .rows, over: rows * width, rows, width, factors, x)
  }

  func copyColumns(
    rows: Int,
    width: Int,
    _ x: DevicePointer,
    stride: Int,
    to y: DevicePointer
  ) throws(ReFTError) {
    try self.stride("copy_columns", .rows, over: rows * width, rows, width, x, stride, 0, y)
  }

  /// y += x.
  func add(rows: Int, width: Int, _ x: DevicePointer, to y: DevicePointer) throws(ReFTError) {
    try stride("add_rows_float", .rows, over: rows * width, rows, width, x, y)
  }

  /// gradient += dy, and the sum as activations where `rounded` wants it.
  func add(
    rows: Int,
    width: Int,
    activations dy: DevicePointer,
    to gradient: DevicePointer,
    rounded: DevicePointer?
  ) throws(ReFTError) {
    try stride("add_act", .rows, over: rows * width, rows, width, dy, gradient, rounded)
  }

  /// x ← factor · x.
  func scale(_ count: Int, _ factor: Float, _ x: DevicePointer) throws(ReFTError) {
    try stride("scale_float", .rows, over: count, count, factor, x)
  }

  func addBias(
    rows: Int,
    _ bias: DeviceFloats?,
    to y: DevicePointer,
    isFloat: Bool
  ) throws(ReFTError) {
    guard let bias else { return }
    try stride(
      isFloat ? "add_bias_float" : "add_bias_act",
      .rows,
      over: rows * bias.count,
      rows,
      bias.count,
      bias.pointer,
      y
    )
  }

  // MARK: Activations

  func rotate(
    rows: Int,
    stride: Int,
    heads: Int,
    headSize: Int,
    _ table: DeviceRotation,
    positions: DevicePointer,
    sign: Float,
    _ x: DevicePointer
  ) throws(ReFTError) {
    try self.stride(
      "rotate",
      .rotary,
      over: rows * heads * table.width * 4,
      rows,
      stride,
      0,
      heads,
      headSize,
      table.width,
      table.isHalves ? 1 : 0,
      positions,
      table.pointer,
      sign,
      x
    )
  }

  func gate(
    rows: Int,
    width: Int,
    kind: Int,
    _ input: DevicePointer,
    to hidden: DevicePointer
  ) throws(ReFTError) {
    try stride("gate", .gate, over: rows * width, rows, width, kind, input, hidden)
  }

  func gateBackward(
    rows: Int,
    width: Int,
    kind: Int,
    _ input: DevicePointer,
    _ slopes: DevicePointer
  ) throws(ReFTError) {
    try stride("gate_backward", .gate, over: rows * width, rows, width, kind, input, slopes)
  }

  func activate(
    rows: Int,
    width: Int,
    kind: Int,
    _ input: DevicePointer,
    stride: Int,
    to out: DevicePointer
  ) throws(ReFTError) {
    try self.stride(
      "activate",
      .gate,
      over: rows * width,
      rows,
      width,
      kind,
      input,
      stride,
      out
    )
  }

  func activateBackward(
    rows: Int,
    width: Int,
    kind: Int,
    _ input: DevicePointer,
    stride: Int,
    _ slopes: DevicePointer
  ) throws(ReFTError) {
    try self.stride(
      "activate_backward",
      .gate,
      over: rows * width,
      rows,
      width,
      kind,
      input,
      stride,
      slopes
    )
  }

  func multiplyUp(
    rows: Int,
    width: Int,
    _ activation: DevicePointer,
    _ input: DevicePointer,
    to hidden: DevicePointer
  ) throws(ReFTError) {
    try stride("multiply_up", .gate, over: rows * width, rows, width, activation, input, hidden)
  }

  func multiplyUpBackward(
    rows: Int,
    width: Int,
    _ activation: DevicePointer,
    _ input: DevicePointer,
    _ slopes: DevicePointer
  ) throws(ReFTError) {
    try stride(
      "multiply_up_backward",
      .gate,
      over: rows * width,
      rows,
      width,
      activation,
      input,
      slopes
    )
  }
}

/// A hidden tensor, or its gradient, on the card.
struct DeviceRows {
  /// The first number of the first row.
  var base: DevicePointer
  /// Numbers from one row to the next.
  var stride: Int
  /// Numbers before the tensor's own in a row.
  var offset = 0
  /// Numbers in a row.
  var width: Int
  /// Whether they are float32, not in the format of activations.
  var isFloat: Bool
  /// The same rows as activations, [rows, width], which change where these do.
  var rounded: DevicePointer?
}
