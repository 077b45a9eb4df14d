// SPDX-License-Identifier: Apache-2.0
// One call of one plugin at one site: its rows, its memory, and what it keeps for the way back.

import ReFTModel
import ReFTTensor

/// The rows of a batch that one unit of an adapter edits.
final class SiteEdit {
  let unit: AdapterUnit
  private let rows: RowSet
  private let workspace: PluginWorkspace
  private let randomKey: UInt64
  /// The indices in `rows` of the rows that are present, in order; shared rows stand there once.
  private var present: [Int32] = []
  /// The input of the forward call, kept for the backward call when training.
  private let x: FloatBuffer?
  private let saved: FloatBuffer?
  /// The row metadata of the present rows, list after list, where some are missing.
  private var packed: [Int32] = []

  init(unit: AdapterUnit, rows: RowSet, randomKey: UInt64, isTraining: Bool) throws(ReFTError) {
    self.unit = unit
    self.rows = rows
    workspace = try unit.instance.plan(maxRows: rows.count)
    let path = CounterRandom(key: randomKey, step: UInt64(unit.intervention))
    let group = UInt64(PositionGroup.allCases.firstIndex(of: unit.group) ?? 0)
    self.randomKey = path.bits(offset: UInt64(unit.site.block) << 2 | group)
    present.reserveCapacity(rows.count)
    if isTraining {
      let purpose = MemoryPurpose(
        "what plugin '\(unit.plugin.name)' keeps of \(rows.count) rows",
        remedy: "edit fewer positions, or use fewer tokens in a pass"
      )
      x = try FloatBuffer(reserving: rows.count * unit.dim, for: purpose)
      saved = try FloatBuffer(
        reserving: workspace.savedByteCount(rows: rows.count) / 4 + 1,
        for: purpose
      )
    } else {
      x = nil
      saved = nil
    }
  }

  var rowCount: Int { rows.count }
  var scratchByteCount: Int { workspace.scratchByteCount(rows: rows.count) }
  var isTraining: Bool { x != nil }

  /// Edits the rows in place.
  func edit(_ hidden: HiddenRows, memory: EditMemory, step: UInt64) throws(ReFTError) {
    findRows(hidden, memory: memory)
    guard !present.isEmpty else { return }
    let dim = unit.dim
    let input = x?.base ?? memory.x.base
    for (place, index) in present.enumerated() {
      guard let row = hidden.row(ofToken: Int(rows.tokens[Int(index)])) else { continue }
      (input + place * dim).update(from: row, count: dim)
    }
    let canReplace = !isTraining && unit.plugin.capabilities.contains(.inPlace)
    let output = canReplace ? input : memory.y.base
    var call = makeCall(x: input, memory: memory, step: step)
    (call.y, call.yStride) = (output, dim)
    try perform(call) { call throws(ReFTError) in try unit.instance.forward(call) }
    for (place, index) in present.enumerated() {
      guard let row = hidden.row(ofToken: Int(rows.tokens[Int(index)])) else { continue }
      row.update(from: output + place * dim, count: dim)
    }
  }

  /// Turns the gradient of the edited rows into that of the rows before, in place.
  func differentiate(
    _ gradient: HiddenRows,
    memory: EditMemory,
    step: UInt64,
    parameterGradients: UnsafePointer<UnsafeMutableRawPointer?>
  ) throws(ReFTError) {
    guard !present.isEmpty, let x else { return }
    let dim = unit.dim
    for (place, index) in present.enumerated() {
      let target = memory.y.base + place * dim
      if let row = gradient.row(ofToken: Int(rows.tokens[Int(index)])) {
        target.update(from: row, count: dim)
      } else {
        target.update(repeating: 0, count: dim)
      }
    }
    var call = makeCall(x: x.base, memory: memory, step: step)
    (call.dy, call.dyStride) = (memory.y.base, dim)
    (call.dx, call.dxStride) = (memory.x.base, dim)
    call.parameterGradients = parameterGradients
    try perform(call) { call throws(ReFTError) in try unit.instance.backward(call) }
    for (place, index) in present.enumerated() {
      guard let row = gradient.row(ofToken: Int(rows.tokens[Int(index)])) else { continue }
      row.update(from: memory.x.base + place * dim, count: dim)
    }
  }

  /// Finds the rows that are computed; tokens that share a row are edited once.
  private func findRows(_ hidden: HiddenRows, memory: EditMemory) {
    // Where every token has its row, as in decoding, all were found the first time.
    if hidden.rowOfToken == nil, present.count == rows.count { return }
    present.removeAll(keepingCapacity: true)
    let map = hidden.rowOfToken
    if map != nil { memory.beginRows() }
    for (index, token) in rows.tokens.enumerated() {
      if let map, !memory.isNewRow(map[Int(token)]) { continue }
      present.append(Int32(index))
    }
    packed.removeAll(keepingCapacity: true)
    guard present.count < rows.count else { return }
    for list in [rows.examples, rows.positions, rows.lengths, rows.locations, rows.adapters] {
      for index in present { packed.append(list[Int(index)]) }
    }
  }

  private func makeCall(
    x: UnsafeMutablePointer<Float>,
    memory: EditMemory,
    step: UInt64
  ) -> PluginCall {
    var call = PluginCall(rows: present.count, x: x, xStride: unit.dim)
    call.parameters = unit.pointers
    call.parameterCount = unit.parameters.count
    call.isTraining = isTraining
    // Outputs lie in `memory`, gradients in the layout of the parameter store.
    call.ownsBehindOutput = true
    if let saved {
      call.saved = UnsafeMutableRawPointer(saved.base)
      call.savedByteCount = workspace.savedByteCount(rows: present.count)
    }
    call.scratch = UnsafeMutableRawPointer(memory.scratch.base)
    call.scratchByteCount = workspace.scratchByteCount(rows: present.count)
    call.randomKey = randomKey
    call.randomStep = step
    return call
  }

  /// Adds the row metadata, which is valid during the call alone.
  private func perform(
    _ call: PluginCall,
    _ body: (PluginCall) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    var call = call
    if present.count < rows.count {
      let count = present.count
      try packed.withUnsafeBufferPointer { lists throws(ReFTError) in
        guard let base = lists.baseAddress else { return }
        call.source.example = base
        call.source.position = base + count
        call.source.length = base + 2 * count
        call.source.location = base + 3 * count
        call.source.adapter = base + 4 * count
        try body(call)
      }
    } else {
      try rows.withPointers { source throws(ReFTError) in
        call.source = source
        try body(call)
      }
    }
  }
}
