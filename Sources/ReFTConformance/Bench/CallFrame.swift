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
  private let rowMemory: [GuardedBuffer]
  private let rowKeys: GuardedBuffer?
  private let rowStruct: GuardedBuffer?
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
    self.rows = rows
    self.style = style
    self.params = params
    countsAuxiliary = subject.plugin.has(REFT_CAP_AUXILIARY_LOSS)
    call = try GuardedBuffer("call", byteCount: 0)
    call.forbid()
    let savedBytes = style.training ? subject.savedBytes(rows: rows) : 0
    if let existing {
      saved = existing
    } else {
      saved =
        savedBytes == 0
        ? nil
        : try GuardedBuffer(
          "saved",
          byteCount: savedBytes,
          alignment: 64,
          side: style.side,
          fill: style.savedFill
        )
    }
    let scratchBytes = subject.scratchBytes(rows: rows)
    scratch =
      scratchBytes == 0
      ? nil
      : try GuardedBuffer(
        "scratch",
        byteCount: scratchBytes,
        alignment: 64,
        side: style.side,
        fill: style.scratchFill
      )
    if subject.plugin.has(REFT_CAP_NEEDS_SOURCE) {
      source = try MatrixMemory(
        "source",
        style.source ?? Self.source(rows: rows, dim: subject.sourceDim),
        rows: rows,
        columns: subject.sourceDim,
        style: style
      )
      source?.buffer.makeReadOnly()
    } else {
      source = nil
    }
    let places = style.places ?? Array(0..<rows)
    states = try style.states ?? StateMemory(subject, places: places, side: style.side)
    stateTable = try states?.table(places: places)
    counterpart = try Self.counterpart(subject, rows: rows, style)
    var lists: [GuardedBuffer] = []
    var keys: GuardedBuffer?
    if style.withRows && !style.emptyRows {
      for (name, value) in RowPlaces.lists {
        let buffer = try GuardedBuffer(name, byteCount: rows * 4)
        let list = buffer.base.bindMemory(to: Int32.self, capacity: rows)
        for row in 0..<rows {
          let value = value(places[row])
          switch name {
          case "rows.location" where subject.locations == 0: list[row] = -1
          case "rows.example": list[row] = value + style.exampleShift
          default: list[row] = value
          }
        }
        buffer.makeReadOnly()
        lists.append(buffer)
      }
      keys = try Self.keys(places)
    }
    rowMemory = lists
    rowKeys = keys
    if style.withRows {
      let tail = style.future ? 64 : 0
      let size = MemoryLayout<reft_rows_t>.size
      let memory = try GuardedBuffer("rows", byteCount: size + tail, alignment: 8, fill: 0xFF)
      var description = reft_rows_t()
      description.struct_size = UInt32(size + tail)
      description.n = Int64(rows)
      if let keys {
        let pointers = lists.map { UnsafePointer($0.base.assumingMemoryBound(to: Int32.self)) }
        RowPlaces.set(
          pointers,
          keys: UnsafePointer(keys.base.assumingMemoryBound(to: Int64.self)),
          in: &description
        )
      }
      memory.base.bindMemory(to: reft_rows_t.self, capacity: 1).initialize(to: description)
      memory.makeReadOnly()
      rowStruct = memory
    } else {
      rowStruct = nil
    }
    args.flags = style.extraFlags | (style.training ? REFT_CALL_TRAINING : 0)
    args.call = OpaquePointer(call.base)
    args.n_params = UInt32(params.buffers.count)
    args.params = UnsafePointer(
      params.pointers.base.assumingMemoryBound(to: UnsafeRawPointer?.self)
    )
    args.rows = rowStruct.map { UnsafePointer($0.base.assumingMemoryBound(to: reft_rows_t.self)) }
    args.saved = saved?.base
    args.saved_bytes = UInt64(saved?.byteCount ?? 0)
    args.scratch = scratch?.base
    args.scratch_bytes = UInt64(scratchBytes)
    args.rng_key = style.rngKey
    args.rng_step = style.rngStep
    if style.training { (args.step, args.total_steps) = style.progress }
    if let source { args.source = source.view }
    let absent = reft_mat_t(
      struct_size: UInt32(MemoryLayout<reft_mat_t>.size),
      dtype: REFT_F32,
      data: nil,
      rows: 0,
      cols: 0,
      row_stride: 0,
      col_stride: 0
    )
    if source == nil { args.source = absent }
    args.x = absent
    args.y = absent
    args.dy = absent
    args.dx = absent
    args.dsource = absent
    args.counterpart = counterpart?.view ?? absent
    args.collected = absent
  }

  private static func keys(_ places: [Int]) throws -> GuardedBuffer {
    let buffer = try GuardedBuffer("rows.key", byteCount: places.count * 8, alignment: 8)
    let list = buffer.base.bindMemory(to: Int64.self, capacity: places.count)
    for (row, place) in places.enumerated() { list[row] = RowPlaces.key(place) }
    buffer.makeReadOnly()
    return buffer
  }

  /// The rows of another prompt, for plugins that take them; the backward of a call has the same.
  private static func counterpart(
    _ subject: Subject,
    rows: Int,
    _ style: CallStyle
  ) throws -> MatrixMemory? {
    guard subject.plugin.has(REFT_CAP_NEEDS_COUNTERPART) else { return nil }
    let memory = try MatrixMemory(
      "counterpart",
      style.counterpart ?? counterpart(rows: rows, dim: subject.dim),
      rows: rows,
      columns: subject.dim,
      style: style
    )
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

  /// Gives a forward call the states of its rows' sequences.
  func addStates() {
    guard let stateTable else { return }
    args.states = UnsafePointer(
      stateTable.base.assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
    )
  }
}
