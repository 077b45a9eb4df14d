// SPDX-License-Identifier: Apache-2.0
// The arguments of a call: what forward and backward share.

import CReFTPlugin
import Glibc

/// The parts that forward and backward share: arguments, rows, saved and scratch memory.
final class CallFrame {
  var args = reft_args_t()
  let rows: Int
  let saved: GuardedBuffer?
  private let scratch: GuardedBuffer?
  private let params: ParameterMemory
  private let source: MatrixMemory?
  private let counterpart: MatrixMemory?
  private let call: GuardedBuffer
  private let description: RowsMemory?
  private let style: CallStyle
  private let states: StateMemory?
  private let stateTable: GuardedBuffer?
  private let countsAuxiliary: Bool
  private var auxiliaryMemory: GuardedBuffer?

  init(
    _ subject: Subject,
    rows: Int,
    style: CallStyle,
    params: ParameterMemory,
    saved existing: GuardedBuffer? = nil
  ) throws {
    (self.rows, self.style, self.params) = (rows, style, params)
    countsAuxiliary = subject.plugin.has(REFT_CAP_AUXILIARY_LOSS)
    call = try GuardedBuffer("call", byteCount: 0)
    call.forbid()
    saved = try existing ?? Self.saved(subject, rows: rows, style)
    scratch = try Self.memory(
      "scratch",
      subject.scratchBytes(rows: rows),
      fill: style.scratchFill,
      style
    )
    source = try Self.source(subject, rows: rows, style)
    let places = style.places ?? Array(0..<rows)
    states = try style.states ?? StateMemory(subject, places: places, side: style.side)
    stateTable = try states?.table(places: places)
    counterpart = try Self.counterpart(subject, rows: rows, style)
    description = try RowsMemory(subject, places: places, style)
    describeCall()
    describeMatrices()
  }

  /// Fills in everything but the matrices.
  private func describeCall() {
    args.flags = style.extraFlags | (style.training ? REFT_CALL_TRAINING : 0)
    args.call = OpaquePointer(call.base)
    args.n_params = UInt32(params.buffers.count)
    args.params = UnsafePointer(
      params.pointers.base.assumingMemoryBound(to: UnsafeRawPointer?.self)
    )
    args.rows = description?.pointer
    args.saved = saved?.base
    args.saved_bytes = UInt64(saved?.byteCount ?? 0)
    args.scratch = scratch?.base
    args.scratch_bytes = UInt64(scratch?.byteCount ?? 0)
    args.rng_key = style.rngKey
    args.rng_step = style.rngStep
    if style.training { (args.step, args.total_steps) = style.progress }
  }

  /// Fills in the matrices that forward and backward share; the others are absent so far.
  private func describeMatrices() {
    let absent = reft_mat_t(
      struct_size: UInt32(MemoryLayout<reft_mat_t>.size),
      dtype: REFT_F32,
      data: nil,
      rows: 0,
      cols: 0,
      row_stride: 0,
      col_stride: 0
    )
    args.source = source?.view ?? absent
    args.x = absent
    args.y = absent
    args.dy = absent
    args.dx = absent
    args.dsource = absent
    args.counterpart = counterpart?.view ?? absent
    args.collected = absent
  }

  /// Memory that the plugin asked for; nil where it asked for none.
  private static func memory(
    _ name: String,
    _ byteCount: Int,
    fill: UInt8,
    _ style: CallStyle
  ) throws -> GuardedBuffer? {
    guard byteCount != 0 else { return nil }
    return try GuardedBuffer(
      name,
      byteCount: byteCount,
      alignment: 64,
      side: style.side,
      fill: fill
    )
  }

  /// What forward keeps for backward, in training.
  private static func saved(
    _ subject: Subject,
    rows: Int,
    _ style: CallStyle
  ) throws -> GuardedBuffer? {
    let byteCount = style.training ? subject.savedBytes(rows: rows) : 0
    return try memory("saved", byteCount, fill: style.savedFill, style)
  }

  /// What the layer read, for plugins that look at it.
  private static func source(
    _ subject: Subject,
    rows: Int,
    _ style: CallStyle
  ) throws -> MatrixMemory? {
    guard subject.plugin.has(REFT_CAP_NEEDS_SOURCE) else { return nil }
    let values = style.source ?? source(rows: rows, dim: subject.sourceDim)
    return try readOnly("source", values, rows: rows, columns: subject.sourceDim, style)
  }

  /// The rows of another prompt, for plugins that take them; the backward of a call has the same.
  private static func counterpart(
    _ subject: Subject,
    rows: Int,
    _ style: CallStyle
  ) throws -> MatrixMemory? {
    guard subject.plugin.has(REFT_CAP_NEEDS_COUNTERPART) else { return nil }
    let values = style.counterpart ?? counterpart(rows: rows, dim: subject.dim)
    return try readOnly("counterpart", values, rows: rows, columns: subject.dim, style)
  }

  /// Rows that the plugin may read alone.
  private static func readOnly(
    _ name: String,
    _ values: [Float],
    rows: Int,
    columns: Int,
    _ style: CallStyle
  ) throws -> MatrixMemory {
    let memory = try MatrixMemory(name, values, rows: rows, columns: columns, style: style)
    memory.buffer.makeReadOnly()
    return memory
  }

  /// The rows of `counterpart` in calls that say nothing of it.
  static func counterpart(rows: Int, dim: Int) -> [Float] {
    var random = BenchRandom(seed: 98)
    return random.normals(rows * dim)
  }

  /// Gives a forward call a place for its auxiliary loss, where the plugin has one.
  func askForAuxiliary() throws {
    guard countsAuxiliary, let start = style.auxiliary else { return }
    let memory = try GuardedBuffer("auxiliary", byteCount: 8, alignment: 8, side: style.side)
    let place = memory.base.bindMemory(to: Double.self, capacity: 1)
    place.initialize(to: start)
    args.auxiliary = place
    auxiliaryMemory = memory
  }

  /// The sum of auxiliary losses; 0 where there is none.
  var auxiliary: Double {
    auxiliaryMemory?.base.assumingMemoryBound(to: Double.self).pointee ?? 0
  }

  /// Where the arguments of ABI 1.0 end.
  private static let firstVersionSize =
    MemoryLayout<reft_args_t>.offset(of: \.dsource) ?? MemoryLayout<reft_args_t>.size

  /// The rows of `source` in calls that say nothing of it; the backward of a call has the same.
  static func source(rows: Int, dim: Int) -> [Float] {
    var random = BenchRandom(seed: 99)
    return random.normals(rows * dim)
  }

  func call(
    _ function: (@convention(c) (OpaquePointer?, UnsafePointer<reft_args_t>?) -> reft_status_t)?,
    _ name: String,
    _ instance: OpaquePointer
  ) throws -> reft_status_t {
    guard let function else { throw Breach("`\(name)` is NULL.") }
    let size = style.isFirstVersion ? Self.firstVersionSize : MemoryLayout<reft_args_t>.size
    let tail = style.future ? 128 : 0
    let memory = try GuardedBuffer("args", byteCount: size + tail, alignment: 8, fill: 0xFF)
    args.struct_size = UInt32(size + tail)
    withUnsafeBytes(of: args) {
      memory.base.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(memory.base), byteCount: size)
    }
    let pointer = memory.base.assumingMemoryBound(to: reft_args_t.self)
    memory.makeReadOnly()
    return function(instance, pointer)
  }

  func findings() -> [Finding] {
    var list: [Finding] = []
    for buffer in [saved, scratch, auxiliaryMemory] {
      if let buffer, let offset = buffer.strayWrite {
        list.append(.stray(buffer: buffer.name, offset: offset))
      }
    }
    return list + (states?.findings ?? [])
  }

  /// Asks a forward call for what the plugin tells of its rows.
  func addCollected(_ subject: Subject) throws -> MatrixMemory? {
    let width = Int(subject.workspace.collected_per_row)
    guard style.collects, width > 0 else { return nil }
    var tight = style
    (tight.rowPadding, tight.columnStride) = (0, 1)
    let memory = try MatrixMemory("collected", nil, rows: rows, columns: width, style: tight)
    args.collected = memory.view
    return memory
  }

  /// Gives a forward call the states of its rows' sequences.
  func addStates() {
    guard let stateTable else { return }
    args.states = UnsafePointer(
      stateTable.base.assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
    )
  }
}
