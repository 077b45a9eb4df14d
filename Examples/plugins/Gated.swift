// SPDX-License-Identifier: Apache-2.0
// y = h + v from the prompt's last token on, where w . h > 0 at that token: a state of each sequence.

import CReFTPlugin

final class Gated: Intervention {
  static let id = "org.example.gated"
  static let version = "1.0.0"
  static let summary = "y = h + v where w . h_last > 0"
  static let license = "Apache-2.0"
  static let capabilities: Capabilities = [.reentrant, .bitwise, .identityAtStart]
  let parameters: [Parameter]
  let workspace = Workspace(savedPerRow: 1, statePerSequence: 1)

  init(shape: Shape, options: OptionValues) throws {
    parameters = [
      Parameter(
        "condition",
        [shape.width],
        start: .normal(mean: 0, deviation: 1),
        isTrainable: false
      ),
      Parameter("vector", [shape.width]),
    ]
  }

  func forward(_ call: ForwardCall) throws {
    let (w, v) = (call.parameter(0), call.parameter(1))
    for i in 0..<call.x.count {
      let (h, y) = (call.x[i], call.y[i])
      var gate: Float = 0
      if let behind = behindPrompt(i, call.context), let state = call.context.state(of: i) {
        if behind == 0 {
          state[0] = h.indices.reduce(Float(0)) { $0 + w[$1] * h[$1] } > 0 ? 1 : 0
        }
        gate = state[0]
      }
      if call.context.isTraining { call.context.saved?[i] = gate }
      for j in 0..<h.count { y[j] = h[j] + gate * v[j] }
    }
  }

  /// 0 at the prompt's last token, more behind it; nil before it.
  private func behindPrompt(_ row: Int, _ context: CallContext) -> Int32? {
    guard let rows = context.rows, let positions = rows.pointee.position,
      let lengths = rows.pointee.length
    else { return nil }
    let behind = positions[row] - (lengths[row] - 1)
    return behind < 0 ? nil : behind
  }

  func backward(_ call: BackwardCall) throws {
    for i in 0..<call.x.count {
      let dy = call.dy[i]
      let gate = call.context.saved?[i] ?? 0
      if let gradient = call.gradient(1) { for j in 0..<dy.count { gradient[j] += gate * dy[j] } }
      if let dx = call.dx?[i] { for j in 0..<dy.count { dx[j] = dy[j] } }
    }
  }
}

private let library = PluginLibrary(Gated.self)

/// The one function that the host looks for.
@c(reft_plugin_entry_v1) @implementation
public func reftPluginEntryV1(
  _ arguments: UnsafePointer<reft_entry_args_t>?
) -> UnsafePointer<reft_library_t>? {
  library.entry(arguments)
}
