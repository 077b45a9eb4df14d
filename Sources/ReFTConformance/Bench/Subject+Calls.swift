// SPDX-License-Identifier: Apache-2.0
// Forward and backward calls in guarded memory: inputs read-only, outputs filled with one NaN
// pattern, everything between forbidden pages. What went wrong around the numbers is kept as
// findings; each rule looks at the ones that are its own.

import CReFTPlugin
import Glibc

/// How a call is laid out in memory and what it asks for.
struct CallStyle {
  var rowPadding = 0
  var columnStride = 1
  var side = GuardedBuffer.Side.end
  var inPlace = false
  var training = true
  var needDX = true
  var needDParams = true
  var absentOutputs = false
  var extraFlags: UInt32 = 0
  var withRows = true
  var emptyRows = false
  var scratchFill: UInt8 = 0x5A
  var savedFill: UInt8 = 0x3C
  var rngKey: UInt64 = 11
  var rngStep: UInt64 = 5
  var future = false
  var gradientFill: Float = 0
  var dxFill: UInt32 = unwrittenPattern
  var reuseParameters = true
}

/// The bits of outputs before a call: a NaN that no arithmetic makes.
let unwrittenPattern: UInt32 = 0x7FC0_BEEF
/// The bits between rows: another such NaN.
let paddingPattern: UInt32 = 0x7FC0_DEAD

/// Something around the numbers of a call.
enum Finding: Equatable {
  case unwritten(buffer: String, row: Int, column: Int, count: Int)
  case padding(buffer: String, row: Int, column: Int)
  case stray(buffer: String, offset: Int)

  var sentence: String {
    switch self {
    case .unwritten(let buffer, let row, let column, let count):
      "\(count) numbers of `\(buffer)` were never written, the first at row \(row), column \(column)"
    case .padding(let buffer, let row, let column):
      "the padding of `\(buffer)` was written, at row \(row), column \(column)"
    case .stray(let buffer, let offset):
      "`\(buffer)` was written out of bounds, \(offset) bytes from its start"
    }
  }
}

/// Parameters in guarded memory and the array of pointers to them.
final class ParameterMemory {
  let buffers: [GuardedBuffer]
  let pointers: GuardedBuffer

  init(
    _ values: [[Float]],
    writable: Bool = false,
    name: String = "params",
    side: GuardedBuffer.Side = .end
  ) throws {
    buffers = try values.enumerated().map {
      try GuardedBuffer("\(name)[\($0.offset)]", floats: $0.element, side: side)
    }
    pointers = try GuardedBuffer(name, byteCount: values.count * 8, alignment: 8)
    let list = pointers.base.bindMemory(to: UnsafeMutableRawPointer?.self, capacity: values.count)
    for (index, buffer) in buffers.enumerated() {
      list[index] = buffer.base
      if !writable { buffer.makeReadOnly() }
    }
    pointers.makeReadOnly()
  }
}

/// Rows in guarded memory with strides, padding pattern between them.
final class MatrixMemory {
  let buffer: GuardedBuffer
  let rows: Int
  let columns: Int
  let rowStride: Int
  let columnStride: Int

  init(
    _ name: String,
    _ values: [Float]?,
    rows: Int,
    columns: Int,
    style: CallStyle,
    fill: UInt32 = unwrittenPattern
  ) throws {
    self.rows = rows
    self.columns = columns
    columnStride = style.columnStride
    rowStride = columns * columnStride + style.rowPadding
    // The last row has no padding behind it: the numbers end where the forbidden page begins.
    let span = rows == 0 ? 0 : (rows - 1) * rowStride + (columns - 1) * columnStride + 1
    buffer = try GuardedBuffer(name, byteCount: span * 4, side: style.side)
    let bits = buffer.base.bindMemory(to: UInt32.self, capacity: span)
    for index in 0..<span { bits[index] = paddingPattern }
    for row in 0..<rows {
      for column in 0..<columns {
        let at = row * rowStride + column * columnStride
        bits[at] = values.map { $0[row * columns + column].bitPattern } ?? fill
      }
    }
  }

  var view: reft_mat_t {
    reft_mat_t(
      struct_size: UInt32(MemoryLayout<reft_mat_t>.size),
      dtype: REFT_F32,
      data: buffer.base,
      rows: Int64(rows),
      cols: Int64(columns),
      row_stride: Int64(rowStride),
      col_stride: Int64(columnStride)
    )
  }

  /// The numbers without padding.
  var dense: [Float] {
    var out = [Float]()
    out.reserveCapacity(rows * columns)
    for row in 0..<rows {
      for column in 0..<columns {
        out.append(buffer.floats[row * rowStride + column * columnStride])
      }
    }
    return out
  }

  /// What is wrong around the numbers.
  func findings(checkUnwritten: Bool) -> [Finding] {
    var list: [Finding] = []
    var first: (Int, Int)?
    var missing = 0
    let bits = UnsafePointer(buffer.base.assumingMemoryBound(to: UInt32.self))
    let span = buffer.byteCount / 4
    for at in 0..<span {
      let (row, rest) = at.quotientAndRemainder(dividingBy: rowStride)
      let (column, off) = rest.quotientAndRemainder(dividingBy: columnStride)
      if off == 0 && column < columns {
        if checkUnwritten && bits[at] == unwrittenPattern {
          missing += 1
          if first == nil { first = (row, column) }
        }
      } else if bits[at] != paddingPattern {
        list.append(.padding(buffer: buffer.name, row: row, column: rest))
        break
      }
    }
    if let first {
      list.append(
        .unwritten(buffer: buffer.name, row: first.0, column: first.1, count: missing)
      )
    }
    if let offset = buffer.strayWrite { list.append(.stray(buffer: buffer.name, offset: offset)) }
    return list
  }
}

/// What a forward call left behind.
struct ForwardResult {
  var status: reft_status_t
  var y: [Float]
  var saved: GuardedBuffer?
  var findings: [Finding]
}

/// What a backward call left behind.
struct BackwardResult {
  var status: reft_status_t
  var dx: [Float]
  var gradients: [[Float]]
  var findings: [Finding]
}

extension Subject {
  /// Calls `forward` on rows of `dim` numbers.
  func forward(_ x: [Float], style: CallStyle = CallStyle()) throws -> ForwardResult {
    let frame = try Frame(self, rows: x.count / dim, style: style, params: parameterMemory(style))
    let input = try MatrixMemory(
      style.inPlace ? "x and y" : "x",
      x,
      rows: frame.rows,
      columns: dim,
      style: style
    )
    let output =
      style.inPlace
      ? input : try MatrixMemory("y", nil, rows: frame.rows, columns: dim, style: style)
    if !style.inPlace { input.buffer.makeReadOnly() }
    frame.args.x = input.view
    frame.args.y = output.view
    bench.doing("forward of \(describe(frame.rows, style))")
    let status = try frame.call(plugin.table.pointee.forward, "forward", instance)
    var findings = output.findings(checkUnwritten: !style.inPlace)
    findings += frame.findings()
    return ForwardResult(status: status, y: output.dense, saved: frame.saved, findings: findings)
  }

  /// Calls `backward` for rows whose forward left `saved`.
  func backward(
    _ x: [Float],
    _ dy: [Float],
    saved: GuardedBuffer?,
    style: CallStyle = CallStyle(),
    into existing: [[Float]]? = nil
  ) throws -> BackwardResult {
    let frame = try Frame(
      self,
      rows: x.count / dim,
      style: style,
      params: parameterMemory(style),
      saved: saved
    )
    let input = try MatrixMemory("x", x, rows: frame.rows, columns: dim, style: style)
    let slope = try MatrixMemory(
      style.inPlace ? "dy and dx" : "dy",
      dy,
      rows: frame.rows,
      columns: dim,
      style: style
    )
    let output =
      style.inPlace
      ? slope
      : try MatrixMemory(
        "dx",
        nil,
        rows: frame.rows,
        columns: dim,
        style: style,
        fill: style.dxFill
      )
    input.buffer.makeReadOnly()
    if !style.inPlace { slope.buffer.makeReadOnly() }
    let start = existing ?? values.map { [Float](repeating: style.gradientFill, count: $0.count) }
    let gradients = try ParameterMemory(start, writable: true, name: "dparams", side: style.side)
    frame.args.x = input.view
    frame.args.dy = slope.view
    if style.needDX || !style.absentOutputs { frame.args.dx = output.view }
    if style.needDParams || !style.absentOutputs {
      frame.args.dparams = UnsafePointer(
        gradients.pointers.base.assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
      )
    }
    if style.needDX { frame.args.flags |= REFT_CALL_NEED_DX }
    if style.needDParams { frame.args.flags |= REFT_CALL_NEED_DPARAMS }
    bench.doing("backward of \(describe(frame.rows, style))")
    let status = try frame.call(plugin.table.pointee.backward, "backward", instance)
    var findings = output.findings(checkUnwritten: style.needDX && !style.inPlace)
    findings += frame.findings()
    for buffer in gradients.buffers {
      if let offset = buffer.strayWrite {
        findings.append(.stray(buffer: buffer.name, offset: offset))
      }
    }
    return BackwardResult(
      status: status,
      dx: output.dense,
      gradients: gradients.buffers.map(\.array),
      findings: findings
    )
  }

  /// Forward, which must succeed.
  func y(_ x: [Float], style: CallStyle = CallStyle()) throws -> [Float] {
    let result = try forward(x, style: style)
    try require(result.status, "forward", x.count / dim, style)
    return result.y
  }

  /// Forward and backward, which must succeed.
  func derivative(
    _ x: [Float],
    _ dy: [Float],
    style: CallStyle = CallStyle()
  ) throws -> BackwardResult {
    let first = try forward(x, style: style)
    try require(first.status, "forward", x.count / dim, style)
    let second = try backward(x, dy, saved: first.saved, style: style)
    try require(second.status, "backward", x.count / dim, style)
    return second
  }

  func require(_ status: reft_status_t, _ name: String, _ rows: Int, _ style: CallStyle) throws {
    guard status != REFT_OK else { return }
    let sentence = host.takeError().map { ": \($0)" } ?? ""
    throw Breach("`\(name)` of \(describe(rows, style)) returned status \(status)\(sentence).")
  }

  func describe(_ rows: Int, _ style: CallStyle) -> String {
    var text = "\(rows) rows, \(label)"
    if style.rowPadding > 0 {
      text += ", row stride \(dim * style.columnStride + style.rowPadding)"
    }
    if style.columnStride > 1 { text += ", column stride \(style.columnStride)" }
    if style.inPlace { text += ", in place" }
    return text
  }

  private func parameterMemory(_ style: CallStyle) throws -> ParameterMemory {
    guard style.reuseParameters, style.side == .end else {
      return try ParameterMemory(values, side: style.side)
    }
    if let sharedParameters { return sharedParameters }
    let made = try ParameterMemory(values)
    sharedParameters = made
    return made
  }
}

/// The parts that forward and backward share: arguments, rows, saved and scratch memory.
private final class Frame {
  var args = reft_args_t()
  let rows: Int
  let saved: GuardedBuffer?
  private let scratch: GuardedBuffer?
  private let params: ParameterMemory
  private let source: MatrixMemory?
  private let call: GuardedBuffer
  private let rowMemory: [GuardedBuffer]
  private let rowStruct: GuardedBuffer?
  private let style: CallStyle

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
      var random = BenchRandom(seed: 99)
      source = try MatrixMemory(
        "source",
        random.normals(rows * subject.dim),
        rows: rows,
        columns: subject.dim,
        style: style
      )
      source?.buffer.makeReadOnly()
    } else {
      source = nil
    }
    var lists: [GuardedBuffer] = []
    if style.withRows && !style.emptyRows {
      let makers: [(String, (Int) -> Int32)] = [
        ("rows.example", { Int32($0 / 4) }), ("rows.position", { Int32($0 % 4 + 2) }),
        ("rows.length", { _ in 9 }), ("rows.location", { Int32($0 % 4) }),
        ("rows.subspace", { _ in -1 }), ("rows.adapter", { _ in 0 }),
      ]
      for (name, value) in makers {
        let buffer = try GuardedBuffer(name, byteCount: rows * 4)
        let list = buffer.base.bindMemory(to: Int32.self, capacity: rows)
        for row in 0..<rows { list[row] = value(row) }
        buffer.makeReadOnly()
        lists.append(buffer)
      }
    }
    rowMemory = lists
    if style.withRows {
      let tail = style.future ? 64 : 0
      let size = MemoryLayout<reft_rows_t>.size
      let memory = try GuardedBuffer("rows", byteCount: size + tail, alignment: 8, fill: 0xFF)
      var description = reft_rows_t()
      description.struct_size = UInt32(size + tail)
      description.n = Int64(rows)
      if lists.count == 6 {
        let pointers = lists.map { UnsafePointer($0.base.assumingMemoryBound(to: Int32.self)) }
        description.example = pointers[0]
        description.position = pointers[1]
        description.length = pointers[2]
        description.location = pointers[3]
        description.subspace = pointers[4]
        description.adapter = pointers[5]
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
  }

  func call(
    _ function: (@convention(c) (OpaquePointer?, UnsafePointer<reft_args_t>?) -> reft_status_t)?,
    _ name: String,
    _ instance: OpaquePointer
  ) throws -> reft_status_t {
    guard let function else { throw Breach("`\(name)` is NULL.") }
    let size = MemoryLayout<reft_args_t>.size
    let tail = style.future ? 128 : 0
    let memory = try GuardedBuffer("args", byteCount: size + tail, alignment: 8, fill: 0xFF)
    args.struct_size = UInt32(size + tail)
    let pointer = memory.base.bindMemory(to: reft_args_t.self, capacity: 1)
    pointer.initialize(to: args)
    memory.makeReadOnly()
    return function(instance, pointer)
  }

  func findings() -> [Finding] {
    var list: [Finding] = []
    for buffer in [saved, scratch] {
      if let buffer, let offset = buffer.strayWrite {
        list.append(.stray(buffer: buffer.name, offset: offset))
      }
    }
    return list
  }
}
