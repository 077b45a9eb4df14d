// SPDX-License-Identifier: Apache-2.0
// Activation functions and gates against the processor's kernels.

import CReFTKernels
import ReFTCUDA
import Testing
import _ReFTTestSupport

/// An activation function by its number in the kernels.
enum ActivationKind: Int, CaseIterable, Sendable {
  case silu = 0
  case geluTanh = 1
  case gelu = 2

  func applied(_ x: [Float]) -> [Float] {
    var y = x
    switch self {
    case .silu: reft_silu_f32(x.count, x, &y)
    case .geluTanh: reft_gelu_f32(x.count, x, &y)
    case .gelu: reft_gelu_erf_f32(x.count, x, &y)
    }
    return y
  }

  func gradient(_ x: [Float], _ dy: [Float]) -> [Float] {
    var dx = x
    switch self {
    case .silu: reft_silu_backward_f32(x.count, x, dy, &dx)
    case .geluTanh: reft_gelu_backward_f32(x.count, x, dy, &dx)
    case .gelu: reft_gelu_erf_backward_f32(x.count, x, dy, &dx)
    }
    return dx
  }
}

struct GateKernelTests {
  /// Rows of gate and up, or of gradients, of a width.
  private struct Rows {
    let rows = 5
    let f: Int
    let format: Activations
    let input: CardNumbers
    let dhidden: CardNumbers

    init(_ f: Int, _ format: Activations) {
      var random = SeededGenerator(seed: 1)
      (self.f, self.format) = (f, format)
      input = CardNumbers(random.normals(2 * rows * f, scale: 2), format)
      dhidden = CardNumbers(random.normals(rows * f), format)
    }

    var gate: [Float] { half(0) }
    var up: [Float] { half(f) }
    private func half(_ offset: Int) -> [Float] {
      let all = input.floats
      return (0..<rows * f).map { all[$0 / f * 2 * f + offset + $0 % f] }
    }
    func close(_ actual: [Float], _ expected: [Float], at place: SourceLocation = #_sourceLocation)
    {
      expectClose(
        actual,
        expected,
        tolerance: 2e-6,
        relative: format.rounding,
        sourceLocation: place
      )
    }
  }

  @Test("gates, and back", arguments: Activations.allCases, ActivationKind.allCases)
  func gates(_ activations: Activations, _ kind: ActivationKind) throws {
    let kernels = try EmulatedKernels(.gate, activations)
    for f in [24, 9] {
      let rows = Rows(f, activations)
      let (gate, up, dh) = (rows.gate, rows.up, rows.dhidden.floats)
      let hidden = CardNumbers(room: rows.rows * f, activations)
      let size: [CardArgument] = [.int(rows.rows), .int(f), .int(kind.rawValue)]
      try kernels.run("gate", size[0], size[1], size[2], .numbers(rows.input), .numbers(hidden))
      let value = kind.applied(gate)
      rows.close(hidden.floats, zip(value, up).map { $0 * $1 })
      try kernels.run(
        "gate_backward",
        size[0],
        size[1],
        size[2],
        .numbers(rows.input),
        .numbers(rows.dhidden)
      )
      rows.close(rows.up, zip(dh, value).map { $0 * $1 })
      rows.close(rows.gate, kind.gradient(gate, zip(dh, up).map { $0 * $1 }))
    }
  }

  @Test("activates and multiplies apart, and back", arguments: Activations.allCases)
  func apart(_ activations: Activations) throws {
    let kernels = try EmulatedKernels(.gate, activations)
    for (f, kind) in zip([24, 9, 16], ActivationKind.allCases) {
      let rows = Rows(f, activations)
      let (n, gate, up, dh) = (rows.rows, rows.gate, rows.up, rows.dhidden.floats)
      let activation = CardNumbers(room: n * f, activations)
      let hidden = CardNumbers(room: n * f, activations)
      try kernels.run(
        "activate",
        .int(n),
        .int(f),
        .int(kind.rawValue),
        .numbers(rows.input),
        .int(2 * f),
        .numbers(activation)
      )
      rows.close(activation.floats, kind.applied(gate))
      try kernels.run(
        "multiply_up",
        .int(n),
        .int(f),
        .numbers(activation),
        .numbers(rows.input),
        .numbers(hidden)
      )
      rows.close(hidden.floats, zip(activation.floats, up).map { $0 * $1 })
      try kernels.run(
        "multiply_up_backward",
        .int(n),
        .int(f),
        .numbers(activation),
        .numbers(rows.input),
        .numbers(rows.dhidden)
      )
      rows.close(rows.up, zip(dh, activation.floats).map { $0 * $1 })
      rows.close(rows.dhidden.floats, zip(dh, up).map { $0 * $1 })
      let slopes = kind.gradient(gate, rows.dhidden.floats)
      try kernels.run(
        "activate_backward",
        .int(n),
        .int(f),
        .int(kind.rawValue),
        .numbers(rows.input),
        .int(2 * f),
        .numbers(rows.dhidden)
      )
      rows.close(rows.gate, slopes)
    }
  }
}
