// SPDX-License-Identifier: Apache-2.0
// Additive steering: y = h + α v. The vector is trained, or given by whoever made the adapter. Its
// sibling that keeps the length of a row is in NormSteering.swift.

public import CReFTPlugin
import ReFTPluginKit

private let library = PluginLibrary(AdditiveSteering.self, NormSteering.self)

/// The plugin's entry.
@c(reft_plugin_entry_v1) @implementation
public func reftPluginEntryV1(
  _ arguments: UnsafePointer<reft_entry_args_t>?
) -> UnsafePointer<reft_library_t>? {
  library.entry(arguments)
}

/// One vector, added to every edited row.
final class AdditiveSteering: Intervention {
  static let id = "org.reft.additive-steering"
  static let version = "1.0.0"
  static let summary = "additive steering: h + alpha v"
  static let license = "Apache-2.0"
  static let capabilities: Capabilities = [
    .rowwise, .reentrant, .inPlace, .bitwise, .identityAtStart, .affine,
  ]

  static let alpha = Option("alpha", default: 1.0, help: "how strongly the vector is added")
  static let trainable = Option(
    "trainable",
    default: true,
    help: "whether training changes the vector, or leaves it as given"
  )
  static let options: [any OptionDeclaration] = [alpha, trainable]

  private let width: Int
  private let alpha: Float
  private let isTrainable: Bool

  init(shape: Shape, options: OptionValues) throws {
    width = shape.width
    alpha = try Self.strength(options)
    isTrainable = options[Self.trainable]
  }

  /// The option `alpha` as the float32 that rows are computed in.
  static func strength(_ options: OptionValues) throws -> Float {
    let alpha = Float(options[alpha])
    guard alpha.isFinite else {
      throw PluginError.invalid("alpha is \(options[Self.alpha]), which no float32 can hold")
    }
    return alpha
  }

  var parameters: [Parameter] {
    [Parameter("vector", [width], isTrainable: isTrainable, decays: false)]
  }

  let isDeterministic = true

  func deviceForm(isTraining: Bool) -> DeviceForm? { DeviceForm.additive.with(floats: [alpha]) }

  func forward(_ call: ForwardCall) throws {
    let vector = call.parameter(0)
    for row in 0..<call.x.count {
      let (h, y) = (call.x[row], call.y[row])
      for j in 0..<width { y[j] = h[j] + alpha * vector[j] }
    }
  }

  func backward(_ call: BackwardCall) throws {
    for row in 0..<call.x.count {
      let dy = call.dy[row]
      if let gradient = call.gradient(0) {
        for j in 0..<width { gradient[j] += alpha * dy[j] }
      }
      if let dx = call.dx?[row] {
        for j in 0..<width { dx[j] = dy[j] }
      }
    }
  }
}
