// SPDX-License-Identifier: Apache-2.0
// One instance of a plugin as device rules look at it: its inputs, its host form and its programs.

import ReFTHost
import ReFTModel
import ReFTTensor

/// The numbers that a call reads.
struct DeviceInputs {
  var x: [Float]
  var source: [Float]?
  var dy: [Float]
  var parameters: [[Float]]
  /// What gradients are added to.
  var gradients: [[Float]]
}

/// The numbers that a call writes.
struct DeviceOutputs {
  var y: [Float]
  var dx: [Float] = []
  var gradients: [[Float]] = []
  /// Where something else was written, in words.
  var strayWrite: String?

  /// The outputs with their names.
  func named(_ one: DeviceCase) -> [(String, [Float])] {
    [("y", y), ("dx", dx)]
      + zip(one.parameterNames, gradients).map { ("the gradient of \"\($0)\"", $1) }
  }
}

/// A plugin with options, at a width, for a number of rows.
struct DeviceCase: CustomStringConvertible {
  let plugin: Plugin
  let options: [String: OptionValue]
  let width: Int
  let rows: Int
  private let instance: any DevicePluginInstance

  /// Makes an instance; nil where the plugin refuses it, or has nothing to bring.
  init?(_ plugin: Plugin, _ options: [String: OptionValue], width: Int, rows: Int) throws {
    let site = PluginSite(dim: width, layer: 3, component: "block_output")
    guard let made = try? plugin.makeInstance(at: site, options: options),
      let instance = made as? any DevicePluginInstance,
      instance.parameters.reduce(0, { $0 + $1.count }) < 4_000_000
    else { return nil }
    self.plugin = plugin
    self.options = options
    self.width = width
    self.rows = rows
    self.instance = instance
    guard try instance.deviceProgram(isTraining: false) != nil else { return nil }
  }

  var description: String {
    let list = options.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    let more = list.isEmpty ? "" : ", \(list.joined(separator: ", "))"
    return "\(plugin.id) (\(rows) rows of \(width)\(more))"
  }

  var hasBackward: Bool { !plugin.capabilities.contains(.noBackward) }
  var parameterNames: [String] { instance.parameters.map(\.name) }

  func program(isTraining: Bool) throws -> DeviceProgram? {
    try instance.deviceProgram(isTraining: isTraining)
  }

  /// Random numbers for a call.
  func inputs(_ random: inout BenchRandom) -> DeviceInputs {
    let count = rows * width
    let needsSource = plugin.capabilities.contains(.needsSource)
    return DeviceInputs(
      x: random.normals(count),
      source: needsSource ? random.normals(count) : nil,
      dy: random.normals(count),
      parameters: instance.parameters.map { random.normals($0.count, scale: 0.2) },
      gradients: instance.parameters.map { random.normals($0.count) }
    )
  }

  /// What the host form makes of them.
  func onHost(
    _ inputs: DeviceInputs,
    isTraining: Bool,
    backward: Bool
  ) throws -> DeviceOutputs {
    let workspace = try instance.plan(maxRows: rows)
    let memory = HostMemory()
    var call = PluginCall(rows: rows, x: memory.floats(inputs.x), xStride: width)
    if let source = inputs.source {
      (call.source, call.sourceStride) = (UnsafePointer(memory.floats(source)), width)
    }
    let empty = [Float](repeating: 0, count: inputs.x.count)
    let (y, dx) = (memory.floats(empty), memory.floats(empty))
    call.parameters = memory.pointers(
      inputs.parameters.map { UnsafeRawPointer(memory.floats($0)) }
    )
    call.parameterCount = inputs.parameters.count
    call.isTraining = isTraining
    call.savedByteCount = workspace.savedByteCount(rows: rows)
    call.saved = memory.block(call.savedByteCount)
    call.scratchByteCount = workspace.scratchByteCount(rows: rows)
    call.scratch = memory.block(call.scratchByteCount)
    return try RowPlaces.withOrigins(rows: rows) { origins in
      call.origins = origins
      (call.y, call.yStride) = (y, width)
      try instance.forward(call)
      let count = rows * width
      var result = DeviceOutputs(y: Array(UnsafeBufferPointer(start: y, count: count)))
      guard backward else { return result }
      (call.y, call.yStride) = (nil, 0)
      (call.dy, call.dyStride) = (memory.floats(inputs.dy), width)
      (call.dx, call.dxStride) = (dx, width)
      let gradients = inputs.gradients.map { memory.floats($0) }
      call.parameterGradients = memory.mutablePointers(gradients)
      try instance.backward(call)
      result.dx = Array(UnsafeBufferPointer(start: dx, count: count))
      result.gradients = zip(gradients, inputs.gradients).map {
        Array(UnsafeBufferPointer(start: $0, count: $1.count))
      }
      return result
    }
  }
}

extension DeviceCase {
  /// The cases of a plugin: two widths and a few numbers of rows as it is, and each option's other
  /// values; none where it has no device form.
  static func all(of plugin: Plugin) throws -> [DeviceCase] {
    var usual: (width: Int, options: [String: OptionValue])?
    for width in [24, 64, 128, 576, 1024] where usual == nil {
      for options in [[:], smallest(plugin)] where usual == nil {
        let site = PluginSite(dim: width, layer: 3, component: "block_output")
        if (try? plugin.makeInstance(at: site, options: options)) != nil {
          usual = (width, options)
        }
      }
    }
    guard let usual else { return [] }
    var cases: [DeviceCase?] = []
    for (width, rows) in [(usual.width, 1), (usual.width, 7), (577, 33), (usual.width, 70)] {
      cases.append(try DeviceCase(plugin, usual.options, width: width, rows: rows))
    }
    for option in plugin.options {
      for value in otherValues(option) {
        let options = usual.options.merging([option.name: value]) { $1 }
        for width in [usual.width, 65] {
          cases.append(try DeviceCase(plugin, options, width: width, rows: 9))
        }
      }
    }
    return cases.compactMap { $0 }
  }

  private static func smallest(_ plugin: Plugin) -> [String: OptionValue] {
    var options: [String: OptionValue] = [:]
    for option in plugin.options where option.kind == .int {
      options[option.name] = .int(Int64(max(1, option.range?.lowerBound ?? 1)))
    }
    return options
  }

  /// Values that are not the default and may switch something on.
  private static func otherValues(_ option: PluginOption) -> [OptionValue] {
    switch (option.kind, option.defaultValue) {
    case (.int, .int(let value)): return [.int(1), .int(value + 1), .int(19)]
    case (.float, _):
      let (low, high) = (option.range?.lowerBound ?? 0, option.range?.upperBound ?? 1)
      return [.float(max(low, -4) + (min(high, 4) - max(low, -4)) * 0.4)]
    case (.flag, .flag(let value)): return [.flag(!value)]
    case (.string, .string(let text)):
      return option.choices.filter { $0 != text }.map { .string($0) }
    default: return []
    }
  }
}
