// SPDX-License-Identifier: Apache-2.0
// One instance of a plugin with memory of its own, for tests of its numbers.

import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

/// Calls an instance over Swift arrays.
final class InstanceHarness {
  let instance: any PluginInstance
  let dim: Int
  var store: ParameterStore
  /// The stride of every matrix; larger than `dim` to show that it is honoured.
  let stride: Int
  /// Whether calls have rows of another prompt.
  var takesCounterpart = false
  /// The subspaces that rows name in turn; none: rows name none.
  var subspaces: [Int32] = []

  init(_ instance: any PluginInstance, dim: Int, seed: UInt64 = 1, gap: Int = 3) {
    self.instance = instance
    self.dim = dim
    stride = dim + gap
    store = ParameterStore(instance.parameters)
    var generator = SeededGenerator(seed: seed)
    for index in store.values.values.indices { store.values[index] = generator.normal() * 0.3 }
  }

  init(
    _ name: String,
    dim: Int,
    options: [String: OptionValue] = [:],
    seed: UInt64 = 1
  ) throws {
    let plugin = try BuiltPlugins.catalog().find(name)
    instance = try plugin.makeInstance(
      at: PluginSite(dim: dim, layer: 3, component: "block_output"),
      options: options
    )
    self.dim = dim
    stride = dim + 3
    store = ParameterStore(instance.parameters)
    var generator = SeededGenerator(seed: seed)
    for index in store.values.values.indices { store.values[index] = generator.normal() * 0.3 }
  }

  struct Outcome {
    var y: [Float]
    var saved: [UInt8]
  }

  func forward(
    _ x: [Float],
    positions: [Int32]? = nil,
    isTraining: Bool = true,
    step: UInt64 = 0
  ) throws -> Outcome {
    let rows = x.count / dim
    let workspace = try instance.plan(maxRows: rows)
    let saved = Memory(workspace.savedByteCount(rows: rows))
    let scratch = Memory(workspace.scratchByteCount(rows: rows))
    let input = strided(x)
    let output = FloatBuffer([Float](repeating: .nan, count: rows * stride + 16))
    var call = PluginCall(rows: rows, x: input.base, xStride: stride)
    call.y = output.base
    call.yStride = stride
    let other = counterpart(x)
    (call.counterpart, call.counterpartStride) = (other.map { UnsafePointer($0.base) }, stride)
    call.ownsBehindOutput = true
    call.isTraining = isTraining
    call.saved = saved.base
    call.savedByteCount = saved.count
    call.scratch = scratch.base
    call.scratchByteCount = scratch.count
    call.randomKey = 7
    call.randomStep = step
    try withParameters { pointers in
      call.parameters = pointers
      call.parameterCount = store.infos.count
      try withOrigins(rows, positions) { origins in
        call.origins = origins
        try instance.forward(call)
      }
    }
    withExtendedLifetime((scratch, other)) {
      expectIdentical(packed(input, rows), x, "the input was changed")
    }
    return Outcome(y: packed(output, rows), saved: Array(saved.bytes))
  }

  func backward(
    _ x: [Float],
    _ dy: [Float],
    saved: [UInt8],
    gradients: FloatBuffer,
    step: UInt64 = 0
  ) throws -> [Float] {
    let rows = x.count / dim
    let workspace = try instance.plan(maxRows: rows)
    let scratch = Memory(workspace.scratchByteCount(rows: rows))
    let kept = Memory(saved.count)
    kept.bytes.copyBytes(from: saved)
    let input = strided(x)
    let seed = strided(dy)
    let output = FloatBuffer([Float](repeating: .nan, count: rows * stride + 16))
    var call = PluginCall(rows: rows, x: input.base, xStride: stride)
    (call.dy, call.dyStride, call.dx, call.dxStride) = (seed.base, stride, output.base, stride)
    call.ownsBehindOutput = true
    call.isTraining = true
    let other = counterpart(x)
    (call.counterpart, call.counterpartStride) = (other.map { UnsafePointer($0.base) }, stride)
    (call.saved, call.savedByteCount) = (kept.base, kept.count)
    (call.scratch, call.scratchByteCount) = (scratch.base, scratch.count)
    (call.randomKey, call.randomStep) = (7, step)
    // The gaps behind gradients are zero, whatever a test puts into all of them.
    for (index, info) in store.infos.enumerated() {
      for place in info.count..<ParameterStore.span(info.count) {
        gradients[store.offsets[index] + place] = 0
      }
    }
    let sinks = store.infos.indices.map {
      UnsafeMutableRawPointer(store.slice(of: gradients, $0).baseAddress)
    }
    try withParameters { pointers in
      (call.parameters, call.parameterCount) = (pointers, store.infos.count)
      try sinks.withUnsafeBufferPointer {
        call.parameterGradients = $0.baseAddress
        try withOrigins(rows) { origins in
          call.origins = origins
          try instance.backward(call)
        }
      }
    }
    withExtendedLifetime(other) {}
    return withExtendedLifetime((input, seed, kept, scratch)) { packed(output, rows) }
  }

  private func withOrigins(
    _ rows: Int,
    _ positions: [Int32]? = nil,
    _ body: (PluginRows) throws -> Void
  ) rethrows {
    let positions = positions ?? (0..<Int32(rows)).map { $0 }
    let named = subspaces.isEmpty ? [] : (0..<rows).map { subspaces[$0 % subspaces.count] }
    try positions.withUnsafeBufferPointer { positions in
      try named.withUnsafeBufferPointer { named in
        var origins = PluginRows()
        origins.position = positions.baseAddress
        origins.subspace = named.isEmpty ? nil : named.baseAddress
        try body(origins)
      }
    }
  }

  private func withParameters(_ body: (UnsafePointer<UnsafeRawPointer?>?) throws -> Void) rethrows {
    let pointers = store.infos.indices.map { UnsafeRawPointer(store.tensor($0).baseAddress) }
    try pointers.withUnsafeBufferPointer { try body($0.baseAddress) }
  }

  private func counterpart(_ x: [Float]) -> FloatBuffer? {
    takesCounterpart ? strided(x.reversed().map { 0.7 * $0 }) : nil
  }

  private func strided(_ x: [Float]) -> FloatBuffer {
    let buffer = FloatBuffer(count: x.count / dim * stride)
    for index in x.indices { buffer[index / dim * stride + index % dim] = x[index] }
    return buffer
  }

  private func packed(_ buffer: FloatBuffer, _ rows: Int) -> [Float] {
    (0..<rows * dim).map { buffer[$0 / dim * stride + $0 % dim] }
  }

  /// Bytes that start as garbage, as the ABI says of scratch memory.
  final class Memory {
    let base: UnsafeMutableRawPointer
    let count: Int
    init(_ count: Int) {
      self.count = count
      base = .allocate(byteCount: max(64, count), alignment: 64)
      base.initializeMemory(as: UInt8.self, repeating: 0xFF, count: max(64, count))
    }
    deinit { base.deallocate() }
    var bytes: UnsafeMutableRawBufferPointer {
      UnsafeMutableRawBufferPointer(start: base, count: count)
    }
  }
}
