// SPDX-License-Identifier: Apache-2.0
// One call of one plugin at one site: its rows, its memory, and what it keeps for the way back.

import ReFTModel
import ReFTTensor

/// The rows of a batch that one unit of an adapter edits.
final class SiteEdit: RowEdit {
  /// What a batch's edits have in common.
  struct Context {
    /// Which random numbers a training pass draws.
    var randomKey: UInt64 = 0
    /// The step of their stream.
    var step: UInt64 = 0
    /// Where the gradients of parameters go; nil when no way back follows.
    var gradients: GradientPointers?
  }

  let unit: AdapterUnit
  /// What all edits of a session share.
  private let memory: EditMemory
  let rows: RowSet
  private let workspace: PluginWorkspace
  /// The minor version of the ABI that the plugin speaks.
  let minor: Int
  let context: Context
  /// For plugins that keep a state of the rows' sequence.
  private let state: EditState?
  /// How much of its change counts; what a session was asked for, and not changed during a pass.
  var strength: Float = 1
  private let randomKey: UInt64
  /// What the backward call needs of the forward call when training; nil until that, and where the
  /// edit runs in its device form.
  private var kept: Kept?
  /// The row metadata of the present rows, where some are missing.
  private var packed: RowLists?

  init(
    unit: AdapterUnit,
    rows: RowSet,
    _ context: Context,
    memory: EditMemory,
    state: SequenceState? = nil
  ) throws(ReFTError) {
    self.memory = memory
    self.unit = unit
    self.rows = rows
    self.context = context
    minor = unit.plugin.description.abiMinor
    workspace = try unit.instance.plan(maxRows: rows.count)
    if workspace.statePerSequence > 0 {
      guard !unit.plugin.capabilities.contains(.rowwise) else {
        throw .stateOfRowwisePlugin(unit.plugin.name)
      }
      self.state = EditState(
        of: unit,
        rows: rows.count,
        byteCount: workspace.statePerSequence,
        in: context.gradients == nil ? state : nil
      )
    } else {
      self.state = nil
    }
    let path = CounterRandom(key: context.randomKey, step: UInt64(unit.intervention))
    self.randomKey = path.bits(offset: unit.stream)
  }

  /// Memory for the backward call.
  private struct Kept {
    /// The input of the forward call.
    let x: FloatBuffer
    /// What the layer read: on the way back its place holds something else.
    let source: FloatBuffer?
    let saved: FloatBuffer
  }

  /// The memory for the backward call; nil in inference.
  private func keep() throws(ReFTError) -> Kept? {
    guard context.gradients != nil else { return nil }
    if let kept { return kept }
    let purpose = MemoryPurpose(
      "what plugin '\(unit.plugin.name)' keeps of \(rows.count) rows",
      remedy: "edit fewer positions, or use fewer tokens in a pass"
    )
    let made = Kept(
      x: try FloatBuffer(reserving: rows.count * unit.dim, for: purpose),
      source: unit.needsSource
        ? try FloatBuffer(reserving: rows.count * unit.dim, for: purpose) : nil,
      saved: try FloatBuffer(
        reserving: workspace.savedByteCount(rows: rows.count) / 4 + 1,
        for: purpose
      )
    )
    kept = made
    return made
  }

  var rowCount: Int { rows.count }
  var scratchByteCount: Int { workspace.scratchByteCount(rows: rows.count) }
  /// The tokens that it edits.
  var tokens: [Int32] { rows.tokens }
  /// The numbers of each row that it edits.
  var columns: Range<Int>? { unit.columns }
  /// Whether the plugin looks at what the layer read.
  var needsSource: Bool { unit.needsSource }

  /// Edits the rows in place.
  func edit(_ gathered: GatheredRows) throws {
    try checkWidth(gathered)
    let count = gathered.count * gathered.width
    var (input, output) = (gathered.rows, gathered.rows)
    if let kept = try keep() {
      kept.x.base.update(from: gathered.rows, count: count)
      input = kept.x.base
    } else if !unit.plugin.capabilities.contains(.inPlace) {
      output = memory.y.base
    }
    var call = makeCall(rows: gathered.count, x: input)
    (call.y, call.yStride) = (output, gathered.width)
    if needsSource { (call.source, call.sourceStride) = (try read(gathered), unit.dim) }
    state?.add(to: &call)
    pack(gathered.places)
    try perform(call) { call throws(ReFTError) in try unit.instance.forward(call) }
    if output != gathered.rows { gathered.rows.update(from: output, count: count) }
  }

  /// Turns the gradient of the edited rows into that of the rows before, in place.
  func differentiate(_ gradient: GatheredRows) throws {
    try checkWidth(gradient)
    guard let kept, let gradients = context.gradients else { throw ReFTError.notTraining() }
    var call = makeCall(rows: gradient.count, x: kept.x.base)
    (call.dy, call.dyStride) = (gradient.rows, gradient.width)
    (call.dx, call.dxStride) = (memory.x.base, gradient.width)
    call.parameterGradients = gradients.base + unit.parameters.lowerBound
    if let source = kept.source {
      (call.source, call.sourceStride) = (UnsafePointer(source.base), unit.dim)
    }
    pack(gradient.places)
    try perform(call) { call throws(ReFTError) in try unit.instance.backward(call) }
    gradient.rows.update(from: memory.x.base, count: gradient.count * gradient.width)
  }

  /// What the layer read, from memory that a backward call finds again.
  private func read(_ gathered: GatheredRows) throws(ReFTError) -> UnsafePointer<Float>? {
    guard let rows = gathered.source, gathered.sourceWidth == unit.dim else {
      throw .sourceMismatch(site: unit.site, found: gathered.sourceWidth, expected: unit.dim)
    }
    guard let source = kept?.source else { return rows }
    source.base.update(from: rows, count: gathered.count * unit.dim)
    return UnsafePointer(source.base)
  }

  private func checkWidth(_ rows: GatheredRows) throws(ReFTError) {
    guard rows.width == unit.dim else {
      throw .widthMismatch(site: unit.site, found: rows.width, expected: unit.dim)
    }
  }

  /// Packs the metadata of the rows that are present, where some are missing.
  private func pack(_ places: UnsafeBufferPointer<Int32>) {
    packed = places.count < rows.count ? RowLists(of: rows, places: places) : nil
  }

  private func makeCall(rows count: Int, x: UnsafeMutablePointer<Float>) -> PluginCall {
    var call = PluginCall(rows: count, x: x, xStride: unit.dim)
    call.parameters = unit.pointers
    call.parameterCount = unit.parameters.count
    call.isTraining = context.gradients != nil
    // Outputs lie in `memory` or in gathered rows, gradients in the layout of the parameter store.
    call.ownsBehindOutput = true
    if let saved = kept?.saved {
      call.saved = UnsafeMutableRawPointer(saved.base)
      call.savedByteCount = workspace.savedByteCount(rows: count)
    }
    call.scratch = UnsafeMutableRawPointer(memory.scratch.base)
    call.scratchByteCount = workspace.scratchByteCount(rows: count)
    call.randomKey = randomKey
    call.randomStep = context.step
    return call
  }

  /// Adds the row metadata, which is valid during the call alone.
  private func perform(
    _ call: PluginCall,
    _ body: (PluginCall) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    var call = call
    call.origins = (packed ?? rows.lists).origins(minor: minor)
    try body(call)
  }
}
