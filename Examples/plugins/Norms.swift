// SPDX-License-Identifier: Apache-2.0
// y = h, and to who collects: the length of each row and its largest number.

import CReFTPlugin

final class Norms: Intervention {
  static let id = "org.example.norms"
  static let version = "1.0.0"
  static let summary = "y = h; tells ‖h‖ and max |h|"
  static let license = "Apache-2.0"
  static let capabilities: Capabilities = [
    .rowwise, .reentrant, .inPlace, .bitwise, .identityAtStart, .affine,
  ]
  let parameters: [Parameter] = []
  let workspace = Workspace(collectedPerRow: 2)
  let isDeterministic = true

  init(shape: Shape, options: OptionValues) throws {}

  func forward(_ call: ForwardCall) throws {
    for i in 0..<call.x.count {
      let (h, y) = (call.x[i], call.y[i])
      if let told = call.collected?[i] {
        told[0] = h.reduce(Float(0)) { $0 + $1 * $1 }.squareRoot()
        told[1] = h.reduce(Float(0)) { max($0, abs($1)) }
      }
      for j in 0..<h.count { y[j] = h[j] }
    }
  }

  func backward(_ call: BackwardCall) throws {
    for i in 0..<call.x.count {
      let dy = call.dy[i]
      if let dx = call.dx?[i] { for j in 0..<dy.count { dx[j] = dy[j] } }
    }
  }
}

private let library = PluginLibrary(Norms.self)

/// The one function that the host looks for.
@c(reft_plugin_entry_v1) @implementation
public func reftPluginEntryV1(
  _ arguments: UnsafePointer<reft_entry_args_t>?
) -> UnsafePointer<reft_library_t>? {
  library.entry(arguments)
}
