// SPDX-License-Identifier: Apache-2.0
// A call that ended its worker twice, in a file: a safetensors file that other tools can open too.

import Foundation
import Logging
import ReFTTensor

/// The arguments of one call of a plugin, to be made again.
public struct Capsule: Sendable {
  /// The functions that a capsule can be about.
  public enum Call: String, Sendable, Codable {
    /// Loading the file.
    case load
    /// Making an instance and asking for its parameters.
    case create
    /// Filling the parameters.
    case initialize = "init_params"
    /// Asking for the memory of `rows` rows.
    case plan
    /// The edit.
    case forward
    /// Its derivative.
    case backward
  }

  /// What happened.
  public var reason: String
  /// In which function.
  public var call: Call
  /// Which plugin, by id; of one that was never loaded, the file's name.
  public var plugin: String
  /// The file that it came from.
  public var path: String
  /// The hash of its bytes.
  public var hash: String
  /// Where the instance worked.
  public var site: PluginSite
  /// The options of the instance.
  public var options: [String: OptionValue] = [:]
  var isTraining = false
  var wantsInputGradient = false
  var wantsSourceGradient = false
  var wantsParameterGradients = false
  var randomKey: UInt64 = 0
  var randomStep: UInt64 = 0
  var progress = RunProgress()
  var wantsAuxiliary = false
  var auxiliaryGradient = 0.0
  /// The number of rows.
  public var rows = 0
  var savedByteCount = 0
  var scratchByteCount = 0
  var origins: [String: [Int32]] = [:]
  var keys: [Int64]?
  var stateByteCount = 0
  var tensors: [String: NamedTensor] = [:]

  /// Whether there are rows to be edited.
  var hasRows: Bool { call == .forward || call == .backward }

  /// Begins a capsule with what is known before an instance exists.
  init(_ call: Call, plugin: String, path: String, hash: String, reason: String) {
    self.call = call
    self.plugin = plugin
    self.path = path
    self.hash = hash
    self.reason = reason
    site = PluginSite(dim: 1, layer: 0, component: "")
  }

  /// Begins a capsule with what makes an instance.
  init(
    _ call: Call,
    of description: PluginDescription,
    at site: PluginSite,
    options: [String: OptionValue],
    reason: String
  ) {
    self.init(
      call,
      plugin: description.id,
      path: description.path,
      hash: description.hash,
      reason: reason
    )
    self.site = site
    self.options = options
  }

  /// Takes over the arguments of a forward or backward call.
  mutating func keep(_ request: WorkerCall, parameters: [ParameterInfo]) {
    let call = request.call
    isTraining = call.isTraining
    wantsInputGradient = call.dx != nil
    wantsSourceGradient = call.dsource != nil
    wantsParameterGradients = call.parameterGradients != nil
    (randomKey, randomStep) = (call.randomKey, call.randomStep)
    progress = call.progress
    (wantsAuxiliary, auxiliaryGradient) = (call.auxiliary != nil, call.auxiliaryGradient)
    rows = call.rows
    (savedByteCount, scratchByteCount) = (call.savedByteCount, call.scratchByteCount)
    for (name, values) in [
      ("example", call.origins.example), ("position", call.origins.position),
      ("length", call.origins.length), ("location", call.origins.location),
      ("adapter", call.origins.adapter), ("decoded", call.origins.decoded),
      ("subspace", call.origins.subspace),
    ] {
      if let values { origins[name] = Array(UnsafeBufferPointer(start: values, count: call.rows)) }
    }
    keys = call.origins.key.map { Array(UnsafeBufferPointer(start: $0, count: call.rows)) }
    stateByteCount = call.stateByteCount
    if let states = request.states {
      origins["state"] = states.index
      keep("states", [states.floats.count], states.floats)
    }
    keep("x", [rows, site.dim], Self.rows(call.x, call.xStride, rows, site.dim))
    if let source = call.source {
      let width = site.sourceWidth
      keep("source", [rows, width], Self.rows(source, call.sourceStride, rows, width))
    }
    if let other = call.counterpart {
      keep(
        "counterpart",
        [rows, site.dim],
        Self.rows(other, call.counterpartStride, rows, site.dim)
      )
    }
    if let dy = call.dy {
      keep("dy", [rows, site.dim], Self.rows(dy, call.dyStride, rows, site.dim))
    }
    for (index, parameter) in parameters.enumerated() {
      if let values = call.parameters?[index] {
        keep("parameter.\(parameter.name)", parameter.shape, Self.floats(values, parameter.count))
      }
      if let values = call.parameterGradients?[index] {
        keep("gradient.\(parameter.name)", parameter.shape, Self.floats(values, parameter.count))
      }
    }
    if request.isBackward, let saved = call.saved, call.savedByteCount > 0 {
      // Bytes, written as the numbers that have the same bits.
      var values = [Float](repeating: 0, count: (call.savedByteCount + 3) / 4)
      values.withUnsafeMutableBytes {
        $0.copyMemory(from: UnsafeRawBufferPointer(start: saved, count: call.savedByteCount))
      }
      keep("saved", [values.count], values)
    }
  }

  private mutating func keep(_ name: String, _ shape: [Int], _ values: [Float]) {
    tensors[name] = NamedTensor(name: name, shape: shape, values: values)
  }

  private static func rows(
    _ base: UnsafePointer<Float>,
    _ stride: Int,
    _ count: Int,
    _ dim: Int
  ) -> [Float] {
    (0..<count).flatMap { UnsafeBufferPointer(start: base + $0 * stride, count: dim) }
  }

  private static func floats(_ base: UnsafeRawPointer, _ count: Int) -> [Float] {
    Array(UnsafeBufferPointer(start: base.assumingMemoryBound(to: Float.self), count: count))
  }
}
