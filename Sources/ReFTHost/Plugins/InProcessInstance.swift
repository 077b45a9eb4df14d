// SPDX-License-Identifier: Apache-2.0
// An instance of a plugin that was loaded into this process.

import CReFTPlatform
import CReFTPlugin
import Foundation
import Logging
import ReFTTensor
import Synchronization

/// What all instances of a loaded plugin share.
final class InProcessPlugin: @unchecked Sendable {
  // Sendable: the table is static data; what changes is behind a lock.
  let description: PluginDescription
  let table: UnsafePointer<reft_plugin_t>
  private let told = Mutex<Set<String>>([])
  private let signals = SignalGuard()
  /// The name as C wants it; never freed, as a call may be under way when everything else ends.
  private let foreignName: UnsafeMutablePointer<CChar>?

  init(description: PluginDescription, table: UnsafePointer<reft_plugin_t>) {
    self.description = description
    self.table = table
    foreignName = strdup(description.name)
  }

  var name: String { description.name }

  /// Runs code of the plugin, puts the floating-point control word back, and what signals do where that is
  /// looked at, and names the culprit once for each.
  @inline(__always)
  func guarded<Result>(
    _ call: StaticString,
    looksAtSignals: Bool = true,
    _ body: () -> Result
  ) -> Result {
    let table = signals.begin(looksAtSignals)
    reft_foreign_begin(foreignName, call.utf8Start)
    let (result, change) = FloatingPointGuard.run(body)
    reft_foreign_end()
    if let change { warn("\(call)", change.description) }
    if let table, let change = signals.end(table) { warn("\(call)", change) }
    return result
  }

  private func warn(_ call: String, _ change: String) {
    guard told.withLock({ $0.insert(change).inserted }) else { return }
    Logger(label: "reft.plugins").warning(
      "plugin '\(name)' \(change) in \(call); this was put back, now and whenever it happens again"
    )
  }
}

/// An instance in this process; calls cross the ABI directly.
final class InProcessInstance: PluginInstance, @unchecked Sendable {
  // Sendable: `self` of the plugin is used under `turn` unless the plugin promises re-entrancy.
  let parameters: [ParameterInfo]
  let dependsOnSequence: Bool
  let plugin: InProcessPlugin
  private let site: PluginSite
  private let services: HostServices
  let instance: OpaquePointer
  private let planned = Mutex<(rows: Int, workspace: PluginWorkspace)?>(nil)
  private let counted = Mutex(PluginUsage())
  private let turn = NSLock()
  private let isReentrant: Bool

  /// Of forward calls over so few rows one in `sampling` is timed, once there were as many.
  private static let fewRows = 8
  private static let sampling = 16

  init(
    _ plugin: InProcessPlugin,
    at site: PluginSite,
    options: [String: OptionValue],
    inputs: [String: PluginInput] = [:]
  ) throws(ReFTError) {
    self.plugin = plugin
    self.site = site
    let list = inputs.sorted { $0.key < $1.key }
    services = HostServices(plugin: plugin.name, inputs: list.map(\.value))
    isReentrant = plugin.description.capabilities.contains(.reentrant)
    instance = try Self.create(
      plugin,
      at: site,
      options: ForeignOptions(options, of: plugin.description, inputs: list.map(\.key)),
      services: services
    )
    do throws(ReFTError) {
      parameters = try ParameterTable.read(instance, of: plugin, inputs: list.map(\.value))
    } catch {
      plugin.guarded("destroy") { [instance] in plugin.table.pointee.destroy?(instance) }
      throw error
    }
    dependsOnSequence = plugin.guarded("extension") { [instance] in
      plugin.table.pointee.extension?(instance, Self.deterministic) == nil
    }
  }

  /// The extension by which an instance promises that its numbers depend on x and the parameters
  /// alone, in training too; docs/abi.md has it.
  private static let deterministic = "reft.deterministic/1"

  deinit {
    plugin.guarded("destroy") { plugin.table.pointee.destroy?(instance) }
  }

  var usage: PluginUsage { counted.withLock { $0 } }

  func initialize(
    _ parameters: [UnsafeMutableRawPointer],
    seed: UInt64
  ) throws(ReFTError) {
    guard let initialize = plugin.table.pointee.init_params else {
      throw .pluginMisbehaved(
        plugin.name,
        "a parameter wants REFT_PARAM_CUSTOM_INIT, but the slot init_params is null"
      )
    }
    let record = CallRecord()
    let pointers = parameters.map(Optional.some)
    let status = turn.withLock {
      plugin.guarded("init_params") {
        withExtendedLifetime(record) {
          initialize(instance, seed, pointers, UInt32(pointers.count), record.handle)
        }
      }
    }
    try check(status, call: "init_params", record: record)
  }

  func plan(maxRows: Int) throws(ReFTError) -> PluginWorkspace {
    try turn.withLock { () -> Result<PluginWorkspace, ReFTError> in
      Result { () throws(ReFTError) in try planHavingTurn(maxRows) }
    }.get()
  }

  private func planHavingTurn(_ maxRows: Int) throws(ReFTError) -> PluginWorkspace {
    if let known = planned.withLock({ $0 }), known.rows >= maxRows { return known.workspace }
    // Powers of two: a new plan is rare, however the numbers of rows vary.
    var rows = 64
    while rows < maxRows { rows *= 2 }
    var answer = reft_workspace_t()
    answer.struct_size = UInt32(MemoryLayout<reft_workspace_t>.size)
    let status = Self.withShape(site, maxRows: rows) { shape in
      plugin.guarded("plan") { plugin.table.pointee.plan(instance, shape, &answer) }
    }
    try check(status, call: "plan", record: nil)
    let workspace = try checkedWorkspace(answer, rows: rows)
    planned.withLock { $0 = (rows, workspace) }
    return workspace
  }

  /// The sizes, if this machine has the memory for a call over so many rows.
  private func checkedWorkspace(
    _ answer: reft_workspace_t,
    rows: Int
  ) throws(ReFTError) -> PluginWorkspace {
    // A library of ABI 1.0 asked for none of what came later.
    let knows = plugin.description.abiMinor >= 1
    let workspace = PluginWorkspace(
      savedPerRow: Int(clamping: answer.saved_bytes_per_row),
      savedFixed: Int(clamping: answer.saved_bytes_fixed),
      scratchPerRow: Int(clamping: answer.scratch_bytes_per_row),
      scratchFixed: Int(clamping: answer.scratch_bytes_fixed),
      statePerSequence: knows ? Int(clamping: answer.state_bytes_per_sequence) : 0,
      collectedPerRow: knows ? Int(clamping: answer.collected_per_row) : 0
    )
    if let fault = workspace.fault(rows: rows) {
      throw .pluginMisbehaved(plugin.name, "plan states \(fault)")
    }
    return workspace
  }

  func forward(_ call: PluginCall) throws(ReFTError) {
    let number = counted.withLock { usage in
      usage.forwardCalls += 1
      usage.rows += call.rows
      return usage.forwardCalls
    }
    // Looking at the clock is a good part of what editing one row costs.
    let weight = call.rows > Self.fewRows || number <= Self.sampling ? 1 : Self.sampling
    let start = number % weight == 0 ? DispatchTime.now().uptimeNanoseconds : nil
    try perform(plugin.table.pointee.forward, call, name: "forward", number: number)
    try call.checkAuxiliary(plugin.name)
    if let start {
      let time = Int(DispatchTime.now().uptimeNanoseconds - start)
      counted.withLock { $0.forwardNanoseconds += time * weight }
    }
    if let y = call.y { try checkFinite(y, call.yStride, site.dim, call, name: "forward") }
  }

  func backward(_ call: PluginCall) throws(ReFTError) {
    guard let backward = plugin.table.pointee.backward else {
      throw .pluginCannotTrain(plugin.name)
    }
    let number = counted.withLock { usage in
      usage.backwardCalls += 1
      return usage.backwardCalls
    }
    let start = DispatchTime.now().uptimeNanoseconds
    try perform(backward, call, name: "backward", number: number)
    let time = Int(DispatchTime.now().uptimeNanoseconds - start)
    counted.withLock { $0.backwardNanoseconds += time }
    if let dx = call.dx { try checkFinite(dx, call.dxStride, site.dim, call, name: "backward") }
    if let dsource = call.dsource {
      try checkFinite(dsource, call.dsourceStride, site.sourceWidth, call, name: "backward")
    }
    try call.checkGradients(plugin.name, site: site, parameters: parameters)
  }

  private typealias Function =
    @convention(c) (OpaquePointer?, UnsafePointer<reft_args_t>?) -> reft_status_t

  private func perform(
    _ function: Function?,
    _ call: PluginCall,
    name: String,
    number: Int
  ) throws(ReFTError) {
    guard let function else { return }
    if call.source == nil, plugin.description.capabilities.contains(.needsSource) {
      throw .callWithoutSource(plugin.name, call: name)
    }
    if call.counterpart == nil, plugin.description.capabilities.contains(.needsCounterpart) {
      throw .noCounterpart(plugin.name)
    }
    try call.guarded(name, plugin: plugin.name, site: site, parameters: parameters) {
      call throws(ReFTError) in
      try performAlone(function, call, name: name, number: number)
    }
  }

  private func performAlone(
    _ function: @convention(c) (OpaquePointer?, UnsafePointer<reft_args_t>?) -> reft_status_t,
    _ call: PluginCall,
    name: String,
    number: Int
  ) throws(ReFTError) {
    let record = CallRecord()
    let what: StaticString = call.dy == nil ? "forward" : "backward"
    let looks = SignalGuard.looks(atCall: number)
    let status = withExtendedLifetime(record) {
      call.withForeign(site: site, record: record) { arguments in
        if isReentrant {
          return plugin.guarded(what, looksAtSignals: looks) { function(instance, arguments) }
        }
        return turn.withLock {
          plugin.guarded(what, looksAtSignals: looks) { function(instance, arguments) }
        }
      }
    }
    try check(status, call: name, record: record)
  }

  func check(
    _ status: reft_status_t,
    call: String,
    record: CallRecord?
  ) throws(ReFTError) {
    guard status != REFT_OK else { return }
    throw .pluginStatus(status, plugin: plugin.name, call: call, message: record?.message)
  }

  /// From how many numbers on several threads look whether they are finite.
  private static let manyNumbers = 1 << 17

  private func areFinite(
    _ rows: UnsafeMutablePointer<Float>,
    _ stride: Int,
    _ count: Int
  ) -> Bool {
    let (pieces, dim) = (min(count, 32), Int64(site.dim))
    let fault = Atomic<Bool>(false)
    nonisolated(unsafe) let rows = rows
    ThreadPool.shared.run(pieces) { piece in
      for row in piece * count / pieces..<(piece + 1) * count / pieces
      where reft_system_all_finite(rows + row * stride, dim) == 0 {
        fault.store(true, ordering: .relaxed)
      }
    }
    return !fault.load(ordering: .relaxed)
  }

  /// One pass over the output: about 2 µs for 32 rows of 576, far below the cost of the block around it.
  private func checkFinite(
    _ rows: UnsafeMutablePointer<Float>,
    _ stride: Int,
    _ width: Int,
    _ call: PluginCall,
    name: String
  ) throws(ReFTError) {
    if call.rows * site.dim >= Self.manyNumbers, areFinite(rows, stride, call.rows) { return }
    for row in 0..<call.rows
    where reft_system_all_finite(rows + row * stride, Int64(width)) == 0 {
      let input = call.dy.map { ($0, call.dyStride) } ?? (call.x, call.xStride)
      let isFinite =
        input.0 == rows || reft_system_all_finite(input.0 + row * input.1, Int64(site.dim)) != 0
      throw .pluginNotFinite(plugin.name, call: name, rows: call.rows, inputIsFinite: isFinite)
    }
  }
}
