// SPDX-License-Identifier: Apache-2.0
// Steering that keeps the length of a row: y = u ‖h‖ / ‖u‖ with u = h + α v.

import CReFTPlugin
import ReFTPluginKit

/// One vector, added to every edited row, which then gets its old length back.
final class NormSteering: Intervention {
  static let id = "org.reft.norm-steering"
  static let version = "1.0.0"
  static let summary = "norm-keeping steering: (h + alpha v) |h| / |h + alpha v|"
  static let license = "Apache-2.0"
  static let capabilities: Capabilities = [
    .rowwise, .reentrant, .inPlace, .bitwise, .identityAtStart,
  ]
  static let options: [any OptionDeclaration] = [
    AdditiveSteering.alpha, AdditiveSteering.trainable,
  ]

  private let width: Int
  private let alpha: Float
  private let isTrainable: Bool

  init(shape: Shape, options: OptionValues) throws {
    width = shape.width
    alpha = try AdditiveSteering.strength(options)
    isTrainable = options[AdditiveSteering.trainable]
  }

  var parameters: [Parameter] {
    [Parameter("vector", [width], isTrainable: isTrainable, decays: false)]
  }

  let isDeterministic = true

  func deviceForm(isTraining: Bool) -> DeviceForm? { DeviceForm.norm.with(floats: [alpha]) }

  /// The lengths of h and u = h + α v, and u · g where there is a g; sums in double.
  private func measure(
    _ h: UnsafeBufferPointer<Float>,
    _ vector: UnsafePointer<Float>,
    against g: UnsafeBufferPointer<Float>? = nil
  ) -> (before: Double, after: Double, product: Double) {
    var (before, after, product) = (0.0, 0.0, 0.0)
    for j in 0..<width {
      let u = Double(h[j] + alpha * vector[j])
      before += Double(h[j]) * Double(h[j])
      after += u * u
      if let g { product += u * Double(g[j]) }
    }
    return (before.squareRoot(), after.squareRoot(), product)
  }

  func forward(_ call: ForwardCall) throws {
    let vector = call.parameter(0)
    for row in 0..<call.x.count {
      let (h, y) = (call.x[row], call.y[row])
      let (before, after, _) = measure(h, vector)
      // A row whose sum is nothing has no direction to keep a length along, and stays nothing.
      let ratio = after > 0 ? Float(before / after) : 0
      for j in 0..<width { y[j] = (h[j] + alpha * vector[j]) * ratio }
    }
  }

  // With q = ‖h‖ / ‖u‖ and s = u · g: du = q (g − u s / ‖u‖²), dh = du + h s / (‖h‖ ‖u‖), dv = α du.
  func backward(_ call: BackwardCall) throws {
    let vector = call.parameter(0)
    for row in 0..<call.x.count {
      let (h, g) = (call.x[row], call.dy[row])
      let (before, after, product) = measure(h, vector, against: g)
      let ratio = after > 0 ? Float(before / after) : 0
      let along = after > 0 ? Float(product / (after * after)) : 0
      let outward = before > 0 && after > 0 ? Float(product / (before * after)) : 0
      let (gradient, dx) = (call.gradient(0), call.dx?[row])
      for j in 0..<width {
        let change = ratio * (g[j] - (h[j] + alpha * vector[j]) * along)
        if let gradient { gradient[j] += alpha * change }
        if let dx { dx[j] = change + h[j] * outward }
      }
    }
  }
}
