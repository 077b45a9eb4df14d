// SPDX-License-Identifier: Apache-2.0
// y = h + b[location]: one bias for each location that the position rule lists.

import CReFTPlugin

final class Positions: Intervention {
  static let id = "org.example.positions"
  static let version = "1.0.0"
  static let summary = "y = h + b[location]"
  static let license = "Apache-2.0"
  static let capabilities: Capabilities = [
    .rowwise, .reentrant, .inPlace, .bitwise, .identityAtStart, .affine,
  ]
  let parameters: [Parameter]

  init(shape: Shape, options: OptionValues) throws {
    guard shape.locations > 0 else {
      throw PluginError.invalid("positions needs a rule with a list, such as f2+l3 or [0,-1]")
    }
    parameters = [Parameter("bias", [shape.locations, shape.width])]
  }

  func forward(_ call: ForwardCall) throws {
    let bias = call.parameter(0)
    for i in 0..<call.x.count {
      let (h, y) = (call.x[i], call.y[i])
      let place = call.context.location(of: i)
      for j in 0..<h.count { y[j] = h[j] + (place.map { bias[$0 * h.count + j] } ?? 0) }
    }
  }

  func backward(_ call: BackwardCall) throws {
    for i in 0..<call.x.count {
      let dy = call.dy[i]
      if let gradient = call.gradient(0), let place = call.context.location(of: i) {
        for j in 0..<dy.count { gradient[place * dy.count + j] += dy[j] }
      }
      if let dx = call.dx?[i] { for j in 0..<dy.count { dx[j] = dy[j] } }
    }
  }
}

private let library = PluginLibrary(Positions.self)

/// The one function that the host looks for.
@c(reft_plugin_entry_v1) @implementation
public func reftPluginEntryV1(
  _ arguments: UnsafePointer<reft_entry_args_t>?
) -> UnsafePointer<reft_library_t>? {
  library.entry(arguments)
}
