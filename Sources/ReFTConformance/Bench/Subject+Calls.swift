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
  /// Whether plugins that give it are asked for d loss / d source.
  var needDSource = true
  var dsourceFill: UInt32 = unwrittenPattern
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
  /// Which of the rows of `RowPlaces` these are; nil: the first ones.
  var places: [Int]?
  /// Added to the index of each row's sequence in the batch.
  var exampleShift: Int32 = 0
  /// The states of the rows' sequences; nil: each call begins its sequences.
  var states: StateMemory?
  /// How far a run is; nothing of one outside of training.
  var progress: (step: Int64, total: Int64) = (3, 10)
  /// What the sum of auxiliary losses is before forward, for plugins that have one; nil: nobody asks.
  var auxiliary: Double? = 0
  /// d loss / d auxiliary.
  var auxiliaryGradient = 0.7
  /// Whether arguments end where those of ABI 1.0 do.
  var isFirstVersion = false
  /// The rows of `counterpart` for plugins that take them; nil: some that are always the same.
  var counterpart: [Float]?
  /// The rows of `source` for plugins that read it; nil: some that are always the same.
  var source: [Float]?
}

/// The bits of outputs before a call: a NaN that no arithmetic makes.
let unwrittenPattern: UInt32 = 0x7FC0_BEEF
/// The bits between rows: another such NaN.
let paddingPattern: UInt32 = 0x7FC0_DEAD

/// What a forward call left behind.
struct ForwardResult {
  var status: reft_status_t
  var y: [Float]
  /// The sum of auxiliary losses; 0 where there is none.
  var auxiliary: Double
  var saved: GuardedBuffer?
  var findings: [Finding]
}

/// What a backward call left behind.
struct BackwardResult {
  var status: reft_status_t
  var dx: [Float]
  /// d loss / d source; empty for plugins that do not give it.
  var dsource: [Float]
  var gradients: [[Float]]
  var findings: [Finding]
}

extension Subject {
  /// Calls `forward` on rows of `dim` numbers.
  func forward(_ x: [Float], style: CallStyle = CallStyle()) throws -> ForwardResult {
    let frame = try CallFrame(
      self,
      rows: x.count / dim,
      style: style,
      params: parameterMemory(style)
    )
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
    frame.addStates()
    try frame.askForAuxiliary()
    bench.doing("forward of \(describe(frame.rows, style))")
    let status = try frame.call(plugin.table.pointee.forward, "forward", instance)
    var findings = output.findings(checkUnwritten: !style.inPlace)
    findings += frame.findings()
    return ForwardResult(
      status: status,
      y: output.dense,
      auxiliary: frame.auxiliary,
      saved: frame.saved,
      findings: findings
    )
  }

  /// Calls `backward` for rows whose forward left `saved`.
  func backward(
    _ x: [Float],
    _ dy: [Float],
    saved: GuardedBuffer?,
    style: CallStyle = CallStyle(),
    into existing: [[Float]]? = nil
  ) throws -> BackwardResult {
    let frame = try CallFrame(
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
    if plugin.has(REFT_CAP_AUXILIARY_LOSS) {
      frame.args.auxiliary_gradient = style.auxiliaryGradient
    }
    if style.needDX || !style.absentOutputs { frame.args.dx = output.view }
    if style.needDParams || !style.absentOutputs {
      frame.args.dparams = UnsafePointer(
        gradients.pointers.base.assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
      )
    }
    let sourceSlope = try giveSourceGradient(frame, style)
    if style.needDX { frame.args.flags |= REFT_CALL_NEED_DX }
    if style.needDParams { frame.args.flags |= REFT_CALL_NEED_DPARAMS }
    bench.doing("backward of \(describe(frame.rows, style))")
    let status = try frame.call(plugin.table.pointee.backward, "backward", instance)
    var findings = output.findings(checkUnwritten: style.needDX && !style.inPlace)
    findings += sourceSlope?.findings(checkUnwritten: style.needDSource) ?? []
    findings += frame.findings()
    for buffer in gradients.buffers {
      if let offset = buffer.strayWrite {
        findings.append(.stray(buffer: buffer.name, offset: offset))
      }
    }
    return BackwardResult(
      status: status,
      dx: output.dense,
      dsource: sourceSlope?.dense ?? [],
      gradients: gradients.buffers.map(\.array),
      findings: findings
    )
  }

  /// Gives a backward call a place for d loss / d source, where the plugin writes it.
  private func giveSourceGradient(_ frame: CallFrame, _ style: CallStyle) throws -> MatrixMemory? {
    guard plugin.has(REFT_CAP_NEEDS_SOURCE), plugin.has(REFT_CAP_SOURCE_GRADIENT),
      !style.isFirstVersion
    else { return nil }
    let memory = try MatrixMemory(
      "dsource",
      nil,
      rows: frame.rows,
      columns: sourceDim,
      style: style,
      fill: style.dsourceFill
    )
    if style.needDSource || !style.absentOutputs { frame.args.dsource = memory.view }
    if style.needDSource { frame.args.flags |= REFT_CALL_NEED_DSOURCE }
    return memory
  }

  /// Forward, which must succeed.
  func result(_ x: [Float], style: CallStyle = CallStyle()) throws -> ForwardResult {
    let result = try forward(x, style: style)
    try require(result.status, "forward", x.count / dim, style)
    return result
  }

  /// The rows that forward makes; it must succeed.
  func y(_ x: [Float], style: CallStyle = CallStyle()) throws -> [Float] {
    try result(x, style: style).y
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
