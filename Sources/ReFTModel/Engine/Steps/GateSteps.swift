// SPDX-License-Identifier: Apache-2.0
// The gate of an MLP: hidden = f(gate) · up. Where the activation f(gate) is edited it has a place of
// its own, and the product with up is a step of its own.

import CReFTKernels
import ReFTTensor

/// The kernels of an activation function.
struct GateKernels: Sendable {
  typealias Numbers = UnsafePointer<Float>
  typealias Results = UnsafeMutablePointer<Float>

  let activate: @Sendable (Int, Numbers, Results) -> Void
  let activateBack: @Sendable (Int, Numbers, Numbers, Results) -> Void
  let gate: @Sendable (Int, Numbers, Numbers, Results) -> Void
  let gateBack: @Sendable (Int, Numbers, Numbers, Numbers, Results, Results) -> Void

  init(_ activation: ModelPlan.Activation) {
    switch activation {
    case .silu:
      activate = { reft_silu_f32($0, $1, $2) }
      activateBack = { reft_silu_backward_f32($0, $1, $2, $3) }
      gate = { reft_swiglu_f32($0, $1, $2, $3) }
      gateBack = { reft_swiglu_backward_f32($0, $1, $2, $3, $4, $5) }
    case .geluTanh:
      activate = { reft_gelu_f32($0, $1, $2) }
      activateBack = { reft_gelu_backward_f32($0, $1, $2, $3) }
      gate = { reft_geglu_f32($0, $1, $2, $3) }
      gateBack = { reft_geglu_backward_f32($0, $1, $2, $3, $4, $5) }
    }
  }
}

/// hidden = f(gate) · up.
struct GateStep: Step {
  let block: Int
  let kernels: GateKernels
  let inTail: Bool
  var kind: WorkKind { .activation }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let (f, apply) = (pass.shape.feedForwardSize, kernels.gate)
    let (gateUp, hidden) = (pass.gateUp(block, inTail: inTail), pass.hidden(inTail: inTail))
    return chained(pending) { row in
      let gate = gateUp + row * 2 * f
      apply(f, gate, gate + f, hidden + row * f)
    }
  }

  func backward(_ pass: Pass) {
    let (f, apply) = (pass.shape.feedForwardSize, kernels.gateBack)
    let (gateUp, hidden) = (pass.gateUp(block, inTail: inTail), pass.hidden(inTail: inTail))
    pass.rows(pass.rowCount(inTail: inTail)) { row in
      let gate = gateUp + row * 2 * f
      apply(f, gate, gate + f, hidden + row * f, gate, gate + f)
    }
    pass.clock?.lap(kind)
  }
}

/// activation = f(gate).
struct ActivationStep: Step {
  let block: Int
  let kernels: GateKernels
  let inTail: Bool
  var kind: WorkKind { .activation }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let (f, apply) = (pass.shape.feedForwardSize, kernels.activate)
    let gateUp = pass.gateUp(block, inTail: inTail)
    let activation = pass.activation(block, inTail: inTail)
    return chained(pending) { row in apply(f, gateUp + row * 2 * f, activation + row * f) }
  }

  /// The activation's gradient lies in the place of the hidden rows.
  func backward(_ pass: Pass) {
    let (f, apply) = (pass.shape.feedForwardSize, kernels.activateBack)
    let (gateUp, hidden) = (pass.gateUp(block, inTail: inTail), pass.hidden(inTail: inTail))
    pass.rows(pass.rowCount(inTail: inTail)) { row in
      let gate = gateUp + row * 2 * f
      apply(f, gate, hidden + row * f, gate)
    }
    pass.clock?.lap(kind)
  }
}

/// hidden = activation · up.
struct GateProductStep: Step {
  let block: Int
  let inTail: Bool
  var kind: WorkKind { .activation }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let f = pass.shape.feedForwardSize
    let (gateUp, hidden) = (pass.gateUp(block, inTail: inTail), pass.hidden(inTail: inTail))
    let activation = pass.activation(block, inTail: inTail)
    return chained(pending) { row in
      for j in 0..<f {
        hidden[row * f + j] = activation[row * f + j] * gateUp[row * 2 * f + f + j]
      }
    }
  }

  /// d loss / d up takes the place of up, d loss / d activation that of hidden.
  func backward(_ pass: Pass) {
    let f = pass.shape.feedForwardSize
    let (gateUp, hidden) = (pass.gateUp(block, inTail: inTail), pass.hidden(inTail: inTail))
    let activation = pass.activation(block, inTail: inTail)
    pass.rows(pass.rowCount(inTail: inTail)) { row in
      let up = gateUp + row * 2 * f + f
      for j in 0..<f {
        let gradient = hidden[row * f + j]
        hidden[row * f + j] = gradient * up[j]
        up[j] = gradient * activation[row * f + j]
      }
    }
    pass.clock?.lap(kind)
  }
}
