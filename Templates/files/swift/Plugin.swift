// @NAME@: y_j = x_j (1 + s_j) + b_j, a scale and a shift for each channel. The identity at first.

import CReFTPlugin

final class @MODULE@: Intervention {
  static let id = "org.example.@NAME@"
  static let version = "0.1.0"
  static let summary = "y = x (1 + s) + b"
  static let license = "Apache-2.0"
  static let capabilities: Capabilities = [
    .rowwise, .reentrant, .inPlace, .bitwise, .identityAtStart, .affine,
  ]

  let parameters: [Parameter]
  let isDeterministic = true  // no random numbers in training

  init(shape: Shape, options: OptionValues) throws {
    parameters = [
      Parameter("scale", [shape.width], start: .zeros, decays: false),
      Parameter("shift", [shape.width], start: .zeros, decays: false),
    ]
  }

  func forward(_ call: ForwardCall) throws {
    let scale = call.parameter(0)
    let shift = call.parameter(1)
    for i in 0..<call.x.count {
      let x = call.x[i]
      let y = call.y[i]
      for j in 0..<x.count { y[j] = x[j] * (1 + scale[j]) + shift[j] }
    }
  }

  func backward(_ call: BackwardCall) throws {
    let scale = call.parameter(0)
    for i in 0..<call.x.count {
      let x = call.x[i]
      let dy = call.dy[i]
      if let dScale = call.gradient(0), let dShift = call.gradient(1) {
        for j in 0..<x.count {  // gradients are added to,
          dScale[j] += dy[j] * x[j]
          dShift[j] += dy[j]
        }
      }
      if let dx = call.dx?[i] {
        for j in 0..<x.count { dx[j] = dy[j] * (1 + scale[j]) }  // dx is overwritten
      }
    }
  }
}

private let library = PluginLibrary(@MODULE@.self)

@c(reft_plugin_entry_v1) @implementation
public func reftPluginEntryV1(
  _ arguments: UnsafePointer<reft_entry_args_t>?
) -> UnsafePointer<reft_library_t>? {
  library.entry(arguments)
}
