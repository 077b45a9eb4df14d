// SPDX-License-Identifier: Apache-2.0
// Making the call of a capsule again, in a worker.

import Foundation
public import ReFTTensor

extension Capsule {
  /// Makes the call once, in a worker of its own.
  ///
  /// - Parameters:
  ///   - pluginPath: the plugin's file; nil: the one that the capsule names. Another build is allowed.
  ///   - settings: how the worker is run.
  /// - Throws: what the call throws: `.misbehaved` when it ends the worker again; `.pluginRefused` when
  ///   the plugin cannot be loaded.
  public func replay(
    pluginPath: String? = nil,
    settings: IsolationSettings
  ) throws(ReFTError) {
    var settings = settings
    settings.isReplay = true
    let plugins = try IsolatedLoader.load(
      try PluginFile(path: pluginPath ?? path),
      settings: settings
    )
    if call == .load { return }
    guard let plugin = plugins.first(where: { $0.id == self.plugin }) else {
      throw .badCapsule(
        pluginPath ?? path,
        reason: "the file has no plugin '\(self.plugin)'"
      )
    }
    let instance = try plugin.makeInstance(at: site, options: options)
    switch call {
    case .load, .create: break
    case .initialize:
      let buffers = instance.parameters.map { FloatBuffer(count: $0.count) }
      try instance.initialize(buffers.map { .init($0.base) }, seed: randomKey)
    case .plan: _ = try instance.plan(maxRows: rows)
    case .forward, .backward: try edit(instance)
    }
  }

  private func edit(_ instance: any PluginInstance) throws(ReFTError) {
    _ = try instance.plan(maxRows: rows)
    let isBackward = call == .backward
    let names = instance.parameters.map(\.name)
    let x = FloatBuffer(tensors["x"]?.values ?? [])
    let dy = FloatBuffer(tensors["dy"]?.values ?? [])
    let source = tensors["source"].map { FloatBuffer($0.values) }
    let counterpart = tensors["counterpart"].map { FloatBuffer($0.values) }
    let purpose = MemoryPurpose("the call of \(path)", remedy: "replay it on a larger machine")
    let out = try FloatBuffer(reserving: rows * site.dim, for: purpose)
    let sourceGradient = try FloatBuffer(
      reserving: wantsSourceGradient ? rows * site.sourceWidth : 0,
      for: purpose
    )
    let saved = try FloatBuffer(reserving: savedByteCount / 4 + 1, for: purpose)
    for (index, value) in (tensors["saved"]?.values ?? []).prefix(saved.count).enumerated() {
      saved[index] = value
    }
    let scratch = try FloatBuffer(reserving: scratchByteCount / 4 + 1, for: purpose)
    let values = names.map { FloatBuffer(tensors["parameter.\($0)"]?.values ?? []) }
    let gradients = names.map { FloatBuffer(tensors["gradient.\($0)"]?.values ?? []) }
    for (index, info) in instance.parameters.enumerated() {
      guard values[index].count == info.count,
        !wantsParameterGradients || gradients[index].count == info.count
      else { throw .badCapsule(path, reason: "parameter '\(info.name)' has another size now") }
    }
    var call = PluginCall(rows: rows, x: x.base, xStride: site.dim)
    if let source {
      (call.source, call.sourceStride) = (UnsafePointer(source.base), site.sourceWidth)
    }
    if let counterpart {
      (call.counterpart, call.counterpartStride) = (UnsafePointer(counterpart.base), site.dim)
    }
    if isBackward {
      (call.dy, call.dyStride) = (dy.base, site.dim)
      if wantsInputGradient { (call.dx, call.dxStride) = (out.base, site.dim) }
      if wantsSourceGradient {
        (call.dsource, call.dsourceStride) = (sourceGradient.base, site.sourceWidth)
      }
    } else {
      (call.y, call.yStride) = (out.base, site.dim)
    }
    call.isTraining = isTraining
    if savedByteCount > 0 {
      (call.saved, call.savedByteCount) = (.init(saved.base), savedByteCount)
    }
    if scratchByteCount > 0 {
      (call.scratch, call.scratchByteCount) = (.init(scratch.base), scratchByteCount)
    }
    (call.randomKey, call.randomStep, call.progress) = (randomKey, randomStep, progress)
    let auxiliary = UnsafeMutablePointer<Double>.allocate(capacity: 1)
    defer { auxiliary.deallocate() }
    auxiliary.initialize(to: 0)
    call.auxiliary = wantsAuxiliary ? auxiliary : nil
    call.auxiliaryGradient = auxiliaryGradient
    let states = FloatBuffer(tensors["states"]?.values ?? [])
    let words = (stateByteCount + 3) / 4
    let places = (origins["state"] ?? []).map {
      UnsafeMutableRawPointer(states.base + Int($0) * words)
    }
    call.stateByteCount = stateByteCount
    let result = withPointers(values.map { UnsafeRawPointer($0.base) }) { parameters in
      withPointers(gradients.map { UnsafeMutableRawPointer($0.base) }) { targets in
        withPointers(places) { states in
          withOrigins { origins in
            call.origins = origins
            call.parameters = parameters
            call.parameterGradients = wantsParameterGradients ? targets : nil
            call.parameterCount = names.count
            call.states = places.isEmpty ? nil : states
            return Result { () throws(ReFTError) in
              if isBackward { try instance.backward(call) } else { try instance.forward(call) }
            }
          }
        }
      }
    }
    withExtendedLifetime((sourceGradient, counterpart)) {}
    withExtendedLifetime((x, dy, source, out, saved, scratch, values, gradients, states)) {}
    try result.get()
  }

  private func withPointers<Pointer, Value>(
    _ pointers: [Pointer],
    _ body: (UnsafePointer<Pointer?>?) -> Value
  ) -> Value {
    pointers.map(Optional.some).withUnsafeBufferPointer { body($0.baseAddress) }
  }

  private func withOrigins<Value>(_ body: (PluginRows) -> Value) -> Value {
    let buffers = origins.mapValues { values in
      let buffer = UnsafeMutableBufferPointer<Int32>.allocate(capacity: values.count)
      _ = buffer.initialize(from: values)
      return buffer
    }
    defer { for buffer in buffers.values { buffer.deallocate() } }
    var rows = PluginRows()
    rows.example = UnsafePointer(buffers["example"]?.baseAddress)
    rows.position = UnsafePointer(buffers["position"]?.baseAddress)
    rows.length = UnsafePointer(buffers["length"]?.baseAddress)
    rows.location = UnsafePointer(buffers["location"]?.baseAddress)
    rows.adapter = UnsafePointer(buffers["adapter"]?.baseAddress)
    rows.decoded = UnsafePointer(buffers["decoded"]?.baseAddress)
    rows.subspace = UnsafePointer(buffers["subspace"]?.baseAddress)
    return (keys ?? []).withUnsafeBufferPointer { list in
      rows.key = keys == nil ? nil : list.baseAddress
      return body(rows)
    }
  }
}
