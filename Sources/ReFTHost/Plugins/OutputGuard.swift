// SPDX-License-Identifier: Apache-2.0
// A few numbers behind the rows that a plugin in this process writes: a loop that runs too far changes
// them, and would otherwise change memory of others in silence.

import ReFTModel
import ReFTTensor

/// Marked memory behind the last row of an output.
struct OutputGuard {
  /// How many floats behind the last row belong to nobody, where a call says that there are any.
  static let count = GatheredRows.roomBehind
  /// A NaN that no arithmetic makes.
  private static let mark: UInt32 = 0x7FC0_B0A7

  private let start: UnsafeMutableRawPointer?

  /// Marks the memory behind an output; does nothing where the call does not own any.
  init(
    behind rows: UnsafeMutablePointer<Float>?,
    stride: Int,
    dim: Int,
    of call: PluginCall
  ) {
    guard call.ownsBehindOutput, let rows else {
      start = nil
      return
    }
    let behind = UnsafeMutableRawPointer(rows + (call.rows - 1) * stride + dim)
    for index in 0..<Self.count {
      behind.storeBytes(of: Self.mark, toByteOffset: 4 * index, as: UInt32.self)
    }
    start = behind
  }

  /// How many floats behind the last row were written, up to the last of them.
  var overrun: Int? {
    guard let start else { return nil }
    let last = (0..<Self.count).last { index in
      start.load(fromByteOffset: 4 * index, as: UInt32.self) != Self.mark
    }
    return last.map { $0 + 1 }
  }
}

extension PluginCall {
  /// Runs a forward or backward call between marks behind its output.
  ///
  /// - Throws: what the body throws, or `.misbehaved` where the plugin wrote behind its last row or behind
  ///   a parameter's gradient.
  func guarded(
    _ name: String,
    plugin: String,
    site: PluginSite,
    parameters: [ParameterInfo],
    _ body: (PluginCall) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    let isForward = dy == nil
    let ofSource = OutputGuard(
      behind: dsource,
      stride: dsourceStride,
      dim: site.sourceWidth,
      of: self
    )
    let output = OutputGuard(
      behind: isForward ? y : dx,
      stride: isForward ? yStride : dxStride,
      dim: site.dim,
      of: self
    )
    try body(self)
    if let count = ofSource.overrun {
      throw .pluginMisbehaved(
        plugin,
        "\(name) wrote at least \(count) numbers past the last row of dsource"
      )
    }
    if let count = output.overrun {
      throw .pluginMisbehaved(
        plugin,
        "\(name) wrote at least \(count) numbers past the last row of \(isForward ? "y" : "dx")"
      )
    }
    if !isForward, ownsBehindOutput { try checkGaps(name, plugin: plugin, parameters: parameters) }
  }

  /// The gaps behind gradients are zero, or a plugin wrote past the end of one.
  private func checkGaps(
    _ name: String,
    plugin: String,
    parameters: [ParameterInfo]
  ) throws(ReFTError) {
    guard let parameterGradients else { return }
    for (index, info) in parameters.enumerated() {
      guard let memory = parameterGradients[index] else { continue }
      let gradient = memory.assumingMemoryBound(to: Float.self)
      for place in info.count..<ParameterStore.span(info.count)
      where gradient[place].bitPattern != 0 {
        gradient[place] = 0
        throw .pluginMisbehaved(
          plugin,
          "\(name) wrote past the \(info.count) numbers of the gradient of '\(info.name)'"
        )
      }
    }
  }
}
