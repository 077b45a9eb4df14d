// SPDX-License-Identifier: Apache-2.0
// What one call of a plugin costs, wherever it runs: in process, behind libffi, or in a worker.

import Foundation
public import ReFTHost
public import ReFTTensor

/// Times of calls of one instance.
public struct PluginTiming: Codable, Sendable {
  /// Rows in a call.
  public var rows: Int
  /// Numbers in a row.
  public var width: Int
  /// Calls of each kind.
  public var calls: Int
  /// Median of a training forward, in microseconds.
  public var forwardMicroseconds: Double
  /// Median of a backward with all gradients; nil for plugins without.
  public var backwardMicroseconds: Double?
}

/// Measures calls of plugins.
public enum PluginTimer {
  /// Calls a plugin many times over random rows.
  ///
  /// - Parameters:
  ///   - plugin: found in process or isolated.
  ///   - rows: at least 1.
  ///   - width: numbers in a row.
  ///   - options: those of the instance.
  ///   - calls: how often, after a tenth of it to warm up.
  ///   - pauseMicroseconds: rest before each call, as other work of a training step is.
  /// - Returns: medians.
  /// - Throws: what the plugin throws.
  public static func measure(
    _ plugin: Plugin,
    rows: Int,
    width: Int,
    options: [String: OptionValue] = [:],
    calls: Int = 1000,
    pauseMicroseconds: UInt32 = 0
  ) throws(ReFTError) -> PluginTiming {
    let instance = try plugin.makeInstance(
      at: PluginSite(dim: width, layer: 0, component: "block_output"),
      options: options
    )
    let buffers = try Buffers(
      instance,
      needsSource: plugin.capabilities.contains(.needsSource),
      try instance.plan(maxRows: rows),
      rows: rows,
      width: width
    )
    let canTrain = !plugin.capabilities.contains(.noBackward)
    var times: (forward: [Double], backward: [Double]) = ([], [])
    for index in 0..<(calls + calls / 10) {
      if pauseMicroseconds > 0 { usleep(pauseMicroseconds) }
      let forward = try buffers.time(isBackward: false)
      if pauseMicroseconds > 0 { usleep(pauseMicroseconds) }
      let backward = canTrain ? try buffers.time(isBackward: true) : nil
      guard index >= calls / 10 else { continue }
      times.forward.append(forward)
      if let backward { times.backward.append(backward) }
    }
    return PluginTiming(
      rows: rows,
      width: width,
      calls: calls,
      forwardMicroseconds: median(times.forward),
      backwardMicroseconds: canTrain ? median(times.backward) : nil
    )
  }

  private static func median(_ values: [Double]) -> Double {
    values.isEmpty ? 0 : values.sorted()[values.count / 2]
  }

  private final class Buffers {
    let instance: any PluginInstance
    let needsSource: Bool
    let rows: Int
    let width: Int
    let matrices: [FloatBuffer]
    let saved: FloatBuffer
    let scratch: FloatBuffer
    let byteCounts: (saved: Int, scratch: Int)
    let parameters: [FloatBuffer]
    let gradients: [FloatBuffer]

    init(
      _ instance: any PluginInstance,
      needsSource: Bool,
      _ need: PluginWorkspace,
      rows: Int,
      width: Int
    ) throws(ReFTError) {
      let purpose = MemoryPurpose(
        "calls over \(rows) rows of \(width) numbers",
        remedy: "lower --rows or --width"
      )
      self.instance = instance
      self.needsSource = needsSource
      self.rows = rows
      self.width = width
      byteCounts = (need.savedByteCount(rows: rows), need.scratchByteCount(rows: rows))
      saved = try FloatBuffer(reserving: byteCounts.saved / 4 + 1, for: purpose)
      scratch = try FloatBuffer(reserving: byteCounts.scratch / 4 + 1, for: purpose)
      var matrices: [FloatBuffer] = []
      for _ in 0..<5 {
        matrices.append(try FloatBuffer(reserving: rows * width, for: purpose))
      }
      self.matrices = matrices
      parameters = instance.parameters.map { FloatBuffer(count: $0.count) }
      gradients = instance.parameters.map { FloatBuffer(count: $0.count) }
      for (step, buffer) in (matrices + parameters).enumerated() {
        CounterRandom(key: 1, step: UInt64(step)).fillNormal(buffer.values, offset: 0)
        for index in buffer.values.indices { buffer[index] *= 0.1 }
      }
    }

    /// Microseconds of one call.
    func time(isBackward: Bool) throws(ReFTError) -> Double {
      var call = PluginCall(rows: rows, x: matrices[0].base, xStride: width)
      if isBackward {
        (call.dy, call.dyStride) = (matrices[2].base, width)
        (call.dx, call.dxStride) = (matrices[3].base, width)
      } else {
        (call.y, call.yStride) = (matrices[1].base, width)
      }
      if needsSource { (call.source, call.sourceStride) = (.init(matrices[4].base), width) }
      (call.counterpart, call.counterpartStride) = (.init(matrices[4].base), width)
      call.isTraining = true
      (call.saved, call.savedByteCount) = (.init(saved.base), byteCounts.saved)
      (call.scratch, call.scratchByteCount) = (.init(scratch.base), byteCounts.scratch)
      call.parameterCount = parameters.count
      let values: [UnsafeRawPointer?] = parameters.map { .init($0.base) }
      let sinks: [UnsafeMutableRawPointer?] = gradients.map { .init($0.base) }
      let outcome = values.withUnsafeBufferPointer { values in
        sinks.withUnsafeBufferPointer { sinks in
          call.parameters = values.baseAddress
          call.parameterGradients = isBackward ? sinks.baseAddress : nil
          return Result { () throws(ReFTError) in
            let start = DispatchTime.now().uptimeNanoseconds
            if isBackward { try instance.backward(call) } else { try instance.forward(call) }
            return Double(DispatchTime.now().uptimeNanoseconds - start) / 1000
          }
        }
      }
      return try outcome.get()
    }
  }
}
