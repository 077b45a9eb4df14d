// SPDX-License-Identifier: Apache-2.0
// AdamW over the flat parameters of an adapter, in PyTorch's order of operations, with constraints
// kept by a tangent step and a retraction.

import Foundation
package import ReFTHost
package import ReFTTensor

/// The optimiser of a run.
///
/// A tensor that declares orthonormal rows is stepped on the Stiefel manifold: its gradient is
/// projected on the tangent space before it enters the moments (and before the global norm is taken,
/// so that clipping sees what can act), the update is projected again, since the mean gradient comes
/// from earlier tangent spaces and the element-wise division leaves them, and the polar retraction
/// brings the result back. Without the second projection an update with a normal part shortens rows
/// and the retraction turns that into an uncontrolled rotation. pyreft reaches the same set through
/// Householder parameters of a d × d base, whose moments live in coordinates that are dense in the
/// first rows and rigid in the last; the tangent step treats all rows alike and costs O(d r²).
/// Weight decay would only fight the constraint, so constrained tensors have none.
package final class AdamW {
  /// The mean gradient of each parameter.
  package let first: FloatBuffer
  /// The mean squared gradient of each parameter.
  package let second: FloatBuffer
  /// Steps done.
  package var stepCount = 0

  private let store: ParameterStore
  private let manifolds: [ParameterManifold]
  private let options: TrainOptions
  private let update: FloatBuffer

  /// An optimiser with empty moments.
  package init(_ store: ParameterStore, _ options: TrainOptions) {
    self.store = store
    self.options = options
    first = store.makeGradients()
    second = store.makeGradients()
    update = store.makeGradients()
    manifolds = store.infos.map(ParameterManifold.init)
  }

  /// Brings gradients into their tangent spaces and clears those of fixed parameters.
  ///
  /// - Returns: the global norm of what is left.
  package func prepare(_ gradients: FloatBuffer) -> Double {
    var squares = 0.0
    for (index, info) in store.infos.enumerated() {
      let gradient = store.slice(of: gradients, index)
      guard info.isTrainable, let base = gradient.baseAddress,
        let point = store.tensor(index).baseAddress
      else {
        gradient.update(repeating: 0)
        continue
      }
      manifolds[index].project(base, at: point)
      for value in gradient { squares += Double(value) * Double(value) }
    }
    return squares.squareRoot()
  }

  /// Scales gradients of a global norm down to the largest one allowed, as torch's clip_grad_norm_.
  package func clip(_ gradients: FloatBuffer, norm: Double) {
    guard options.clipNorm > 0 else { return }
    let factor = Float(options.clipNorm / (norm + 1e-6))
    guard factor < 1 else { return }
    for index in gradients.values.indices { gradients.base[index] *= factor }
  }

  /// Changes the parameters by one step with a learning rate.
  package func step(_ gradients: FloatBuffer, rate: Double) {
    stepCount += 1
    for (index, info) in store.infos.enumerated() where info.isTrainable {
      let values = store.tensor(index)
      guard let base = values.baseAddress else { continue }
      let ownRate = rate * info.learningRateScale
      decay(values, info, rate: ownRate)
      let direction = store.slice(of: update, index)
      fillUpdate(direction, store.offsets[index], gradients)
      if let start = direction.baseAddress { manifolds[index].project(start, at: base) }
      let scale = Float(-ownRate)
      for i in values.indices { values[i] += scale * direction[i] }
      manifolds[index].retract(values, along: direction.baseAddress)
    }
  }

  /// Decay of matrices alone: PyTorch users exclude biases and vectors by hand, the layout does it.
  private func decay(
    _ values: UnsafeMutableBufferPointer<Float>,
    _ info: ParameterInfo,
    rate: Double
  ) {
    let strength = options.weightDecay * info.weightDecayScale
    guard strength != 0, info.allowsDecay, info.shape.count > 1, info.constraint == .none else {
      return
    }
    let factor = Float(1 - rate * strength)
    for i in values.indices { values[i] *= factor }
  }

  /// Updates the moments of one tensor and writes m̂ / (√v̂ + ε).
  private func fillUpdate(
    _ direction: UnsafeMutableBufferPointer<Float>,
    _ offset: Int,
    _ gradients: FloatBuffer
  ) {
    let (beta1, beta2) = (options.betas.first, options.betas.second)
    let correction1 = 1 - pow(beta1, Double(stepCount))
    let correction2 = (1 - pow(beta2, Double(stepCount))).squareRoot()
    let (rest1, keep2, rest2) = (Float(1 - beta1), Float(beta2), Float(1 - beta2))
    let (inverse1, root2, epsilon) = (
      Float(1 / correction1), Float(correction2), Float(options.epsilon)
    )
    let (m, v, g) = (first.base + offset, second.base + offset, gradients.base + offset)
    for i in direction.indices {
      m[i] += rest1 * (g[i] - m[i])
      v[i] = v[i] * keep2 + rest2 * g[i] * g[i]
      direction[i] = inverse1 * m[i] / (v[i].squareRoot() / root2 + epsilon)
    }
  }
}
