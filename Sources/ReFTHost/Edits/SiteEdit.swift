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
    /// How far the run is.
    var progress = RunProgress()
    /// Where the gradients of parameters go; nil when no way back follows.
    var gradients: GradientPointers?
    /// Where auxiliary losses go; nil: nobody counts them.
    var auxiliary: AuxiliaryLoss?
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
  /// Who wants to know what the plugin tells of rows, and memory for that.
  private let told: (collector: RowCollector, memory: FloatBuffer)?
  private let randomKey: UInt64
  /// What the backward call needs of the forward call when training; nil until that, and where the
  /// edit runs in its device form.
  private var kept: Kept?
  /// The rows of source prompts, for plugins that need them: of all rows, and of the present ones.
  private let counterparts: FloatBuffer?
  private let presentCounterparts: FloatBuffer?
  /// The row metadata of the present rows, where some are missing.
  private var packed: RowLists?

  init(
    unit: AdapterUnit,
    rows: RowSet,
    _ context: Context,
    memory: EditMemory,
    state: SequenceState? = nil,
    collector: RowCollector? = nil
  ) throws(ReFTError) {
    self.memory = memory
    self.unit = unit
    self.rows = rows
    self.context = context
    minor = unit.plugin.description.abiMinor
    workspace = try unit.instance.plan(maxRows: rows.count)
    let isTraining = context.gradients != nil
    told = try isTraining ? nil : Self.told(to: collector, of: unit, workspace, rows: rows.count)
    self.state = try Self.state(
      of: unit,
      workspace,
      rows: rows.count,
      in: isTraining ? nil : state
    )
    let others = try Self.counterparts(of: unit, rows)
    counterparts = others
    presentCounterparts = try others.map { all throws(ReFTError) in
      try FloatBuffer(reserving: all.count, for: Self.counterpartPurpose(unit))
    }
    let path = CounterRandom(key: context.randomKey, step: UInt64(unit.intervention))
    self.randomKey = path.bits(offset: unit.stream)
  }

  /// Memory for what a plugin tells of rows; nil where it tells nothing, or nobody asks.
  private static func told(
    to collector: RowCollector?,
    of unit: AdapterUnit,
    _ workspace: PluginWorkspace,
    rows: Int
  ) throws(ReFTError) -> (collector: RowCollector, memory: FloatBuffer)? {
    guard let collector, workspace.collectedPerRow > 0 else { return nil }
    collector.expect(workspace.collectedPerRow, of: unit)
    let purpose = MemoryPurpose(
      "what plugin '\(unit.plugin.name)' tells of \(rows) rows",
      remedy: "use fewer tokens in a pass"
    )
    return (collector, try FloatBuffer(reserving: rows * workspace.collectedPerRow, for: purpose))
  }

  /// The states of the rows' sequence; nil for plugins that keep none.
  private static func state(
    of unit: AdapterUnit,
    _ workspace: PluginWorkspace,
    rows: Int,
    in sequence: SequenceState?
  ) throws(ReFTError) -> EditState? {
    guard workspace.statePerSequence > 0 else { return nil }
    guard !unit.plugin.capabilities.contains(.rowwise) else {
      throw .stateOfRowwisePlugin(unit.plugin.name)
    }
    return EditState(of: unit, rows: rows, byteCount: workspace.statePerSequence, in: sequence)
  }

  private static func counterpartPurpose(_ unit: AdapterUnit) -> MemoryPurpose {
    MemoryPurpose(
      "the rows of source prompts that plugin '\(unit.plugin.name)' takes",
      remedy: "edit fewer positions, or use fewer tokens in a pass"
    )
  }

  /// The rows of source prompts for all rows; nil for plugins that need none.
  private static func counterparts(
    of unit: AdapterUnit,
    _ rows: RowSet
  ) throws(ReFTError) -> FloatBuffer? {
    guard unit.needsCounterpart else { return nil }
    let all = try FloatBuffer(
      reserving: rows.count * unit.dim,
      for: counterpartPurpose(unit)
    )
    for index in 0..<rows.count {
      let location = Int(rows.runningLocations[index])
      guard let row = rows.counterparts[index]?.row(of: unit, location: location) else {
        throw .noCounterpart(unit.plugin.name)
      }
      for (place, value) in row.enumerated() { all[index * unit.dim + place] = value }
    }
    return all
  }

  /// The rows of source prompts for the rows that are present.
  private func counterpart(_ places: UnsafeBufferPointer<Int32>) -> UnsafePointer<Float>? {
    guard let counterparts, let presentCounterparts else { return nil }
    guard places.count < rows.count else { return UnsafePointer(counterparts.base) }
    for (index, place) in places.enumerated() {
      let row = counterparts.base + Int(place) * unit.dim
      (presentCounterparts.base + index * unit.dim).update(from: row, count: unit.dim)
    }
    return UnsafePointer(presentCounterparts.base)
  }

  /// Memory for the backward call.
  private struct Kept {
    /// The input of the forward call: the runtime's where it leaves the rows be, else a copy.
    var x: UnsafeMutablePointer<Float>
    let copy: FloatBuffer?
    /// What the layer read: on the way back its place holds something else.
    let source: FloatBuffer?
    let saved: FloatBuffer
  }

  /// The memory for the backward call; nil in inference.
  private func keep(_ gathered: GatheredRows) throws(ReFTError) -> Kept? {
    guard context.gradients != nil else { return nil }
    let staysThere = gathered.output != nil
    if var kept, staysThere || kept.copy != nil {
      if staysThere { kept.x = gathered.rows } else if let copy = kept.copy { kept.x = copy.base }
      self.kept = kept
      return kept
    }
    let purpose = MemoryPurpose(
      "what plugin '\(unit.plugin.name)' keeps of \(rows.count) rows",
      remedy: "edit fewer positions, or use fewer tokens in a pass"
    )
    let copy =
      staysThere ? nil : try FloatBuffer(reserving: rows.count * unit.dim, for: purpose)
    let made = Kept(
      x: copy?.base ?? gathered.rows,
      copy: copy,
      source: unit.needsSource
        ? try FloatBuffer(reserving: rows.count * unit.sourceDim, for: purpose) : nil,
      saved: try FloatBuffer(
        reserving: workspace.savedByteCount(rows: rows.count) / 4 + 1,
        for: purpose
      )
    )
    kept = made
    return made
  }

  /// Whether the host form alone does what is asked: keeps a state, tells of its rows, adds a loss, or
  /// takes rows of a source prompt.
  var needsHostForm: Bool {
    told != nil || state != nil || countsAuxiliary || unit.needsCounterpart
  }

  var rowCount: Int { rows.count }
  var scratchByteCount: Int { workspace.scratchByteCount(rows: rows.count) }
  /// The tokens that it edits.
  var tokens: [Int32] { rows.tokens }
  /// The numbers of each row that it edits.
  var columns: Range<Int>? { unit.columns }
  /// Whether the plugin adds to an auxiliary loss that somebody counts.
  var countsAuxiliary: Bool { context.auxiliary != nil && unit.auxiliaryWeight > 0 }
  /// Rows need no copy on their way.
  var takesOutput: Bool { true }
  /// Whether the plugin looks at what the layer read.
  var needsSource: Bool { unit.needsSource }
  /// Whether it says how the loss depends on that.
  var givesSourceGradient: Bool { unit.givesSourceGradient }

  /// Edits the rows, in place unless they are wanted elsewhere.
  func edit(_ gathered: GatheredRows) throws {
    try checkWidth(gathered)
    let count = gathered.count * gathered.width
    let target = gathered.output ?? gathered.rows
    var (input, output) = (gathered.rows, target)
    if let kept = try keep(gathered) {
      if kept.copy != nil { kept.x.update(from: gathered.rows, count: count) }
      input = kept.x
    } else if gathered.output == nil, !unit.plugin.capabilities.contains(.inPlace) {
      output = memory.y.base
    }
    var call = makeCall(rows: gathered.count, x: input)
    (call.y, call.yStride) = (output, gathered.width)
    (call.counterpart, call.counterpartStride) = (counterpart(gathered.places), unit.dim)
    if needsSource { (call.source, call.sourceStride) = (try read(gathered), unit.sourceDim) }
    state?.add(to: &call)
    pack(gathered.places)
    let width = workspace.collectedPerRow
    if let told { (call.collected, call.collectedWidth) = (told.memory.base, width) }
    try perform(call) { call throws(ReFTError) in
      try forward(call)
      guard let told else { return }
      let values = UnsafeBufferPointer(start: told.memory.base, count: call.rows * width)
      guard values.allSatisfy(\.isFinite) else { throw .collectedNotFinite(unit.plugin.name) }
      told.collector.take(values, of: unit, rows: call.origins)
    }
    if output != target { target.update(from: output, count: count) }
  }

  /// Calls forward, and takes over what it adds to its auxiliary loss.
  private func forward(_ call: PluginCall) throws(ReFTError) {
    guard countsAuxiliary, let auxiliary = context.auxiliary else {
      return try unit.instance.forward(call)
    }
    try auxiliary.count(weight: unit.auxiliaryWeight) { sum throws(ReFTError) in
      var call = call
      call.auxiliary = sum
      try unit.instance.forward(call)
    }
  }

  /// Turns the gradient of the edited rows into that of the rows before, in place.
  func differentiate(_ gradient: GatheredRows) throws {
    try checkWidth(gradient)
    guard let kept, let gradients = context.gradients else { throw ReFTError.notTraining() }
    var call = makeCall(rows: gradient.count, x: kept.x)
    (call.dy, call.dyStride) = (gradient.rows, gradient.width)
    let output = gradient.output ?? memory.x.base
    (call.dx, call.dxStride) = (output, gradient.width)
    (call.counterpart, call.counterpartStride) = (counterpart(gradient.places), unit.dim)
    call.parameterGradients = gradients.pointers(of: unit)
    if countsAuxiliary {
      call.auxiliaryGradient = unit.auxiliaryWeight * (context.auxiliary?.scale ?? 0)
    }
    if let source = kept.source {
      (call.source, call.sourceStride) = (UnsafePointer(source.base), unit.sourceDim)
    }
    if givesSourceGradient, let slopes = gradient.sourceGradient {
      (call.dsource, call.dsourceStride) = (slopes, unit.sourceDim)
    }
    pack(gradient.places)
    try perform(call) { call throws(ReFTError) in try unit.instance.backward(call) }
    if gradient.output == nil {
      gradient.rows.update(from: output, count: gradient.count * gradient.width)
    }
  }

  /// What the layer read, from memory that a backward call finds again.
  private func read(_ gathered: GatheredRows) throws(ReFTError) -> UnsafePointer<Float>? {
    guard let rows = gathered.source, gathered.sourceWidth == unit.sourceDim else {
      throw .sourceMismatch(site: unit.site, found: gathered.sourceWidth, expected: unit.sourceDim)
    }
    guard let source = kept?.source else { return rows }
    source.base.update(from: rows, count: gathered.count * unit.sourceDim)
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
    call.parameterCount = unit.parameterCount
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
    call.progress = context.progress
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
