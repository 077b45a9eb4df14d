// SPDX-License-Identifier: Apache-2.0
// What host and worker tell one another outside of calls, as JSON. Both are of the same build.

import Foundation
import ReFTTensor

/// The JSON of the channel; numbers that are not finite are kept.
enum WorkerJSON {
  static func encode(_ value: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    // In a fixed order: answers of two workers are compared as bytes.
    encoder.outputFormatting = .sortedKeys
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf",
      negativeInfinity: "-inf",
      nan: "nan"
    )
    return try encoder.encode(value)
  }

  static func decode<Value: Decodable>(_ type: Value.Type, _ data: Data) throws -> Value {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf",
      negativeInfinity: "-inf",
      nan: "nan"
    )
    return try decoder.decode(type, from: data)
  }
}

/// The descriptions of the plugins in a file.
struct WorkerHello: Codable {
  var plugins: [WorkerDescription]
}

/// A `PluginDescription` on its way.
struct WorkerDescription: Codable {
  var id, version, summary, license, abi: String
  var capabilities: UInt64
  var options: [WorkerOption]
  var warnings: [String]

  init(_ description: PluginDescription) {
    id = description.id
    version = description.version
    summary = description.summary
    license = description.license
    abi = description.abi
    capabilities = description.capabilities.rawValue
    options = description.options.map(WorkerOption.init)
    warnings = description.warnings
  }

  func description(path: String, hash: String) -> PluginDescription {
    PluginDescription(
      id: id,
      version: version,
      summary: summary,
      license: ForeignText.line(license),
      abi: abi,
      path: path,
      hash: hash,
      capabilities: PluginCapabilities(rawValue: capabilities),
      options: options.compactMap(\.option),
      warnings: warnings.prefix(16).map { ForeignText.line(String($0.prefix(1000))) }
    )
  }
}

/// A `PluginOption` on its way.
struct WorkerOption: Codable {
  var name, kind, help: String
  var value: WorkerValue
  var choices: [String]
  var lower, upper: Double?

  init(_ option: PluginOption) {
    name = option.name
    kind = option.kind.rawValue
    help = option.help
    value = WorkerValue(option.defaultValue)
    choices = option.choices
    lower = option.range?.lowerBound
    upper = option.range?.upperBound
  }

  var option: PluginOption? {
    guard let kind = PluginOption.Kind(rawValue: kind) else { return nil }
    var range: ClosedRange<Double>?
    if let lower, let upper, lower <= upper { range = lower...upper }
    return PluginOption(
      name: name,
      kind: kind,
      help: ForeignText.line(help),
      defaultValue: value.value,
      choices: choices,
      range: range
    )
  }
}

/// An `OptionValue` that keeps its type: in plain JSON, 4.0 and 4 are the same.
struct WorkerValue: Codable {
  var i: Int64?
  var f: UInt64?
  var s: String?
  var b: Bool?

  init(_ value: OptionValue) {
    switch value {
    case .int(let value): i = value
    case .float(let value): f = value.bitPattern
    case .string(let value): s = value
    case .flag(let value): b = value
    }
  }

  var value: OptionValue {
    if let i { return .int(i) }
    if let f { return .float(Double(bitPattern: f)) }
    if let b { return .flag(b) }
    return .string(s ?? "")
  }
}

/// What an instance is made from.
struct WorkerCreate: Codable {
  var plugin: String
  var dim, layer, sourceDim, locations: Int
  var component: String
  var options: [String: WorkerValue]
  var inputs: [WorkerInput] = []

  init(plugin: String, site: PluginSite, options: [String: OptionValue]) {
    self.plugin = plugin
    dim = site.dim
    layer = site.layer
    component = site.component
    sourceDim = site.sourceDim
    locations = site.locations
    self.options = options.mapValues(WorkerValue.init)
  }

  var site: PluginSite {
    PluginSite(
      dim: dim,
      layer: layer,
      component: component,
      sourceDim: sourceDim,
      locations: locations
    )
  }
}

/// A `ParameterInfo` on its way.
struct WorkerParameter: Codable {
  var name: String
  var shape: [Int]
  var isTrainable, allowsDecay: Bool
  var start, constraint: Int
  var startA, startB, constraintA, constraintB, rate, decay: Double

  init(_ info: ParameterInfo) {
    name = info.name
    shape = info.shape
    isTrainable = info.isTrainable
    allowsDecay = info.allowsDecay
    rate = info.learningRateScale
    decay = info.weightDecayScale
    (start, startA, startB) =
      switch info.initialization {
      case .zeros: (0, 0, 0)
      case .constant(let value): (1, value, 0)
      case .uniform(let lower, let upper): (2, lower, upper)
      case .normal(let mean, let deviation): (3, mean, deviation)
      case .orthogonal: (4, 0, 0)
      case .copy(let index): (5, Double(index), 0)
      case .custom: (6, 0, 0)
      case .input(let index): (7, Double(index), 0)
      }
    (constraint, constraintA, constraintB) =
      switch info.constraint {
      case .none: (0, 0, 0)
      case .orthonormalRows: (1, 0, 0)
      case .orthonormalColumns: (2, 0, 0)
      case .unitRows: (3, 0, 0)
      case .box(let lower, let upper): (4, lower, upper)
      }
  }

  var info: ParameterInfo {
    let initialization: ParameterInitialization =
      switch start {
      case 1: .constant(startA)
      case 2: .uniform(lower: startA, upper: startB)
      case 3: .normal(mean: startA, deviation: startB)
      case 4: .orthogonal
      case 5: .copy(index: Int(exactly: startA) ?? -1)
      case 6: .custom
      case 7: .input(index: Int(exactly: startA) ?? -1)
      default: .zeros
      }
    let constraint: ParameterConstraint =
      switch constraint {
      case 1: .orthonormalRows
      case 2: .orthonormalColumns
      case 3: .unitRows
      case 4: .box(lower: constraintA, upper: constraintB)
      default: .none
      }
    return ParameterInfo(
      name: name,
      shape: shape,
      isTrainable: isTrainable,
      allowsDecay: allowsDecay,
      initialization: initialization,
      constraint: constraint,
      learningRateScale: rate,
      weightDecayScale: decay
    )
  }
}

/// A `PluginWorkspace` on its way.
struct WorkerWorkspace: Codable {
  var savedPerRow, savedFixed, scratchPerRow, scratchFixed: Int
  var statePerSequence, collectedPerRow: Int?

  init(_ workspace: PluginWorkspace) {
    savedPerRow = workspace.savedPerRow
    savedFixed = workspace.savedFixed
    scratchPerRow = workspace.scratchPerRow
    scratchFixed = workspace.scratchFixed
    statePerSequence = workspace.statePerSequence
    collectedPerRow = workspace.collectedPerRow
  }

  var workspace: PluginWorkspace {
    PluginWorkspace(
      savedPerRow: savedPerRow,
      savedFixed: savedFixed,
      scratchPerRow: scratchPerRow,
      scratchFixed: scratchFixed,
      statePerSequence: statePerSequence ?? 0,
      collectedPerRow: collectedPerRow ?? 0
    )
  }
}

/// A `ReFTError` on its way.
struct WorkerError: Codable {
  var code, message: String

  init(_ error: ReFTError) {
    code = error.code.description
    message = String(error.message.prefix(8000))
  }

  /// The error; faults of the host and the disk are not the worker's to state.
  var error: ReFTError {
    let codes: [ReFTError.Code] = [
      .usage, .badData, .inputMissing, .pluginRefused, .badConfiguration, .interrupted,
    ]
    let known = codes.first { $0.description == code }
    return ReFTError(known ?? .misbehaved, ForeignText.line(String(message.prefix(8000))))
  }
}
