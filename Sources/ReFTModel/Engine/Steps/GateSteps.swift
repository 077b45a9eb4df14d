// SPDX-License-Identifier: Apache-2.0
// The middle of an MLP: hidden = f(gate) · up, or f(up) without a gate. Where the activation f(gate) is
// edited it has a place of its own, and the product with up is a step of its own.

import CReFTKernels
import ReFTTensor

/// The kernels of an activation function.
struct GateKernels: Sendable {
  typealias Numbers = UnsafePointer<Float>
  typealias Results = UnsafeMutablePointer<Float>

  let activate: @Sendable (Int, Numbers, Results) -> Void
  let activateBack: @Sendable (Int, Numbers, Numbers, Results) -> Void
  /// Those of f(gate) · up at once, where there are such.
  let gated: Gated?

  /// hidden = f(gate) · up and its way back.
  struct Gated: Sendable {
    let gate: @Sendable (Int, Numbers, Numbers, Results) -> Void
    let gateBack: @Sendable (Int, Numbers, Numbers, Numbers, Results, Results) -> Void
  }

  init(_ activation: ModelPlan.Activation) {
    switch activation {
    case .silu:
      activate = { reft_silu_f32($0, $1, $2) }
      activateBack = { reft_silu_backward_f32($0, $1, $2, $3) }
      gated = Gated(
        gate: { reft_swiglu_f32($0, $1, $2, $3) },
        gateBack: { reft_swiglu_backward_f32($0, $1, $2, $3, $4, $5) }
      )
    case .geluTanh:
      activate = { reft_gelu_f32($0, $1, $2) }
      activateBack = { reft_gelu_backward_f32($0, $1, $2, $3) }
      gated = Gated(
        gate: { reft_geglu_f32($0, $1, $2, $3) },
        gateBack: { reft_geglu_backward_f32($0, $1, $2, $3, $4, $5) }
      )
    case .gelu:
      activate = { reft_gelu_erf_f32($0, $1, $2) }
      activateBack = { reft_gelu_erf_backward_f32($0, $1, $2, $3) }
      gated = nil
    }
  }
}

/// hidden = f(gate) · up.
struct GateStep: Step {
  let block: Int
  let kernels: GateKernels.Gated
  let inTail: Bool
  var kind: WorkKind { .activation }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let (f, apply) = (pass.shape.feedForwardSize, kernels.gate)
    let (input, hidden) = (pass.mlpInput(block, inTail: inTail), pass.hidden(inTail: inTail))
    return chained(pending) { row in
      let gate = input + row * 2 * f
      apply(f, gate, gate + f, hidden + row * f)
    }
  }

  func backward(_ pass: Pass) {
    let (f, apply) = (pass.shape.feedForwardSize, kernels.gateBack)
    let (input, hidden) = (pass.mlpInput(block, inTail: inTail), pass.hidden(inTail: inTail))
    pass.rows(pass.rowCount(inTail: inTail)) { row in
      let gate = input + row * 2 * f
      apply(f, gate, gate + f, hidden + row * f, gate, gate + f)
    }
    pass.clock?.lap(kind)
  }
}

/// Gate and up and hidden = f(gate) · up, at once where nobody needs gate and up besides.
struct GatedProjectionStep: Step {
  let projection: ProjectionStep
  let gate: GateStep
  var inTail: Bool { gate.inTail }
  var kind: WorkKind { gate.kind }

  func makesRows(_ pass: Pass) -> Bool { projection.makesRows(pass) }

  func isGoal(_ pass: Pass) -> Bool { projection.isGoal(pass) }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let weight = projection.projection.weight
    guard pending == nil, isAlone(pass), pass.gates(weight, runs: pass.runs(inTail: inTail)) else {
      return gate.forward(pass, after: projection.forward(pass, after: pending))
    }
    pass.multiplyGated(
      weight,
      runs: pass.runs(inTail: inTail),
      x: pass.normed(inTail: inTail),
      gate: gate.kernels,
      hidden: pass.hidden(inTail: inTail)
    )
    return nil
  }

  /// Whether nothing comes between the product and the gate, and no way back reads what it made.
  private func isAlone(_ pass: Pass) -> Bool {
    !pass.keeps(gate.block) && !projection.isGoal(pass) && projection.projection.bias == nil
  }

  func backward(_ pass: Pass) {
    gate.backward(pass)
    projection.backward(pass)
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
    let input = pass.mlpInput(block, inTail: inTail)
    let activation = pass.activation(block, inTail: inTail)
    return chained(pending) { row in apply(f, input + row * 2 * f, activation + row * f) }
  }

  /// The activation's gradient lies in the place of the hidden rows.
  func backward(_ pass: Pass) {
    let (f, apply) = (pass.shape.feedForwardSize, kernels.activateBack)
    let (input, hidden) = (pass.mlpInput(block, inTail: inTail), pass.hidden(inTail: inTail))
    pass.rows(pass.rowCount(inTail: inTail)) { row in
      let gate = input + row * 2 * f
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
    let (input, hidden) = (pass.mlpInput(block, inTail: inTail), pass.hidden(inTail: inTail))
    let activation = pass.activation(block, inTail: inTail)
    return chained(pending) { row in
      for j in 0..<f {
        hidden[row * f + j] = activation[row * f + j] * input[row * 2 * f + f + j]
      }
    }
  }

  /// d loss / d up takes the place of up, d loss / d activation that of hidden.
  func backward(_ pass: Pass) {
    let f = pass.shape.feedForwardSize
    let (input, hidden) = (pass.mlpInput(block, inTail: inTail), pass.hidden(inTail: inTail))
    let activation = pass.activation(block, inTail: inTail)
    pass.rows(pass.rowCount(inTail: inTail)) { row in
      let up = input + row * 2 * f + f
      for j in 0..<f {
        let gradient = hidden[row * f + j]
        hidden[row * f + j] = gradient * up[j]
        up[j] = gradient * activation[row * f + j]
      }
    }
    pass.clock?.lap(kind)
  }
}

/// hidden = f(up), in an MLP without a gate.
struct PlainActivationStep: Step {
  let block: Int
  let kernels: GateKernels
  let inTail: Bool
  var kind: WorkKind { .activation }

  func forward(_ pass: Pass, after pending: RowWork?) -> RowWork? {
    let (f, apply) = (pass.shape.feedForwardSize, kernels.activate)
    let (up, hidden) = (pass.mlpInput(block, inTail: inTail), pass.hidden(inTail: inTail))
    return chained(pending) { row in apply(f, up + row * f, hidden + row * f) }
  }

  /// The gradient of up takes its place.
  func backward(_ pass: Pass) {
    let (f, apply) = (pass.shape.feedForwardSize, kernels.activateBack)
    let (up, hidden) = (pass.mlpInput(block, inTail: inTail), pass.hidden(inTail: inTail))
    pass.rows(pass.rowCount(inTail: inTail)) { row in
      let at = row * f
      apply(f, up + at, hidden + at, up + at)
    }
    pass.clock?.lap(kind)
  }
}
