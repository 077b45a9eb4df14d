// SPDX-License-Identifier: Apache-2.0
// The arguments of one call, as views of the host's memory. Nothing here outlives the call.

public import CReFTPlugin

/// Rows that a plugin reads.
public struct InputRows {
  private let base: UnsafePointer<Float>
  private let stride: Int
  /// How many rows there are.
  public let count: Int
  /// The width of a row.
  public let width: Int

  init?(_ matrix: reft_mat_t) {
    guard let data = matrix.data else { return nil }
    base = UnsafePointer(data.assumingMemoryBound(to: Float.self))
    stride = Int(matrix.row_stride)
    count = Int(matrix.rows)
    width = Int(matrix.cols)
  }

  /// One row; valid until the call returns.
  @inline(__always)
  public subscript(row: Int) -> UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(start: base + row * stride, count: width)
  }
}

/// Rows that a plugin writes.
public struct OutputRows {
  private let base: UnsafeMutablePointer<Float>
  private let stride: Int
  /// How many rows there are.
  public let count: Int
  /// The width of a row.
  public let width: Int

  init?(_ matrix: reft_mat_t) {
    guard let data = matrix.data else { return nil }
    base = data.assumingMemoryBound(to: Float.self)
    stride = Int(matrix.row_stride)
    count = Int(matrix.rows)
    width = Int(matrix.cols)
  }

  /// One row; valid until the call returns.
  @inline(__always)
  public subscript(row: Int) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: base + row * stride, count: width)
  }
}

/// Whether a struct of a size is long enough to hold a field: that of an older host is not.
func holds<Table, Field>(_ size: UInt32, _ field: KeyPath<Table, Field>) -> Bool {
  guard let offset = MemoryLayout<Table>.offset(of: field) else { return false }
  return Int(size) >= offset + MemoryLayout<Field>.size
}

/// What forward and backward calls have in common.
public struct CallContext {
  let arguments: UnsafePointer<reft_args_t>
  let host: UnsafePointer<reft_host_t>

  /// The numbers of a parameter, in the order of `parameters`.
  public func parameter(_ index: Int) -> UnsafePointer<Float> {
    guard index < Int(arguments.pointee.n_params), let pointers = arguments.pointee.params,
      let memory = pointers[index]
    else { preconditionFailure("parameter \(index) does not exist") }
    return memory.assumingMemoryBound(to: Float.self)
  }

  /// Where the rows come from, when the host says so.
  public var rows: UnsafePointer<reft_rows_t>? { arguments.pointee.rows }

  /// What names the sequence of a row in any batch, for numbers that depend on it; 0 when the host does
  /// not say.
  public func key(of row: Int) -> UInt64 {
    guard let rows else { return 0 }
    if holds(rows.pointee.struct_size, \reft_rows_t.key), let keys = rows.pointee.key {
      return UInt64(bitPattern: keys[row])
    }
    return UInt64(UInt32(bitPattern: rows.pointee.example?[row] ?? 0))
  }

  /// The state of a row's sequence, `statePerSequence` numbers that are zero at its start; nil in
  /// backward.
  public func state(of row: Int) -> UnsafeMutablePointer<Float>? {
    guard holds(arguments.pointee.struct_size, \reft_args_t.states) else { return nil }
    return arguments.pointee.states?[row]?.assumingMemoryBound(to: Float.self)
  }

  /// Which of the rule's locations a row is, from 0; nil where the rule lists none, and for generated
  /// tokens.
  public func location(of row: Int) -> Int? {
    guard let place = rows?.pointee.location?[row], place >= 0 else { return nil }
    return Int(place)
  }

  /// Which subspace the sequence of a row is edited in; nil for all.
  public func subspace(of row: Int) -> Int? {
    guard let number = rows?.pointee.subspace?[row], number >= 0 else { return nil }
    return Int(number)
  }

  /// Whether a row is a generated token, or in training one of the completion.
  public func isDecoded(_ row: Int) -> Bool {
    guard let rows, holds(rows.pointee.struct_size, \reft_rows_t.decoded) else { return false }
    return rows.pointee.decoded?[row] == 1
  }

  /// Memory that forward writes and the backward of the same rows reads.
  public var saved: UnsafeMutablePointer<Float>? {
    arguments.pointee.saved?.assumingMemoryBound(to: Float.self)
  }

  /// Memory for this call alone; its contents are undefined.
  public var scratch: UnsafeMutablePointer<Float>? {
    arguments.pointee.scratch?.assumingMemoryBound(to: Float.self)
  }

  /// Optimiser steps that the run has done so far; 0 outside of training, and from a host of ABI 1.0.
  public var step: Int {
    knows(\.step) ? Int(arguments.pointee.step) : 0
  }

  /// Optimiser steps of the whole run; 0 outside of training, and from a host of ABI 1.0.
  public var totalSteps: Int {
    knows(\.total_steps) ? Int(arguments.pointee.total_steps) : 0
  }

  /// Whether the host's arguments are long enough to hold a field that came after ABI 1.0.
  func knows<Field>(_ field: KeyPath<reft_args_t, Field>) -> Bool {
    guard let offset = MemoryLayout<reft_args_t>.offset(of: field) else { return false }
    return Int(arguments.pointee.struct_size) >= offset + MemoryLayout<Field>.size
  }

  /// Whether values for backward must be saved and noise is on.
  public var isTraining: Bool { arguments.pointee.flags & REFT_CALL_TRAINING != 0 }

  /// Fills memory with standard normal numbers that depend on the call's key and `offset` alone.
  public func fillNormal(_ out: UnsafeMutableBufferPointer<Float>, offset: UInt64 = 0) {
    host.pointee.rng_normal?(
      host.pointee.context,
      arguments.pointee.rng_key,
      arguments.pointee.rng_step,
      offset,
      out.baseAddress,
      Int64(out.count)
    )
  }

  /// Fills memory with numbers in [0, 1) that depend on the call's key and `offset` alone.
  public func fillUniform(_ out: UnsafeMutableBufferPointer<Float>, offset: UInt64 = 0) {
    host.pointee.rng_uniform?(
      host.pointee.context,
      arguments.pointee.rng_key,
      arguments.pointee.rng_step,
      offset,
      out.baseAddress,
      Int64(out.count)
    )
  }
}

/// One forward call.
public struct ForwardCall {
  /// Parameters, memory, rows and noise.
  public let context: CallContext
  /// The rows to edit.
  public let x: InputRows
  /// What the layer that made the rows read, one row of `shape.sourceWidth` numbers for each of x, for
  /// plugins with the capability `needsSource`.
  public let source: InputRows?
  /// The same rows in a run of the frozen model over another prompt, for plugins with the capability
  /// `needsCounterpart`; to gradients a constant.
  public let counterpart: InputRows?
  /// The edited rows; every number must be written.
  public let y: OutputRows
  /// What the plugin tells of each row, `collectedPerRow` numbers; nil when nobody asks.
  public let collected: OutputRows?
}

/// One backward call.
public struct BackwardCall {
  /// Parameters, memory, rows and noise, the same as in the forward call.
  public let context: CallContext
  /// The rows that forward read.
  public let x: InputRows
  /// What the layer read, as in the forward call.
  public let source: InputRows?
  /// The rows of another prompt, as in the forward call.
  public let counterpart: InputRows?
  /// The derivative by source, to be overwritten by plugins with the capability `sourceGradient`; nil
  /// when the host does not need it.
  public let dsource: OutputRows?
  /// The derivative of the loss by y.
  public let dy: InputRows
  /// The derivative by x, to be overwritten; nil when the host does not need it.
  public let dx: OutputRows?

  /// The gradient of a parameter, to be added to; nil when the host does not need it.
  public func gradient(_ index: Int) -> UnsafeMutablePointer<Float>? {
    let arguments = context.arguments.pointee
    guard arguments.flags & REFT_CALL_NEED_DPARAMS != 0, index < Int(arguments.n_params),
      let memory = arguments.dparams?[index]
    else { return nil }
    return memory.assumingMemoryBound(to: Float.self)
  }
}

extension ForwardCall {
  /// Whether the host asks for the auxiliary loss; false from a host of ABI 1.0.
  public var wantsAuxiliary: Bool { auxiliary != nil }

  /// Adds to the auxiliary loss, which is the sum over the rows of the call.
  ///
  /// For plugins with the capability `auxiliaryLoss`; does nothing where the host does not ask.
  public func addAuxiliary(_ value: Double) { auxiliary?.pointee += value }

  private var auxiliary: UnsafeMutablePointer<Double>? {
    context.knows(\.auxiliary) ? context.arguments.pointee.auxiliary : nil
  }

  /// The numbers of a parameter, in the order of `parameters`.
  @inline(__always)
  public func parameter(_ index: Int) -> UnsafePointer<Float> { context.parameter(index) }
}

extension BackwardCall {
  /// The derivative of the loss by what forward added to the auxiliary loss; 0 where nobody asked.
  public var auxiliaryGradient: Double {
    context.knows(\.auxiliary_gradient) ? context.arguments.pointee.auxiliary_gradient : 0
  }

  /// The numbers of a parameter, in the order of `parameters`.
  @inline(__always)
  public func parameter(_ index: Int) -> UnsafePointer<Float> { context.parameter(index) }
}

extension CallContext {
  /// The arguments of a forward call, or why they cannot be served.
  func forwardCall() throws -> ForwardCall {
    try checkFlags()
    let x = try rows(arguments.pointee.x, "x")
    guard let y = OutputRows(try checked(arguments.pointee.y, "y", like: x)) else {
      throw PluginError.invalid("y has no data")
    }
    var collected: OutputRows?
    if holds(arguments.pointee.struct_size, \reft_args_t.collected) {
      collected = OutputRows(arguments.pointee.collected)
    }
    return ForwardCall(
      context: self,
      x: x,
      source: try source(like: x),
      counterpart: try counterpart(like: x),
      y: y,
      collected: collected
    )
  }

  /// The arguments of a backward call, or why they cannot be served.
  func backwardCall() throws -> BackwardCall {
    try checkFlags()
    let x = try rows(arguments.pointee.x, "x")
    guard let dy = InputRows(try checked(arguments.pointee.dy, "dy", like: x)) else {
      throw PluginError.invalid("dy has no data")
    }
    var dx: OutputRows?
    if arguments.pointee.flags & REFT_CALL_NEED_DX != 0 {
      dx = OutputRows(try checked(arguments.pointee.dx, "dx", like: x))
      if dx == nil { throw PluginError.invalid("dx is asked for and has no data") }
    }
    return BackwardCall(
      context: self,
      x: x,
      source: try source(like: x),
      counterpart: try counterpart(like: x),
      dsource: try dsource(),
      dy: dy,
      dx: dx
    )
  }

  private func checkFlags() throws {
    let unknown = arguments.pointee.flags & 0xffff_0000
    guard unknown == 0 else {
      throw PluginError.unsupported("unknown call flags \(unknown)")
    }
  }

  private func source(like x: InputRows) throws -> InputRows? {
    let matrix = arguments.pointee.source
    guard matrix.data != nil else { return nil }
    try check(matrix, "source")
    guard Int(matrix.rows) == x.count else {
      throw PluginError.invalid("source has \(matrix.rows) rows, expected \(x.count)")
    }
    return InputRows(matrix)
  }

  private func counterpart(like x: InputRows) throws -> InputRows? {
    guard knows(\.counterpart), arguments.pointee.counterpart.data != nil else { return nil }
    return InputRows(try checked(arguments.pointee.counterpart, "counterpart", like: x))
  }

  private func dsource() throws -> OutputRows? {
    guard knows(\.dsource), arguments.pointee.flags & REFT_CALL_NEED_DSOURCE != 0 else {
      return nil
    }
    let (matrix, source) = (arguments.pointee.dsource, arguments.pointee.source)
    try check(matrix, "dsource")
    guard matrix.rows == source.rows, matrix.cols == source.cols,
      let rows = OutputRows(matrix)
    else { throw PluginError.invalid("dsource is asked for and does not fit source") }
    return rows
  }

  private func rows(_ matrix: reft_mat_t, _ name: String) throws -> InputRows {
    try check(matrix, name)
    guard let rows = InputRows(matrix) else { throw PluginError.invalid("\(name) has no data") }
    return rows
  }

  private func checked(_ matrix: reft_mat_t, _ name: String, like x: InputRows) throws -> reft_mat_t
  {
    try check(matrix, name)
    guard Int(matrix.rows) == x.count, Int(matrix.cols) == x.width else {
      throw PluginError.invalid(
        "\(name) is [\(matrix.rows), \(matrix.cols)], expected [\(x.count), \(x.width)]"
      )
    }
    return matrix
  }

  private func check(_ matrix: reft_mat_t, _ name: String) throws {
    guard matrix.dtype == REFT_F32 else {
      throw PluginError.unsupported("\(name) has dtype \(matrix.dtype), expected float32")
    }
    guard matrix.col_stride == 1 || matrix.cols <= 1 else {
      throw PluginError.unsupported("\(name) has column stride \(matrix.col_stride), expected 1")
    }
  }
}
