// SPDX-License-Identifier: Apache-2.0
// y = h + s d_i: a feature of a dictionary that lies in a file, its strength trained.

import CReFTPlugin

final class Feature: Intervention {
  static let id = "org.example.feature"
  static let version = "1.0.0"
  static let summary = "y = h + s d_i"
  static let license = "Apache-2.0"
  static let capabilities: Capabilities = [
    .rowwise, .reentrant, .inPlace, .bitwise, .identityAtStart, .affine,
  ]
  static let dictionary = Option<InputTensor?>("dictionary", help: "d: [features, width]")
  static let feature = Option("feature", default: 0, in: 0...1_000_000, help: "which one")
  static let options: [any OptionDeclaration] = [dictionary, feature]

  let parameters: [Parameter]
  let isDeterministic = true
  private let offset: Int

  init(shape: Shape, options: OptionValues) throws {
    let feature = options[Self.feature]
    guard let dictionary = options[Self.dictionary], dictionary.dimensions.count == 2,
      dictionary.dimensions[1] == shape.width, feature < dictionary.dimensions[0]
    else {
      throw PluginError.invalid("dictionary must be given as FILE#TENSOR, with the feature in it")
    }
    offset = feature * shape.width
    // Frozen: the host owns the numbers, and no checkpoint has them.
    parameters = [
      Parameter("dictionary", dictionary.dimensions, start: .input(dictionary)),
      Parameter("strength", [1]),
    ]
  }

  func forward(_ call: ForwardCall) throws {
    let (direction, strength) = (call.parameter(0) + offset, call.parameter(1)[0])
    for i in 0..<call.x.count {
      let (h, y) = (call.x[i], call.y[i])
      for j in 0..<h.count { y[j] = h[j] + strength * direction[j] }
    }
  }

  func backward(_ call: BackwardCall) throws {
    let direction = call.parameter(0) + offset
    for i in 0..<call.x.count {
      let dy = call.dy[i]
      if let gradient = call.gradient(1) {
        gradient[0] += dy.indices.reduce(Float(0)) { $0 + direction[$1] * dy[$1] }
      }
      if let dx = call.dx?[i] { for j in 0..<dy.count { dx[j] = dy[j] } }
    }
  }
}

private let library = PluginLibrary(Feature.self)

/// The one function that the host looks for.
@c(reft_plugin_entry_v1) @implementation
public func reftPluginEntryV1(
  _ arguments: UnsafePointer<reft_entry_args_t>?
) -> UnsafePointer<reft_library_t>? {
  library.entry(arguments)
}
