// SPDX-License-Identifier: Apache-2.0
// The same plugin seen through the host's own loader and instances, so that what passes here is what
// runs there.

import CReFTPlugin
import Glibc
import ReFTHost
import ReFTTensor

let hostLoadRules: [Rule] = [
  Rule("ABI-121", "The host's own loader accepts it, from a sealed copy, and sees the same.") {
    bench in
    let raw = try bench.interventions()
    let plugins = try hostPlugins(bench)
    guard plugins.map(\.id) == raw.map(\.id) else {
      throw Breach(
        "The host sees \(plugins.map(\.id).joined(separator: ", ")), the raw tables hold "
          + "\(raw.map(\.id).joined(separator: ", "))."
      )
    }
    for (plugin, table) in zip(plugins, raw) {
      let names = try table.options().map(\.name)
      guard plugin.options.map(\.name) == names else {
        throw Breach(
          "The host sees the options \(plugin.options.map(\.name)) of \(plugin.id), the raw tables "
            + "hold \(names)."
        )
      }
    }
    if let first = plugins.first {
      for warning in first.description.warnings { bench.warn(warning) }
    }
    return "Loaded as \(plugins.map { "\($0.name) \($0.version)" }.joined(separator: ", "))."
  },
  Rule("ABI-122", "What it needs is looked for in safe folders, never in the current one.") {
    bench in
    _ = try bench.image()
    try bench.specimen.checkSearch()
    return "Nothing is looked for where others could place it."
  },
]

let hostCallRules: [Rule] = [
  Rule("ABI-325", "The host's own instances compute the same numbers, in memory of its alignment.")
  {
    bench in
    let plugins = try hostPlugins(bench)
    for (plugin, table) in zip(plugins, try bench.interventions()) {
      let (dim, options) = try bench.usualWidth(table)
      let subject = try bench.subject(table, dim: dim, options: options)
      let x = bench.random.normals(7 * dim)
      let expected = try subject.y(x)
      bench.doing("forward of \(plugin.id) through the host's instance")
      let found = try hostForward(plugin, subject, x)
      try requireClose(
        found,
        expected,
        1e-5,
        "forward of \(plugin.id) through the host's instance",
        width: dim
      )
    }
    return "The same numbers."
  }
]

private func hostPlugins(_ bench: Bench) throws -> [Plugin] {
  if let refusal = bench.specimen.refusal, !bench.specimen.isManifest {
    throw NotApplicable("The host does not load plugins from this place: \(refusal)")
  }
  bench.doing("loading through the host")
  return try bench.specimen.hostPlugins()
}

private func hostForward(_ plugin: Plugin, _ subject: Subject, _ x: [Float]) throws -> [Float] {
  let rows = x.count / subject.dim
  let instance = try plugin.makeInstance(
    at: RowPlaces.site(dim: subject.dim, sourceDim: subject.sourceDim),
    // Whoever describes an option twice is told by ABI-117.
    options: Dictionary(subject.options.map { ($0.name, hostValue($0.value)) }) { $1 },
    inputs: Dictionary(
      subject.options.compactMap { option -> (String, PluginInput)? in
        if case .input(let input) = option.value { (option.name, input.hosted) } else { nil }
      }
    ) { $1 }
  )
  let workspace = try instance.plan(maxRows: rows)
  let memory = HostMemory()
  let input = memory.floats(x)
  let output = memory.floats([Float](repeating: .nan, count: x.count))
  let pointers = memory.pointers(subject.values.map { UnsafeRawPointer(memory.floats($0)) })
  var call = PluginCall(rows: rows, x: input, xStride: subject.dim)
  if plugin.capabilities.contains(.needsSource) {
    let source = memory.floats(CallFrame.source(rows: rows, dim: subject.sourceDim))
    (call.source, call.sourceStride) = (UnsafePointer(source), subject.sourceDim)
  }
  if plugin.capabilities.contains(.needsCounterpart) {
    let other = memory.floats(CallFrame.counterpart(rows: rows, dim: subject.dim))
    (call.counterpart, call.counterpartStride) = (UnsafePointer(other), subject.dim)
  }
  call.y = output
  call.yStride = subject.dim
  call.parameters = pointers
  call.parameterCount = subject.values.count
  call.isTraining = true
  call.savedByteCount = workspace.savedByteCount(rows: rows)
  call.saved = memory.block(call.savedByteCount)
  call.scratchByteCount = workspace.scratchByteCount(rows: rows)
  call.scratch = memory.block(call.scratchByteCount)
  call.randomKey = CallStyle().rngKey
  call.randomStep = CallStyle().rngStep
  if workspace.statePerSequence > 0 {
    let states = (0...RowPlaces.sequence(rows)).map { _ in
      UnsafeRawPointer(memory.zeros(workspace.statePerSequence))
    }
    let table = memory.pointers((0..<rows).map { states[RowPlaces.sequence($0)] })
    call.states = UnsafeRawPointer(table).assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
    call.stateByteCount = workspace.statePerSequence
  }
  let (step, total) = CallStyle().progress
  call.progress = RunProgress(step: Int(step), totalSteps: Int(total))
  try RowPlaces.withOrigins(rows: rows) { origins in
    call.origins = origins
    try instance.forward(call)
  }
  return Array(UnsafeBufferPointer(start: output, count: x.count))
}

private func hostValue(_ value: OptionSetting.Value) -> OptionValue {
  switch value {
  case .int(let i): .int(i)
  case .float(let f): .float(f)
  case .string(let s): .string(s)
  case .flag(let i): .flag(i != 0)
  case .input(let input): .string(input.text)
  case .tensorIndex: .string("")
  }
}
