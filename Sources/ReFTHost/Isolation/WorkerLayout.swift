// SPDX-License-Identifier: Apache-2.0
// Where the numbers of a call lie in the shared memory, and their copying there and back.

import CReFTPlatform
import Foundation
import ReFTTensor

/// The places of one call's data.
struct WorkerLayout {
  private(set) var end = WorkerMemory.dataOffset

  static func rounded(_ byteCount: Int) -> Int { (byteCount + 63) & ~63 }

  /// Bytes from one parameter, or one gradient, to the next: what is behind it shows who writes too far;
  /// none for inputs, whose count is 0.
  static func tensor(_ count: Int) -> Int { count == 0 ? 0 : 4 * ParameterStore.span(count) }

  mutating func place(_ byteCount: Int) -> UInt64 {
    defer { end += Self.rounded(byteCount) }
    return UInt64(end)
  }

  /// A place for rows that the plugin writes, with room for marks behind them.
  mutating func place(output byteCount: Int) -> UInt64 { place(byteCount + 4 * OutputGuard.count) }
}

/// One call on its way to the worker and back; the caller's memory is written after success alone,
/// so that the same call can be made again.
struct WorkerCall {
  let call: PluginCall
  let isBackward: Bool
  let dim: Int
  let sourceDim: Int
  let counts: [Int]
  private let layout: WorkerLayout
  private let x, source, counterpart, y, dy, dx, dsource, parameters, gradients, saved: UInt64
  private let origins: [UInt64]
  private let key: UInt64
  /// The states of the rows' sequences, each once, and which of them each row has.
  let states: WorkerStates?
  private let statePlace, stateIndex, collected: UInt64

  /// Bytes of shared memory that it needs.
  var byteCount: Int { layout.end }

  init(_ call: PluginCall, isBackward: Bool, site: PluginSite, counts: [Int]) {
    self.call = call
    self.isBackward = isBackward
    dim = site.dim
    sourceDim = site.sourceWidth
    self.counts = counts
    var layout = WorkerLayout()
    let rowBytes = call.rows * dim * 4
    let parameterBytes = counts.reduce(0) { $0 + WorkerLayout.tensor($1) }
    x = layout.place(output: rowBytes)
    source = call.source == nil ? 0 : layout.place(call.rows * sourceDim * 4)
    counterpart = call.counterpart == nil ? 0 : layout.place(rowBytes)
    parameters = counts.isEmpty ? 0 : layout.place(parameterBytes)
    saved = call.saved == nil ? 0 : layout.place(max(1, call.savedByteCount))
    if isBackward {
      dy = layout.place(output: rowBytes)
      // What is one memory for the caller is one memory for the plugin.
      dx = call.dx == nil ? 0 : call.dx == call.dy ? dy : layout.place(output: rowBytes)
      dsource = call.dsource == nil ? 0 : layout.place(output: call.rows * sourceDim * 4)
      gradients =
        call.parameterGradients == nil || counts.isEmpty ? 0 : layout.place(parameterBytes)
      y = 0
    } else {
      y = call.y == call.x ? x : layout.place(output: rowBytes)
      (dy, dx, dsource, gradients) = (0, 0, 0, 0)
    }
    origins = Self.origins(call).map { $0 == nil ? 0 : layout.place(4 * call.rows) }
    key = call.origins.key == nil ? 0 : layout.place(8 * call.rows)
    collected =
      call.collected == nil ? 0 : layout.place(max(1, 4 * call.rows * call.collectedWidth))
    states = WorkerStates(call)
    statePlace = states.map { layout.place($0.byteCount) } ?? 0
    stateIndex = states == nil ? 0 : layout.place(4 * call.rows)
    self.layout = layout
  }

  private static func origins(_ call: PluginCall) -> [UnsafePointer<Int32>?] {
    [
      call.origins.example, call.origins.position, call.origins.length, call.origins.location,
      call.origins.adapter, call.origins.decoded, call.origins.subspace,
    ]
  }

  /// Copies everything that the plugin reads.
  func write(to memory: WorkerMemory) {
    let channel = memory.channel
    channel.pointee.rows = Int64(call.rows)
    channel.pointee.is_training = call.isTraining ? 1 : 0
    (channel.pointee.x, channel.pointee.y) = (x, y)
    channel.pointee.source = source
    channel.pointee.counterpart = counterpart
    (channel.pointee.dy, channel.pointee.dx) = (dy, dx)
    channel.pointee.dsource = dsource
    (channel.pointee.parameters, channel.pointee.gradients) = (parameters, gradients)
    channel.pointee.saved = saved
    channel.pointee.saved_bytes = UInt64(call.savedByteCount)
    channel.pointee.scratch_bytes = UInt64(call.scratchByteCount)
    channel.pointee.example = origins[0]
    channel.pointee.position = origins[1]
    channel.pointee.length = origins[2]
    channel.pointee.location = origins[3]
    channel.pointee.adapter = origins[4]
    channel.pointee.decoded = origins[5]
    channel.pointee.subspace = origins[6]
    channel.pointee.key = key
    channel.pointee.random_key = call.randomKey
    channel.pointee.random_step = call.randomStep
    channel.pointee.step = Int64(call.progress.step)
    channel.pointee.total_steps = Int64(call.progress.totalSteps)
    channel.pointee.wants_auxiliary = call.auxiliary == nil ? 0 : 1
    channel.pointee.auxiliary = call.auxiliary?.pointee ?? 0
    channel.pointee.auxiliary_gradient = call.auxiliaryGradient
    copyRows(call.x, call.xStride, to: memory.base + Int(x))
    if let source = call.source {
      copyRows(source, call.sourceStride, to: memory.base + Int(self.source), width: sourceDim)
    }
    if let rows = call.counterpart {
      copyRows(rows, call.counterpartStride, to: memory.base + Int(counterpart))
    }
    if let dy = call.dy { copyRows(dy, call.dyStride, to: memory.base + Int(self.dy)) }
    if isBackward, let saved = call.saved {
      memcpy(memory.base + Int(self.saved), saved, call.savedByteCount)
    }
    channel.pointee.collected = collected
    channel.pointee.collected_width = UInt64(call.collectedWidth)
    // What the plugin leaves out is the caller's, as in process.
    if let told = call.collected {
      memcpy(memory.base + Int(collected), told, 4 * call.rows * call.collectedWidth)
    }
    channel.pointee.states = statePlace
    channel.pointee.state_index = stateIndex
    channel.pointee.state_bytes = UInt64(call.stateByteCount)
    states?.write(to: memory.base + Int(statePlace))
    if let states { memcpy(memory.base + Int(stateIndex), states.index, 4 * call.rows) }
    copyTensors(at: parameters, in: memory) { call.parameters?[$0] }
    copyTensors(at: gradients, in: memory) { call.parameterGradients?[$0].map { .init($0) } }
    for (offset, list) in zip(origins, Self.origins(call)) {
      if let list { memcpy(memory.base + Int(offset), list, 4 * call.rows) }
    }
    if let list = call.origins.key { memcpy(memory.base + Int(key), list, 8 * call.rows) }
  }

  /// Copies everything that the plugin wrote.
  func read(from memory: WorkerMemory) {
    if isBackward {
      if let dx = call.dx { copyRows(from: memory.base + Int(self.dx), to: dx, call.dxStride) }
      if let target = call.dsource {
        let place = memory.base + Int(dsource)
        copyRows(from: place, to: target, call.dsourceStride, width: sourceDim)
      }
      guard gradients != 0 else { return }
      var offset = Int(gradients)
      for (index, count) in counts.enumerated() {
        if let target = call.parameterGradients?[index] {
          memcpy(target, memory.base + offset, 4 * count)
        }
        offset += WorkerLayout.tensor(count)
      }
    } else {
      if let y = call.y { copyRows(from: memory.base + Int(self.y), to: y, call.yStride) }
      states?.read(from: memory.base + Int(statePlace))
      if let told = call.collected {
        memcpy(told, memory.base + Int(collected), 4 * call.rows * call.collectedWidth)
      }
      if let saved = call.saved {
        memcpy(saved, memory.base + Int(self.saved), call.savedByteCount)
      }
      call.auxiliary?.pointee = memory.channel.pointee.auxiliary
    }
  }

  /// Whether the rows that were read back are numbers.
  var wroteFiniteRows: Bool {
    isFinite(isBackward ? call.dx : call.y, isBackward ? call.dxStride : call.yStride, dim)
      && isFinite(call.dsource, call.dsourceStride, sourceDim)
  }

  private func isFinite(_ rows: UnsafeMutablePointer<Float>?, _ stride: Int, _ width: Int) -> Bool {
    guard let rows else { return true }
    if stride == width { return reft_system_all_finite(rows, Int64(call.rows * width)) == 1 }
    return (0..<call.rows).allSatisfy {
      reft_system_all_finite(rows + $0 * stride, Int64(width)) == 1
    }
  }

  private func copyTensors(
    at start: UInt64,
    in memory: WorkerMemory,
    _ source: (Int) -> UnsafeRawPointer?
  ) {
    guard start != 0 else { return }
    var offset = Int(start)
    for (index, count) in counts.enumerated() {
      if let source = source(index) {
        memcpy(memory.base + offset, source, 4 * count)
      } else {
        memset(memory.base + offset, 0, 4 * count)
      }
      let next = offset + WorkerLayout.tensor(count)
      memset(memory.base + offset + 4 * count, 0, next - offset - 4 * count)
      offset = next
    }
  }

  private func copyRows(
    _ rows: UnsafePointer<Float>,
    _ stride: Int,
    to target: UnsafeMutableRawPointer,
    width: Int? = nil
  ) {
    let width = width ?? dim
    if stride == width {
      memcpy(target, rows, 4 * call.rows * width)
    } else {
      for row in 0..<call.rows { memcpy(target + 4 * row * width, rows + row * stride, 4 * width) }
    }
  }

  private func copyRows(
    from source: UnsafeMutableRawPointer,
    to rows: UnsafeMutablePointer<Float>,
    _ stride: Int,
    width: Int? = nil
  ) {
    let width = width ?? dim
    if stride == width {
      memcpy(rows, source, 4 * call.rows * width)
    } else {
      for row in 0..<call.rows { memcpy(rows + row * stride, source + 4 * row * width, 4 * width) }
    }
  }
}
